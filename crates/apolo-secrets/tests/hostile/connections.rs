//! Connections that are of no use to anybody.

use std::process::Command;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{connect, exchange};
use crate::webhook::{Webhook, soon};

/// Resolves with what the server said when it has ended the connection.
async fn ended(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut said = Vec::new();
    let _ = soon("the end of a connection", stream.read_to_end(&mut said)).await;
    said
}

#[tokio::test]
async fn ends_what_is_not_tls() {
    let webhook = Webhook::new(&[]).await;
    let garbage: Vec<u8> = (0..100_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let table: [(&str, &[u8]); 6] = [
        ("HTTP/1.1 in plain text", b"POST /pods/mutate HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}"),
        ("HTTP/2 in plain text", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n"),
        ("garbage", &garbage),
        ("a record that is too long", b"\x16\x03\x01\xff\xff\x01"),
        ("a hello that is no hello", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"),
    ];
    let attack = async {
        for (name, bytes) in table {
            let mut stream = TcpStream::connect(webhook.address).await.unwrap();
            let _ = stream.write_all(bytes).await;
            let said = ended(&mut stream).await;
            // An alert of TLS at most: no HTTP is spoken to a stranger.
            assert!(said.is_empty() || said[0] == 21, "{name}: {said:?}");
        }
    };
    webhook.survives("what is not TLS", attack).await;
}

#[tokio::test]
async fn ends_handshakes_that_are_left_and_headers_that_drip() {
    let webhook = Webhook::new(&["--header-timeout=2s"]).await;
    let attack = async {
        let mut left = TcpStream::connect(webhook.address).await.unwrap();
        // The beginning of a hello of 512 bytes.
        left.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await.unwrap();
        let mut silent = connect(&webhook, "h2").await.unwrap();
        let mut dripping = connect(&webhook, "http/1.1").await.unwrap();
        for byte in b"POST /pods/mutate HTTP/1.1\r\nhost: localh" {
            dripping.write_u8(*byte).await.unwrap();
            dripping.flush().await.unwrap();
        }
        ended(&mut left).await;
        ended(&mut silent).await;
        ended(&mut dripping).await;
    };
    webhook.survives("slow beginnings", attack).await;
}

#[tokio::test]
async fn refuses_headers_larger_than_any() {
    let webhook = Webhook::new(&[]).await;
    let head = |fields: &str| format!("POST /pods/mutate HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n");
    let attack = async {
        for (name, fields) in [
            ("one field", format!("x: {}\r\n", "x".repeat(100_000))),
            ("many fields", (0..10_000).map(|number| format!("x{number}: y\r\n")).collect()),
            ("a name", format!("{}: x\r\n", "x".repeat(100_000))),
        ] {
            let answer = exchange(&webhook, head(&fields).as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 431 "), "{name}: {answer}");
        }
        let answer = exchange(&webhook, format!("POST /{} HTTP/1.1\r\n", "x".repeat(100_000)).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 414 ") || answer.starts_with("HTTP/1.1 431 "), "{answer}");
        for malformed in
            ["GET\r\n\r\n", "\0\0\0\0\r\n\r\n", "POST / HTTP/9.9\r\n\r\n", "POST / HTTP/1.1\r\n x: y\r\n\r\n"]
        {
            let answer = exchange(&webhook, malformed.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{malformed:?}: {answer}");
        }
    };
    webhook.survives("large headers", attack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_among_2000_idle_tls_connections() {
    let webhook = Webhook::new(&[]).await;
    raise_descriptors();
    let attack = async {
        let mut idle = Vec::new();
        for number in 0..2_000 {
            let protocol = if number % 2 == 0 { "h2" } else { "http/1.1" };
            idle.push(connect(&webhook, protocol).await.unwrap());
        }
        // There is a place for 256: the first of them had to go.
        ended(&mut idle[0]).await;
    };
    webhook.survives("2,000 idle connections", attack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_among_10000_silent_connections() {
    let webhook = Webhook::new(&[]).await;
    raise_descriptors();
    let attack = async {
        let mut silent = Vec::new();
        for number in 1..=10_000 {
            silent.push(TcpStream::connect(webhook.address).await.unwrap());
            // A newcomer has a place until 256 others have come.
            if number % 100 == 0 {
                webhook.serves_newcomer("silent connections").await;
            }
        }
        ended(&mut silent[0]).await;
    };
    webhook.keeps_serving("10,000 silent connections", attack).await;
}

/// Lets this process have as many connections as it may (prlimit is of util-linux, which is everywhere).
fn raise_descriptors() {
    let own = format!("--pid={}", std::process::id());
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: u64 = line.split_whitespace().nth(3).unwrap().parse().unwrap_or(u64::MAX);
    let raised = soft >= 14_000
        || Command::new("prlimit").args([&own, "--nofile=14000:"]).status().is_ok_and(|status| status.success());
    assert!(raised, "this test needs 14,000 file descriptors: ulimit -n has {soft}");
}
