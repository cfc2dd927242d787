//! The server: a listener and a router in, answers out, until it is asked to stop and nobody waits any more.
//!
//! Every connection has a task of its own, in which also its handshake is done, so that nobody waits for a stranger.
//! Bodies are read here, before the router is called: a handler takes [`bytes::Bytes`] and finds them there. HTTP/2 and
//! HTTP/1.1 over TLS, HTTP/1.1 in plain text.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

use crate::body::Budget;
use crate::certificate::Certificate;
use crate::limits::Limits;
use crate::readiness::Readiness;

mod answers;
mod connection;
mod connections;
mod handshake;
mod listen;
mod metrics;
mod protocol;
mod request;

pub use listen::listen;
pub use metrics::ServerMetrics;

use answers::Answers;
use connection::Shared;
use connections::Connections;
use protocol::Protocol;
use request::Requests;

/// A server that is to be run.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub listener: TcpListener,
    /// What it answers. Bodies reach it whole, so extractors need no limit.
    pub router: Router,
    /// With what it proves itself; none for plain text.
    pub certificate: Option<Certificate>,
    /// Its bounds.
    pub limits: Limits,
    /// What is counted.
    pub metrics: ServerMetrics,
    /// Begun and stopped by [`Server::run`], which also requires the certificate.
    pub readiness: Readiness,
}

/// Why a server cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// TLS cannot be had.
    #[error("setting up TLS")]
    Tls(#[from] rustls::Error),
}

impl Server {
    /// Serves until `shutdown` resolves and the connections have been drained: from then on it is not ready, still
    /// accepts for `drain_delay`, then asks the connections to finish, and closes what is left after `grace`.
    ///
    /// # Errors
    /// Before anything is served, see [`ServeError`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Self { listener, router, certificate, limits, metrics, readiness } = self;
        let mut background = JoinSet::new();
        let tls = match certificate {
            None => None,
            Some(certificate) => {
                let config = certificate.server_config()?;
                background.spawn(certificate.clone().follow_files());
                readiness.require(move || certificate.usable(SystemTime::now()));
                Some(TlsAcceptor::from(config))
            }
        };
        let requests = Arc::new(Requests {
            router: router.layer(DefaultBodyLimit::disable()).with_state(()),
            budget: Budget::new(&limits),
            answers: Answers::new(limits.max_untaken_bytes()),
            hall: places(limits.max_queued_requests()),
            places: places(limits.max_requests),
            timeout: limits.request_timeout,
            draining: AtomicBool::new(false),
            metrics,
        });
        let drain_delay = limits.drain_delay;
        let grace = limits.grace;
        let shared = Shared { limits, tls, protocol: Protocol::new(), requests: Arc::clone(&requests) };
        let mut connections = Connections::new(shared);
        readiness.begin();
        tokio::select! {
            () = connections.accept(&listener) => {}
            () = shutdown => {}
        }
        readiness.stop();
        requests.drain();
        tracing::info!(?drain_delay, ?grace, "asked to stop: not ready any more, and accepting only for a while");
        tokio::select! {
            () = connections.accept(&listener) => {}
            () = sleep(drain_delay) => {}
        }
        connections.close(listener);
        connections.finish(Instant::now() + grace).await;
        Ok(())
    }
}

fn places(count: usize) -> Semaphore {
    Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS))
}
