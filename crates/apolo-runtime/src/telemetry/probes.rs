//! Health and metrics over plain HTTP, for kubelet and Prometheus.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use clap::Args;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use tokio::net::TcpListener;

use super::metrics::{self, Metrics};
use crate::limits::Limits;
use crate::readiness::Readiness;
use crate::serve::{ServeError, Server, ServerMetrics};
use crate::status;

/// Where probes are answered.
#[derive(Args, Clone, Debug)]
pub struct ProbesAddress {
    /// Address of /metrics, /livez and /readyz, in plain text.
    #[arg(long, env = "APOLO_METRICS_BIND_ADDRESS", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub metrics_bind_address: SocketAddr,
}

/// Answers `/metrics`, `/livez` and `/readyz` for as long as it is polled.
///
/// # Errors
/// See [`Server::run`].
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, readiness: Readiness) -> Result<(), ServeError> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(show).with_state(metrics))
        .fallback(status::unknown_path)
        .method_not_allowed_fallback(status::wrong_method);
    let limits = Limits {
        max_body_bytes: 0,
        max_buffered_bytes: 0,
        max_requests: 8,
        max_connections: 32,
        header_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(5),
        ..Limits::default()
    };
    let server = Server {
        listener,
        router,
        certificate: None,
        limits,
        metrics: ServerMetrics::default(),
        readiness: Readiness::new(),
    };
    server.run(std::future::pending()).await
}

async fn ready(State(readiness): State<Readiness>) -> Response<Body> {
    let missing = readiness.missing();
    if missing.is_empty() { Response::new(Body::from("ok\n")) } else { not_ready(&missing) }
}

fn not_ready(missing: &[String]) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("not ready: {}\n", missing.join("; "))));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

async fn show(State(metrics): State<Arc<Metrics>>) -> Response<Body> {
    let Ok(text) = metrics.encode() else {
        let message = "the metrics cannot be written";
        return status::response(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message);
    };
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
    response
}
