//! A proxy between a controller and the API server: it knows each request that writes, and can hold one back for good.
//!
//! It takes TLS from the controller and speaks TLS to the API server; what is no write passes as it comes, answers and watches
//! as streams. A write is passed on whole, and answered whether or not who sent it still lives. It can also make trouble (see
//! [`Trouble`]), and hush watches.

mod hush;
mod plan;
mod trouble;
mod write;

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use crate::{
    authority::{self, CertificatePair},
    control_plane::{self, ControlPlane},
    eventually::{NotYet, eventually},
};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use axum_server::{
    Handle,
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use kube::Client;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
};
use tokio::{task::JoinHandle, time::sleep};

use self::{
    hush::Hush,
    plan::{Pass, Plan},
};

pub use plan::{Stop, When};
pub use trouble::Trouble;
pub use write::{About, Write};

/// How long its certificate lives: longer than any test.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// The largest body of a request: what etcd takes.
const LARGEST: usize = 2 << 20;

/// A proxy that serves. It ends with the runtime that it was started on, or when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    address: SocketAddr,
    tls: RustlsConfig,
    site: Arc<Site>,
    serving: Mutex<Option<Serving>>,
}

/// A server that serves, or keeps the place of one that does not.
#[derive(Debug)]
struct Serving {
    handle: Handle<SocketAddr>,
    task: JoinHandle<()>,
}

struct Site {
    api_server: Client,
    plan: Plan,
    hush: Hush,
}

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It has no certificate.
    #[error("cannot make the certificate of the proxy")]
    Authority(#[from] authority::Error),
    /// Its certificate cannot be used.
    #[error("cannot read the certificate of the proxy")]
    Pem(#[from] pem::Error),
    /// Its certificate cannot be used.
    #[error("cannot serve with the certificate of the proxy")]
    Tls(#[from] rustls::Error),
    /// It cannot listen.
    #[error("cannot serve on 127.0.0.1")]
    Listen(#[from] io::Error),
    /// It cannot reach the API server.
    #[error(transparent)]
    ControlPlane(#[from] control_plane::Error),
}

impl std::fmt::Debug for Site {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Site").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Proxy {
    /// Starts a proxy to the API server of a control plane, with a certificate that its clients believe.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(control_plane: &ControlPlane) -> Result<Self, Error> {
        let CertificatePair { certificate, key } =
            control_plane.authority().server(&["127.0.0.1"], SystemTime::now() + LIFE)?;
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>()?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes())?)?;
        // The controller's client speaks no other.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = RustlsConfig::from_config(Arc::new(config));

        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        let site =
            Arc::new(Site { api_server: control_plane.nobody().await?, plan: Plan::default(), hush: Hush::default() });
        let proxy = Self { url: format!("https://{address}"), address, tls, site, serving: Mutex::default() };
        proxy.serve(listener)?;
        Ok(proxy)
    }

    fn serve(&self, listener: TcpListener) -> io::Result<()> {
        let handle = Handle::new();
        let server = axum_server::from_tcp(listener)?
            .acceptor(RustlsAcceptor::new(self.tls.clone()).acceptor(NoDelayAcceptor::new()))
            .handle(handle.clone());
        let router = Router::new().fallback(pass).with_state(Arc::clone(&self.site));
        let task = tokio::spawn(async move { drop(server.serve(router.into_make_service()).await) });
        self.replace(Some(Serving { handle, task }));
        Ok(())
    }

    fn replace(&self, serving: Option<Serving>) -> Option<Serving> {
        std::mem::replace(&mut *self.serving.lock().unwrap_or_else(PoisonError::into_inner), serving)
    }

    /// Where it serves.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Forgets what was written, counts from 1 again, and is to stop there, if anywhere.
    pub fn begin(&self, stop: Option<Stop>) {
        self.site.plan.begin(stop);
    }

    /// Returns when the write at which it is to stop has come: before it is passed on, or when it was answered. From then on
    /// no write passes. Tells that write.
    ///
    /// # Errors
    /// When it does not come by the deadline.
    pub async fn stopped(&self) -> Result<Write, NotYet> {
        let write = eventually("the write to stop at", async || {
            self.site.plan.stopped().ok_or_else(|| format!("{:?}", self.writes()))
        });
        let write = write.await?;
        // What was passed on before is answered, so that nothing happens any more.
        let quiet = async || match self.site.plan.unanswered() {
            0 => Ok(()),
            count => Err(format!("{count} are not answered")),
        };
        eventually("all writes are answered", quiet).await?;
        Ok(write)
    }

    /// How often each thing was tried since [`Proxy::begin`], also in vain: by method and path, and by `connect` what found no
    /// API server.
    pub fn tries(&self) -> BTreeMap<String, usize> {
        self.site.plan.tries()
    }

    /// All writes since [`Proxy::begin`], in the order in which they came.
    pub fn writes(&self) -> Vec<Write> {
        self.site.plan.writes()
    }

    /// Those of them that have numbers.
    pub fn numbered(&self) -> Vec<Write> {
        self.writes().into_iter().filter(|write| write.number.is_some()).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(Serving { handle, task }) = self.replace(None) {
            handle.shutdown();
            task.abort();
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn pass(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST).await else { return StatusCode::BAD_REQUEST.into_response() };
    let trouble = site.plan.tried(&parts);
    match trouble {
        Some(Trouble::Refused(status)) => return trouble::refusal(status),
        Some(Trouble::Late(time)) => sleep(time).await,
        None => {}
    }
    let Some(about) = About::of(&parts.method, parts.uri.path(), &body) else {
        let is_watch = parts.uri.query().is_some_and(|query| query.contains("watch=true"));
        let answer = forward(&site.api_server, parts, body.to_vec()).await;
        return if is_watch { answer.map(|body| site.hush.over(body)) } else { answer };
    };
    let index = match site.plan.arrives(about) {
        Pass::Held => return std::future::pending().await,
        Pass::On(index) => index,
    };
    // Also if the client goes meanwhile.
    let passed = tokio::spawn({
        let site = Arc::clone(&site);
        async move {
            let answer = forward(&site.api_server, parts, body.to_vec()).await;
            let shown = site.plan.answered(index, answer.status());
            (answer, shown)
        }
    });
    match passed.await {
        Ok((answer, true)) => answer,
        Ok((_, false)) => std::future::pending().await,
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// Sends a request to the API server; its answer is a stream.
async fn forward(api_server: &Client, mut parts: Parts, body: Vec<u8>) -> Response {
    let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let Ok(uri) = path.parse() else { return StatusCode::BAD_REQUEST.into_response() };
    parts.uri = uri;
    parts.headers.remove(header::HOST);
    of_this_connection(&mut parts.headers);
    let request = http::Request::from_parts(parts, kube::client::Body::from(body));
    match api_server.send(request).await {
        Ok(answer) => {
            let (mut parts, body) = answer.into_parts();
            of_this_connection(&mut parts.headers);
            Response::from_parts(parts, Body::new(body))
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// Takes away what is not about the message but about the connection that it came by.
fn of_this_connection(headers: &mut HeaderMap) {
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE] {
        headers.remove(name);
    }
}
