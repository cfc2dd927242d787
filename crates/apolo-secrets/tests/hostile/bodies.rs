//! Bodies that are too large, too slow, or never whole.

use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::task::JoinSet;

use crate::client::{Http2, connect, exchange};
use crate::webhook::{Webhook, soon};

const TOO_LARGE: &str = "the request body is larger than 7340032 bytes";

fn head(rest: &str) -> Vec<u8> {
    format!("POST /pods/mutate HTTP/1.1\r\nhost: localhost\r\n{rest}\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn refuses_100_megabytes_by_their_announcement() {
    let webhook = Webhook::new(&[]).await;
    let attack = async {
        for length in ["100000000", "1073741824"] {
            let answer = exchange(&webhook, &head(&format!("content-length: {length}"))).await;
            assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains(TOO_LARGE), "{answer}");
        }
        for nonsense in ["-1", "1e9", "18446744073709551615", "99999999999999999999999"] {
            let answer = exchange(&webhook, &head(&format!("content-length: {nonsense}"))).await;
            assert!(answer.starts_with("HTTP/1.1 4"), "{nonsense}: {answer}");
        }
    };
    webhook.survives("announced bodies", attack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_a_gibibyte_in_chunks_without_reading_it_all() {
    let webhook = Webhook::new(&[]).await;
    let attack = async {
        let mut strangers = JoinSet::new();
        for _ in 0..16 {
            let stream = connect(&webhook, "http/1.1").await.unwrap();
            strangers.spawn(async move {
                let (mut reader, mut writer) = split(stream);
                let sending = async {
                    writer.write_all(&head("transfer-encoding: chunked")).await.unwrap();
                    let chunk = [b"10000\r\n".as_slice(), &[b' '; 1 << 16], b"\r\n"].concat();
                    let mut sent = 0;
                    // It ends by an error, since the server ends the connection.
                    while sent < 1 << 14 && writer.write_all(&chunk).await.is_ok() {
                        sent += 1;
                    }
                    sent
                };
                let reading = async {
                    let mut answer = Vec::new();
                    let _ = reader.read_to_end(&mut answer).await;
                    String::from_utf8(answer).unwrap()
                };
                tokio::join!(sending, reading)
            });
        }
        for (sent, answer) in strangers.join_all().await {
            assert!(sent < 1 << 14, "all of it was read");
            // The ones that found no room while others held it are told so.
            let too_large = answer.starts_with("HTTP/1.1 413 ") && answer.contains(TOO_LARGE);
            let busy = answer.starts_with("HTTP/1.1 503 ") && answer.contains("too many large request bodies at once");
            let slow = answer.starts_with("HTTP/1.1 408 ") && answer.contains("did not arrive in time");
            assert!(too_large || busy || slow, "{answer}");
        }
    };
    webhook.survives("endless bodies", attack).await;
}

#[tokio::test]
async fn refuses_a_large_body_over_http_2() {
    let webhook = Webhook::new(&[]).await;
    let attack = async {
        let connection = Http2::new(&webhook).await;
        let (status, body) = connection.post("/pods/mutate", vec![b' '; 8 << 20]).await;
        assert_eq!(status, 413);
        assert!(String::from_utf8_lossy(&body).contains(TOO_LARGE), "{body:?}");
    };
    webhook.survives("large bodies over HTTP/2", attack).await;
}

#[tokio::test]
async fn gives_up_a_body_that_stops_half_way() {
    let webhook = Webhook::new(&["--request-timeout=1s"]).await;
    let attack = async {
        for (rest, begun) in [("content-length: 1000", "{"), ("transfer-encoding: chunked", "5\r\n{\"a\"")] {
            let mut stream = connect(&webhook, "http/1.1").await.unwrap();
            stream.write_all(&[&head(rest), begun.as_bytes()].concat()).await.unwrap();
            let mut answer = [0; 13];
            soon("an answer", stream.read_exact(&mut answer)).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 408 ", "{rest}");
        }
        // One whose client goes away needs no answer.
        let mut stream = connect(&webhook, "http/1.1").await.unwrap();
        stream.write_all(&head("content-length: 1000")).await.unwrap();
        drop(stream);
    };
    webhook.survives("bodies that stop", attack).await;
}
