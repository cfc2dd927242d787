//! The end of a server.

use std::time::Duration;

use apolo_runtime::limits::Limits;
use tokio::net::TcpStream;

use crate::client::{Http1, Http2, connect};
use crate::fixture::{Running, limits, soon, until};

#[tokio::test]
async fn answers_who_is_there_and_then_refuses_newcomers() {
    let mut server = Running::new(Limits { drain_delay: Duration::from_secs(2), ..limits() }).await;
    let mut http1 = Http1::connect(server.address, &server.pki.certificate).await;
    let mut http2 = Http2::connect(server.address, &server.pki.certificate).await;
    let first = tokio::spawn(async move { http1.post("/gate", "").await.unwrap() });
    let second = tokio::spawn({
        let mut http2 = http2.clone();
        async move { http2.post("/gate", "").await.unwrap() }
    });
    server.entered().await;
    server.entered().await;
    until("the server to begin", async || server.readiness.missing().is_empty().then_some(())).await;
    server.stop();
    until("not to be ready", async || (!server.readiness.missing().is_empty()).then_some(())).await;
    assert_eq!(server.readiness.missing(), ["it is stopping"]);
    // Those who do not know yet are served.
    let mut late = Http1::connect(server.address, &server.pki.certificate).await;
    let answer = late.post("/length", "abc").await.unwrap();
    assert_eq!((&answer.body[..], &answer.headers["connection"]), (&b"3"[..], &"close".parse().unwrap()));
    let _idle = Http2::connect(server.address, &server.pki.certificate).await;
    assert_eq!(http2.post("/length", "abc").await.unwrap().body, "3");
    // Then nobody comes in, ...
    until("the door to be closed", async || TcpStream::connect(server.address).await.err()).await;
    assert!(!server.done.is_finished());
    // ... and who was in gets the answer.
    server.let_out(2);
    for passed in [first, second] {
        assert_eq!(soon("a request in flight", passed).await.unwrap().body, "passed");
    }
    soon("the server to end", &mut server.done).await.unwrap();
}

#[tokio::test]
async fn waits_for_nobody_longer_than_it_was_told() {
    let mut server = Running::new(Limits { grace: Duration::from_millis(100), ..limits() }).await;
    let mut http2 = Http2::connect(server.address, &server.pki.certificate).await;
    let stuck = tokio::spawn(async move { http2.post("/gate", "").await });
    server.entered().await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    server.stop();
    soon("the server to end", &mut server.done).await.unwrap();
    assert!(soon("the end of the request", stuck).await.unwrap().is_err());
}

#[tokio::test]
async fn answers_the_first_request_of_a_connection_that_came_last() {
    let mut server = Running::new(limits()).await;
    let mut http1 = Http1::connect(server.address, &server.pki.certificate).await;
    let mut http2 = Http2::connect(server.address, &server.pki.certificate).await;
    until("both", async || server.counts("apolo_connections", 2).then_some(())).await;
    server.stop();
    until("the door to be closed", async || TcpStream::connect(server.address).await.err()).await;
    assert_eq!(http1.post("/length", "abc").await.unwrap().body, "3");
    // HTTP/2 has been told to go elsewhere: its client knows, and nothing was lost on the way.
    let _ = http2.post("/length", "abc").await;
    soon("the server to end", &mut server.done).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loses_no_request_of_clients_that_come_again() {
    let mut server = Running::new(Limits { drain_delay: Duration::from_millis(500), ..limits() }).await;
    let (address, root) = (server.address, server.pki.certificate.clone());
    let load: Vec<_> = (0..4)
        .map(|_| {
            let root = root.clone();
            tokio::spawn(async move {
                let mut answered = 0;
                while let Ok(stream) = connect(address, &root, b"h2").await {
                    let Ok(mut client) = Http2::over(stream).await else { continue };
                    while client.is_open().await {
                        match client.post("/length", "abc").await {
                            Ok(answer) => assert_eq!(answer.body, "3"),
                            // What crosses GOAWAY has not been begun: clients send it again.
                            Err(error) if is_unsent(&error) => break,
                            Err(error) => panic!("{error:?}"),
                        }
                        answered += 1;
                    }
                }
                answered
            })
        })
        .collect();
    until("load", async || (!server.counts("apolo_connections", 0)).then_some(())).await;
    server.stop();
    soon("the server to end", &mut server.done).await.unwrap();
    let mut answered = 0;
    for client in load {
        answered += soon("a client to end", client).await.unwrap();
    }
    assert!(answered > 0);
    assert!(server.counts("apolo_http_request_duration_seconds_count{path=\"/length\"}", answered));
}

fn is_unsent(error: &hyper::Error) -> bool {
    error.is_canceled() || format!("{error:?}").contains("GoAway(b\"\", NO_ERROR, Remote)")
}
