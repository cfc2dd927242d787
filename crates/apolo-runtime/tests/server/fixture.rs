//! A running server, its files, and a handler that answers when the test says so.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use apolo_runtime::certificate::{Certificate, CertificateMetrics, Files};
use apolo_runtime::limits::Limits;
use apolo_runtime::readiness::Readiness;
use apolo_runtime::serve::{Server, ServerMetrics};
use apolo_runtime::status;
use apolo_runtime::telemetry::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use bytes::Bytes;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// More than any step takes on a loaded machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// What resolves in time, or the test fails.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    soon(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// A certificate for `localhost`, its own root, and its key.
pub(crate) struct Pki {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

impl Pki {
    pub(crate) fn new() -> Self {
        Self::valid_until((2999, 1, 1))
    }

    pub(crate) fn valid_until((year, month, day): (i32, u8, u8)) -> Self {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, month, day);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    /// Writes both as kubelet does: a directory of their own, to which a symlink is swapped.
    pub(crate) fn mount(&self, at: &Path, name: &str) {
        let version = at.join(name);
        std::fs::create_dir(&version).unwrap();
        std::fs::write(version.join("tls.crt"), &self.certificate_pem).unwrap();
        std::fs::write(version.join("tls.key"), &self.key_pem).unwrap();
        let new = at.join("..data_tmp");
        std::os::unix::fs::symlink(&version, &new).unwrap();
        std::fs::rename(new, at.join("..data")).unwrap();
    }
}

/// What the handlers and the test know of each other.
pub(crate) struct Gate {
    /// A permit for each request that has come in.
    pub(crate) entered: Semaphore,
    /// A permit lets one request out.
    pub(crate) leave: Semaphore,
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) pki: Pki,
    pub(crate) mount: TempDir,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) readiness: Readiness,
    pub(crate) gate: Arc<Gate>,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) done: JoinHandle<()>,
}

/// Limits that no honest test meets, and no delay at the end.
pub(crate) fn limits() -> Limits {
    Limits { header_timeout: DEADLINE, request_timeout: DEADLINE, drain_delay: Duration::ZERO, ..Limits::default() }
}

pub(crate) fn files(mount: &Path) -> Files {
    let data = mount.join("..data");
    Files { certificate: data.join("tls.crt"), key: data.join("tls.key") }
}

fn router(gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/length", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/gate", post(pass))
        .route("/panic", get(defect))
        .fallback(status::unknown_path)
        .method_not_allowed_fallback(status::wrong_method)
        .with_state(gate)
}

async fn defect() -> &'static str {
    panic!("as asked")
}

async fn pass(State(gate): State<Arc<Gate>>, _: Bytes) -> &'static str {
    gate.entered.add_permits(1);
    gate.leave.acquire().await.unwrap().forget();
    "passed"
}

impl Running {
    pub(crate) async fn new(limits: Limits) -> Self {
        Self::with(limits, Pki::new()).await
    }

    pub(crate) async fn with(limits: Limits, pki: Pki) -> Self {
        let mount = tempfile::tempdir().unwrap();
        pki.mount(mount.path(), "1");
        let mut metrics = Metrics::new("0.0.0", SystemTime::now());
        let certificate_metrics = CertificateMetrics::register(metrics.registry());
        let server_metrics = ServerMetrics::register(metrics.registry(), &["/length", "/gate"]);
        let gate = Arc::new(Gate { entered: Semaphore::new(0), leave: Semaphore::new(0) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let readiness = Readiness::new();
        let server = Server {
            listener,
            router: router(Arc::clone(&gate)),
            certificate: Some(Certificate::new(files(mount.path()), certificate_metrics)),
            limits,
            metrics: server_metrics,
            readiness: readiness.clone(),
        };
        let (stop, stopped) = oneshot::channel();
        let done = tokio::spawn(async move {
            server.run(async { stopped.await.unwrap_or(()) }).await.unwrap();
        });
        let metrics = Arc::new(metrics);
        Self { address, pki, mount, metrics, readiness, gate, stop: Some(stop), done }
    }

    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Whether the metrics have a line that begins with this name and ends with this value.
    pub(crate) fn counts(&self, name: &str, value: u64) -> bool {
        let text = self.metrics.encode().unwrap();
        text.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest == format!(" {value}")))
    }

    pub(crate) async fn entered(&self) {
        soon("a request at the gate", self.gate.entered.acquire()).await.unwrap().forget();
    }

    pub(crate) fn let_out(&self, requests: usize) {
        self.gate.leave.add_permits(requests);
    }
}
