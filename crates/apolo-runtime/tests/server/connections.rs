//! Connections that are of no use to anybody.

use std::time::Duration;

use apolo_runtime::limits::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Http1, Http2, connect};
use crate::fixture::{Running, limits, soon, until};

/// Resolves when the server has closed its side.
async fn closed(stream: &mut (impl AsyncReadExt + Unpin)) {
    let mut rest = Vec::new();
    let _ = soon("the connection to be closed", stream.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn is_held_up_by_no_silent_client() {
    let server = Running::new(limits()).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut honest = Http2::connect(server.address, &server.pki.certificate).await;
    assert_eq!(honest.post("/length", "abc").await.unwrap().body, "3");
    assert!(server.counts("apolo_connections", 21));
}

#[tokio::test]
async fn closes_who_sends_no_handshake_in_time() {
    let server = Running::new(Limits { header_timeout: Duration::from_millis(200), ..limits() }).await;
    closed(&mut TcpStream::connect(server.address).await.unwrap()).await;
    until("the count", async || {
        server.counts("apolo_tls_handshakes_failed_total{reason=\"timeout\"}", 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn closes_who_sends_no_whole_header_in_time() {
    let server = Running::new(Limits { header_timeout: Duration::from_millis(500), ..limits() }).await;
    let halves: [(&[u8], &[u8]); 5] = [
        (b"http/1.1", b""),
        (b"http/1.1", b"POST /length HTTP/1.1\r\nhost: loc"),
        (b"h2", b"PRI * HTTP/2.0\r\n"),
        (b"h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        // The beginning of a header block without its end.
        (b"h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\0\0\0\0\x01\x82"),
    ];
    for (alpn, half) in halves {
        let mut stream = connect(server.address, &server.pki.certificate, alpn).await.unwrap();
        stream.write_all(half).await.unwrap();
        closed(&mut stream).await;
    }
}

#[tokio::test]
async fn keeps_idle_connections_that_have_been_of_use() {
    let server = Running::new(Limits { header_timeout: Duration::from_millis(300), ..limits() }).await;
    let mut http1 = Http1::connect(server.address, &server.pki.certificate).await;
    let mut http2 = Http2::connect(server.address, &server.pki.certificate).await;
    http1.post("/length", "abc").await.unwrap();
    http2.post("/length", "abc").await.unwrap();
    // One that is closed for its silence shows that the time has passed.
    closed(&mut connect(server.address, &server.pki.certificate, b"http/1.1").await.unwrap()).await;
    assert_eq!(http1.post("/length", "abc").await.unwrap().body, "3");
    assert_eq!(http2.post("/length", "abc").await.unwrap().body, "3");
}

#[tokio::test]
async fn closes_idle_connections_after_their_time() {
    let server = Running::new(Limits { idle_timeout: Duration::from_millis(100), ..limits() }).await;
    let mut http1 = Http1::connect(server.address, &server.pki.certificate).await;
    let mut http2 = Http2::connect(server.address, &server.pki.certificate).await;
    http1.post("/length", "abc").await.unwrap();
    http2.post("/length", "abc").await.unwrap();
    until("both to be closed", async || server.counts("apolo_connections", 0).then_some(())).await;
}

#[tokio::test]
async fn gives_the_place_of_the_useless_to_the_newcomer() {
    let server = Running::new(Limits { max_connections: 4, ..limits() }).await;
    let mut honest = Http2::connect(server.address, &server.pki.certificate).await;
    honest.post("/length", "abc").await.unwrap();
    // Three times as many strangers as there are places: the first of them go.
    let mut strangers = Vec::new();
    for round in 0..12 {
        if round % 3 == 0 {
            strangers.push(TcpStream::connect(server.address).await.unwrap());
        } else {
            let stream = connect(server.address, &server.pki.certificate, b"h2").await.unwrap();
            strangers.push(stream.into_inner().0);
        }
    }
    closed(strangers.first_mut().unwrap()).await;
    until("four to be left", async || server.counts("apolo_connections", 4).then_some(())).await;
    assert_eq!(honest.post("/length", "abc").await.unwrap().body, "3");
    let mut newcomer = Http1::connect(server.address, &server.pki.certificate).await;
    assert_eq!(newcomer.post("/length", "abc").await.unwrap().body, "3");
}

#[tokio::test]
async fn takes_no_place_from_a_request_in_flight() {
    let server = Running::new(Limits { max_connections: 2, ..limits() }).await;
    let mut working = Vec::new();
    for _ in 0..2 {
        let mut client = Http2::connect(server.address, &server.pki.certificate).await;
        working.push(tokio::spawn(async move { client.post("/gate", "").await.unwrap() }));
        server.entered().await;
    }
    let (address, root) = (server.address, server.pki.certificate.clone());
    let newcomer = tokio::spawn(async move { connect(address, &root, b"h2").await.unwrap() });
    server.let_out(2);
    for passed in working {
        assert_eq!(soon("a request in flight", passed).await.unwrap().body, "passed");
    }
    soon("the newcomer", newcomer).await.unwrap();
}

#[tokio::test]
async fn counts_failed_handshakes_by_reason() {
    let server = Running::new(limits()).await;
    // HTTP in plain text.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"POST /length HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    closed(&mut stream).await;
    // Nothing at all.
    drop(TcpStream::connect(server.address).await.unwrap());
    // Another root.
    let stranger = crate::fixture::Pki::new();
    connect(server.address, &stranger.certificate, b"h2").await.unwrap_err();
    // No protocol in common.
    connect(server.address, &server.pki.certificate, b"h3").await.unwrap_err();
    for reason in ["not_tls", "closed", "distrust", "incompatible"] {
        let name = format!("apolo_tls_handshakes_failed_total{{reason=\"{reason}\"}}");
        until(reason, async || server.counts(&name, 1).then_some(())).await;
    }
}
