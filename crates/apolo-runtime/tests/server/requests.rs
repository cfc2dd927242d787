//! Requests, honest and otherwise.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use apolo_runtime::limits::Limits;
use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::client::{Answer, Http1, Http2, connect};
use crate::fixture::{Running, limits, soon, until};

/// A body of which the test sends the chunks.
struct Chunks(mpsc::Receiver<Bytes>);

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// `count` chunks of a KiB each, and the end only if `end` is set.
fn chunks(count: usize, end: bool) -> (Body, Option<mpsc::Sender<Bytes>>) {
    let (sender, receiver) = mpsc::channel(count.max(1));
    for _ in 0..count {
        sender.try_send(Bytes::from_static(&[b'x'; 1024])).unwrap();
    }
    (Body::new(Chunks(receiver)), (!end).then_some(sender))
}

#[tokio::test]
async fn answers_http_1_and_http_2() {
    let server = Running::new(limits()).await;
    let mut http1 = Http1::connect(server.address, &server.pki.certificate).await;
    let mut http2 = Http2::connect(server.address, &server.pki.certificate).await;
    for length in [0, 1, 9_400, 63_000, 200_000, 3 << 20] {
        assert_eq!(http1.post("/length", vec![b'x'; length]).await.unwrap().body, length.to_string());
        assert_eq!(http2.post("/length", vec![b'x'; length]).await.unwrap().body, length.to_string());
    }
    assert!(server.counts("apolo_http_request_duration_seconds_count{path=\"/length\"}", 12));
    assert!(server.counts("apolo_http_requests_in_flight", 0));
    assert!(server.counts("apolo_connections", 2));
}

#[tokio::test]
async fn reads_a_body_in_chunks() {
    let server = Running::new(limits()).await;
    let mut http1 = Http1::connect(server.address, &server.pki.certificate).await;
    let mut http2 = Http2::connect(server.address, &server.pki.certificate).await;
    assert_eq!(http1.post("/length", chunks(200, true).0).await.unwrap().body, "204800");
    assert_eq!(http2.post("/length", chunks(200, true).0).await.unwrap().body, "204800");
}

#[tokio::test]
async fn says_what_it_does_not_know() {
    let server = Running::new(limits()).await;
    let mut http2 = Http2::connect(server.address, &server.pki.certificate).await;
    let answer = http2.post("/nowhere", "").await.unwrap();
    assert_eq!(answer.refusal(404, "NotFound"), "there is nothing at \"/nowhere\"");
    let answer = http2.get("/length").await.unwrap();
    assert_eq!(answer.refusal(405, "MethodNotAllowed"), "\"/length\" does not take GET");
    assert!(server.counts("apolo_http_request_duration_seconds_count{path=\"other\"}", 1));
}

#[tokio::test]
async fn survives_a_defect_of_a_handler() {
    let server = Running::new(limits()).await;
    let mut http2 = Http2::connect(server.address, &server.pki.certificate).await;
    let answer = http2.get("/panic").await.unwrap();
    assert!(answer.refusal(500, "InternalError").contains("defect"));
    assert_eq!(http2.post("/length", "abc").await.unwrap().body, "3");
}

#[tokio::test]
async fn refuses_a_body_over_the_limit() {
    let server = Running::new(Limits { max_body_bytes: 100 << 10, ..limits() }).await;
    let told = |answer: Answer| {
        let message = answer.refusal(413, "RequestEntityTooLarge");
        assert_eq!(message, "the request body is larger than 102400 bytes");
    };
    // By its length: before anything of it is sent.
    let mut stream = connect(server.address, &server.pki.certificate, b"http/1.1").await.unwrap();
    stream.write_all(b"POST /length HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000000\r\n\r\n").await.unwrap();
    let mut text = String::new();
    soon("the refusal", stream.read_to_string(&mut text)).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 413 ") && text.contains("larger than 102400 bytes"), "{text}");
    // By its chunks, while the client is still sending.
    let mut http1 = Http1::connect(server.address, &server.pki.certificate).await;
    told(http1.post("/length", chunks(3000, true).0).await.unwrap());
    let mut http2 = Http2::connect(server.address, &server.pki.certificate).await;
    told(http2.post("/length", chunks(3000, true).0).await.unwrap());
    told(http2.post("/length", chunks(101, true).0).await.unwrap());
    assert_eq!(http2.post("/length", chunks(100, true).0).await.unwrap().body, "102400");
}

#[tokio::test]
async fn gives_up_on_a_slow_body() {
    let server = Running::new(Limits { request_timeout: Duration::from_millis(100), ..limits() }).await;
    let mut http1 = Http1::connect(server.address, &server.pki.certificate).await;
    let mut http2 = Http2::connect(server.address, &server.pki.certificate).await;
    let (first, second) = (chunks(1, false), chunks(0, false));
    for answer in [http1.post("/length", first.0).await.unwrap(), http2.post("/length", second.0).await.unwrap()] {
        assert_eq!(answer.refusal(408, "Timeout"), "the request body did not arrive in time");
    }
}

#[tokio::test]
async fn gives_up_on_a_slow_handler() {
    let server = Running::new(Limits { request_timeout: Duration::from_millis(100), ..limits() }).await;
    let mut http2 = Http2::connect(server.address, &server.pki.certificate).await;
    let answer = http2.post("/gate", "").await.unwrap();
    assert_eq!(answer.refusal(504, "Timeout"), "the request was not answered within 100ms");
}

#[tokio::test]
async fn has_a_limited_number_of_places() {
    let server = Running::new(Limits { max_requests: 2, request_timeout: Duration::from_secs(4), ..limits() }).await;
    let http2 = Http2::connect(server.address, &server.pki.certificate).await;
    let ask = |path: &'static str| {
        let mut client = http2.clone();
        tokio::spawn(async move { client.post(path, "body").await.unwrap() })
    };
    let in_flight = async |count| {
        until("requests", async || server.counts("apolo_http_requests_in_flight", count).then_some(())).await;
    };
    // A third waits, and is answered once there is a place.
    let inside = [ask("/gate"), ask("/gate")];
    server.entered().await;
    server.entered().await;
    let waiting = ask("/length");
    in_flight(3).await;
    server.let_out(2);
    for passed in inside {
        assert_eq!(soon("a request in flight", passed).await.unwrap().body, "passed");
    }
    assert_eq!(soon("a request that waited", waiting).await.unwrap().body, "4");
    // If there is none in time, it is told so, and those in flight are not disturbed.
    let inside = [ask("/gate"), ask("/gate")];
    server.entered().await;
    server.entered().await;
    let refused = soon("the refusal", ask("/length")).await.unwrap();
    assert_eq!(refused.refusal(503, "ServiceUnavailable"), "too many requests at once; try again");
    assert_eq!(refused.headers["retry-after"], "1");
    server.let_out(2);
    for passed in inside {
        assert_eq!(soon("a request in flight", passed).await.unwrap().body, "passed");
    }
}

#[tokio::test]
async fn gives_nobody_a_place_who_sends_slowly() {
    let server = Running::new(Limits { max_requests: 1, ..limits() }).await;
    let slow = Http2::connect(server.address, &server.pki.certificate).await;
    let mut senders = Vec::new();
    let mut send = || {
        let (body, sender) = chunks(1, false);
        senders.push(sender);
        let mut client = slow.clone();
        tokio::spawn(async move { client.post("/length", body).await.unwrap() })
    };
    let in_flight = async |count| {
        until("requests", async || server.counts("apolo_http_requests_in_flight", count).then_some(())).await;
    };
    // Four may be on their way; they take no place.
    let first = send();
    in_flight(1).await;
    let others = [send(), send(), send()];
    in_flight(4).await;
    let mut honest = Http2::connect(server.address, &server.pki.certificate).await;
    assert_eq!(honest.post("/length", "abc").await.unwrap().body, "3");
    // For a fifth, the one that has taken longest is given up.
    let fifth = send();
    let answer = soon("the first to be given up", first).await.unwrap();
    assert_eq!(answer.refusal(408, "Timeout"), "the request body did not arrive in time");
    senders.clear();
    for answer in others.into_iter().chain([fifth]) {
        assert_eq!(soon("a slow answer", answer).await.unwrap().body, "1024");
    }
}

#[tokio::test]
async fn gives_up_a_slow_body_for_one_that_needs_its_room() {
    let server = Running::new(Limits { max_body_bytes: 1 << 20, max_buffered_bytes: 1 << 20, ..limits() }).await;
    let mut client = Http2::connect(server.address, &server.pki.certificate).await;
    let (body, sender) = chunks(1000, false);
    let slow = tokio::spawn({
        let mut client = client.clone();
        async move { client.post("/length", body).await.unwrap() }
    });
    let sender = sender.unwrap();
    until("the body to be taken", async || (sender.capacity() == 1000).then_some(())).await;
    assert_eq!(client.post("/length", chunks(500, true).0).await.unwrap().body, "512000");
    assert_eq!(client.post("/length", chunks(60, true).0).await.unwrap().body, "61440");
    let answer = soon("the slow one to be given up", slow).await.unwrap();
    assert_eq!(answer.refusal(408, "Timeout"), "the request body did not arrive in time");
}
