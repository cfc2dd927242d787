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
mod trust;

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

    /// Whether a client that trusts the authorities in `bundle` (PEM), and no others, and reaches this server by the name `host`,
    /// believes the certificate in use at `now`.
    ///
    /// # Errors
    /// In words, why not.
    pub fn trusted_by(&self, bundle: &[u8], host: &str, now: SystemTime) -> Result<(), String> {
        let pair = self.current.0.load_full().ok_or("there is no certificate in use")?;
        trust::trusts(bundle, host, &pair.certified, &self.provider, now)
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

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};
    use serde_json::Value;
    use tracing::level_filters::LevelFilter;

    use super::*;
    use crate::telemetry::log::{Log, LogLevel};
    use crate::timestamp::from_unix;

    /// The lines that are logged meanwhile.
    fn told(act: impl FnOnce()) -> Vec<Value> {
        let sink = tempfile::NamedTempFile::new().unwrap();
        let (log, writer) = Log::new(&LogLevel { log_level: LevelFilter::INFO }, sink.reopen().unwrap()).unwrap();
        tracing::subscriber::with_default(log, act);
        drop(writer);
        fs::read_to_string(sink.path()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn write(files: &Files) -> KeyPair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2050, 1, 1);
        fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        key
    }

    #[test]
    fn tells_once_what_is_wrong_and_keeps_the_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let (path, key_path) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
        let files = Files { certificate: path.clone(), key: key_path.clone() };
        let (path, key_path) = (path.display(), key_path.display());
        let look = |certificate: &Certificate, seconds| certificate.look(from_unix(seconds));
        let (now, end) = (1_800_000_000, 2_524_608_000);

        let certificate = Certificate::new(files.clone(), CertificateMetrics::default());
        assert!(certificate.usable(from_unix(now)).is_err());
        let key = write(&files);
        look(&certificate, now);
        assert_eq!(certificate.not_after(), Some(from_unix(end)));

        fs::write(&files.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let lines = told(|| (1..30).for_each(|second| look(&certificate, now + second)));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["error"], format!("the key in {key_path} does not belong to the certificate in {path}"));
        assert_eq!(certificate.usable(from_unix(now)), Ok(()));

        fs::write(&files.key, key.serialize_pem()).unwrap();
        let lines = told(|| {
            look(&certificate, now + 30);
            (0..30).for_each(|second| look(&certificate, end + second));
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        let only = "is valid from 2020-01-01T00:00:00Z to 2050-01-01T00:00:00Z only";
        assert_eq!(lines[0]["error"], format!("the certificate in {path} {only}"));
        let ended = format!("the certificate from {path} ended at 2050-01-01T00:00:00Z");
        assert_eq!(certificate.usable(from_unix(end)), Err(ended));

        fs::remove_file(&files.certificate).unwrap();
        let lines = told(|| (0..30).for_each(|second| look(&certificate, now + second)));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["error"], format!("reading {path}: No such file or directory (os error 2)"));
    }
}
