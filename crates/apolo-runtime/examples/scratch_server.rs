//! scratch
use apolo_runtime::{
    certificate::*,
    limits::Limits,
    readiness::Readiness,
    serve::*,
    status,
    telemetry::{log, metrics::Metrics, probes},
};
use axum::{Router, routing::post};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::net::TcpListener;
fn main() {
    let rt = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    rt.block_on(async {
        let _log = log::start(&log::LogLevel { log_level: tracing::level_filters::LevelFilter::INFO }).unwrap();
        let mut metrics = Metrics::new("0", SystemTime::now());
        let certificate = Certificate::new(Files { certificate: "/tmp/rt/tls.crt".into(), key: "/tmp/rt/tls.key".into() }, CertificateMetrics::register(metrics.registry()));
        let sm = ServerMetrics::register(metrics.registry(), &["/pods/mutate"]);
        let readiness = Readiness::new();
        let logged = std::env::args().nth(1).is_some();
        let router = Router::new().route("/pods/mutate", post(move |body: bytes::Bytes| async move {
            if logged { tracing::info!(uid = "0a1b2c3d-1111-2222-3333-444455556666", namespace = "team-a", pod = "trainer-7c9f", user = "system:serviceaccount:kube-system:job-controller", verdict = "allowed", secrets = 3u64, bytes = body.len(), "the Pod was given its secrets"); }
            vec![b'x'; body.len().min(2000)] })).fallback(status::unknown_path);
        let server = Server { listener: TcpListener::bind("127.0.0.1:18443").await.unwrap(), router, certificate: Some(certificate), limits: Limits::default(), metrics: sm, readiness: readiness.clone() };
        let probe = probes::serve(TcpListener::bind("127.0.0.1:18080").await.unwrap(), Arc::new(metrics), readiness);
        tokio::select! { r = server.run(apolo_runtime::signal::termination().unwrap()) => r.unwrap(), r = probe => r.unwrap() }
    });
}
