//! The certificate with which a server answers: two PEM files in, a TLS configuration out that follows them.
//!
//! The files may be replaced at any time: kubelet swaps a symlink, others write in place. What cannot be used is said
//! once in words, and the certificate in use stays. Connections keep the certificate of their handshake.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use clap::Args;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::MissedTickBehavior;

use crate::timestamp::Timestamp;

mod files;
mod metrics;
mod pair;

pub use metrics::CertificateMetrics;
pub use pair::CertificateError;

use files::Reading;
use pair::Pair;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Where the certificate comes from.
#[derive(Args, Clone, Debug)]
pub struct Files {
    /// PEM file with the serving certificate and its intermediates; read again when it changes.
    #[arg(long = "tls-cert-file", env = "APOLO_TLS_CERT_FILE", value_name = "FILE")]
    pub certificate: PathBuf,

    /// PEM file with the key of the serving certificate; read again when it changes.
    #[arg(long = "tls-private-key-file", env = "APOLO_TLS_PRIVATE_KEY_FILE", value_name = "FILE")]
    pub key: PathBuf,
}

/// The certificate in use, if there is one. Clones share it.
#[derive(Clone, Debug)]
pub struct Certificate {
    files: Files,
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
    reading: Arc<Mutex<Reading>>,
    metrics: CertificateMetrics,
}

#[derive(Debug, Default)]
struct Current(ArcSwapOption<Pair>);

impl Certificate {
    /// Reads the files. That they are not there yet, or of no use, is logged, and mended by
    /// [`Certificate::follow_files`].
    #[must_use]
    pub fn new(files: Files, metrics: CertificateMetrics) -> Self {
        let provider = Arc::new(ring::default_provider());
        let certificate = Self { files, provider, current: Arc::default(), reading: Arc::default(), metrics };
        certificate.look(SystemTime::now());
        certificate
    }

    /// When the certificate in use ends.
    #[must_use]
    pub fn not_after(&self) -> Option<SystemTime> {
        self.current.0.load().as_ref().map(|pair| pair.not_after)
    }

    /// Whether clients can trust the certificate in use at `now`.
    ///
    /// # Errors
    /// In words, what is the matter.
    pub fn usable(&self, now: SystemTime) -> Result<(), String> {
        let path = self.files.certificate.display();
        match self.not_after() {
            None => Err(format!("there is no certificate in {path} that can be used yet")),
            Some(end) if end <= now => Err(format!("the certificate from {path} ended at {}", Timestamp::new(end))),
            Some(_) => Ok(()),
        }
    }

    /// A TLS configuration that always answers with the certificate in use: TLS 1.2 and 1.3 by ring, HTTP/2 and
    /// HTTP/1.1 by ALPN. Sessions are not resumed: connections are few and long, and each new one sees the newest
    /// certificate.
    ///
    /// # Errors
    /// If ring cannot do TLS 1.2 and 1.3.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// Follows the files for as long as it is polled.
    pub async fn follow_files(self) {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let this = self.clone();
            // A panic in there has been told by the panic hook; the next look is another chance.
            let _ = tokio::task::spawn_blocking(move || this.look(SystemTime::now())).await;
        }
    }

    /// Takes what the files hold into use, if it is new and good.
    fn look(&self, now: SystemTime) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pems) = reading.read(&self.files, now) else { return };
        match pems.and_then(|pems| Pair::new(&pems, &self.files, &self.provider, now)) {
            Ok(pair) => {
                reading.good(now);
                self.take(pair);
            }
            Err(error) => {
                if reading.bad(&error) {
                    self.metrics.refused();
                    let error: &dyn Error = &error;
                    tracing::warn!(error, "the certificate cannot be used; the one before, if any, stays in use");
                }
            }
        }
    }

    fn take(&self, pair: Pair) {
        if self.current.0.load().as_ref().is_some_and(|current| current.is(&pair)) {
            return;
        }
        let not_after = Timestamp::new(pair.not_after);
        self.metrics.loaded(pair.not_after);
        self.current.0.store(Some(Arc::new(pair)));
        tracing::info!(%not_after, "a certificate was read and is in use");
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().as_ref().map(|pair| Arc::clone(&pair.certified))
    }
}
