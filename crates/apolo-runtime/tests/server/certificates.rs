//! Certificates that change while the server serves.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use apolo_runtime::limits::Limits;
use rustls::pki_types::CertificateDer;

use crate::client::{Http2, connect};
use crate::fixture::{Pki, Running, limits, until};

/// Whether a new handshake is answered with this certificate.
async fn shows(server: &Running, certificate: &CertificateDer<'static>) -> bool {
    connect(server.address, certificate, b"h2").await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_under_load_without_losing_a_request() {
    let server = Running::new(limits()).await;
    let quiet = Arc::new(AtomicBool::new(false));
    let mut load = Vec::new();
    for _ in 0..2 {
        let mut client = Http2::connect(server.address, &server.pki.certificate).await;
        let quiet = Arc::clone(&quiet);
        load.push(tokio::spawn(async move {
            let mut answered = 0;
            while !quiet.load(Ordering::Relaxed) {
                assert_eq!(client.post("/length", "abc").await.unwrap().body, "3");
                answered += 1;
            }
            answered
        }));
    }
    let new = Pki::new();
    new.mount(server.mount.path(), "2");
    until("the new certificate", async || shows(&server, &new.certificate).await.then_some(())).await;
    assert!(!shows(&server, &server.pki.certificate).await);
    quiet.store(true, Ordering::Relaxed);
    for client in load {
        assert!(client.await.unwrap() > 0);
    }
    assert!(server.counts("apolo_tls_certificate_reloads_total{result=\"loaded\"}", 2));
    assert!(server.counts("apolo_tls_certificate_not_after_timestamp_seconds", 32_472_144_000));
}

#[tokio::test]
async fn keeps_the_old_pair_until_the_new_one_is_whole() {
    let server = Running::new(limits()).await;
    let refused = "apolo_tls_certificate_reloads_total{result=\"refused\"}";
    let new = Pki::new();
    // In place, one file after the other.
    let data = server.mount.path().join("..data");
    fs::write(data.join("tls.crt"), &new.certificate_pem).unwrap();
    until("the mismatch", async || server.counts(refused, 1).then_some(())).await;
    assert!(shows(&server, &server.pki.certificate).await);
    assert!(server.readiness.missing().is_empty());
    fs::write(data.join("tls.key"), &new.key_pem).unwrap();
    until("the new certificate", async || shows(&server, &new.certificate).await.then_some(())).await;
    assert!(server.counts(refused, 1), "{:?}", server.metrics.encode());
}

#[tokio::test]
async fn keeps_the_old_pair_if_the_files_are_of_no_use() {
    let server = Running::new(limits()).await;
    let data = server.mount.path().join("..data");
    let expired = Pki::valid_until((2002, 1, 1));
    let steps: [(&str, &dyn Fn()); 4] = [
        ("expired", &|| expired.mount(server.mount.path(), "expired")),
        ("not PEM", &|| fs::write(data.join("tls.crt"), "-----BEGIN").unwrap()),
        ("no key", &|| fs::write(data.join("tls.key"), "").unwrap()),
        ("gone", &|| fs::remove_file(&data).unwrap()),
    ];
    for (number, (name, step)) in (1..).zip(steps) {
        step();
        until(name, async || {
            server.counts("apolo_tls_certificate_reloads_total{result=\"refused\"}", number).then_some(())
        })
        .await;
        assert!(shows(&server, &server.pki.certificate).await, "{name}");
    }
}

#[tokio::test]
async fn is_not_ready_with_an_expired_certificate_but_soon_with_a_new_one() {
    let server =
        Running::with(Limits { header_timeout: Duration::from_secs(5), ..limits() }, Pki::valid_until((2002, 1, 1)))
            .await;
    let words = until("the server to begin", async || {
        server.readiness.missing().into_iter().find(|words| words.starts_with("there is no certificate in "))
    })
    .await;
    assert!(words.ends_with(" that can be used yet"), "{words}");
    assert!(!shows(&server, &server.pki.certificate).await);
    let name = "apolo_tls_handshakes_failed_total{reason=\"no_certificate\"}";
    until("the count", async || server.counts(name, 1).then_some(())).await;
    let new = Pki::new();
    new.mount(server.mount.path(), "2");
    until("readiness", async || server.readiness.missing().is_empty().then_some(())).await;
    let mut client = Http2::connect(server.address, &new.certificate).await;
    assert_eq!(client.post("/length", "abc").await.unwrap().body, "3");
}
