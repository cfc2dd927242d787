//! Health, metrics and the log.

use std::sync::Arc;

use apolo_runtime::readiness::Readiness;
use apolo_runtime::telemetry::metrics::Metrics;
use apolo_runtime::telemetry::probes;
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::soon;

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    soon("an answer", stream.read_to_string(&mut text)).await.unwrap();
    text
}

#[tokio::test]
async fn tells_health_and_metrics() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = Arc::new(Metrics::new("1.2.3", UNIX_EPOCH + Duration::from_secs(42)));
    let readiness = Readiness::new();
    tokio::spawn(probes::serve(listener, metrics, readiness.clone()));

    assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200 OK\r\n"));
    let text = get(address, "/readyz").await;
    assert!(text.starts_with("HTTP/1.1 503 ") && text.ends_with("\r\n\r\nnot ready: it is still starting\n"), "{text}");
    readiness.begin();
    assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200 OK\r\n"));
    readiness.require(|| Err("the moon is not full".to_owned()));
    readiness.stop();
    let text = get(address, "/readyz").await;
    assert!(text.ends_with("\r\n\r\nnot ready: it is stopping; the moon is not full\n"), "{text}");
    assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200 OK\r\n"));

    let text = get(address, "/metrics").await;
    for line in [
        "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r",
        "process_start_time_seconds 42.0",
        "apolo_build_info{version=\"1.2.3\"} 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line.trim_end()), "{line} in {text}");
    }
    assert!(get(address, "/elsewhere").await.starts_with("HTTP/1.1 404 "));
}
