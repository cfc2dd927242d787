//! Connections over HTTPS, and one request at a time on one of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Trusts one authority.
#[derive(Clone)]
pub(crate) struct Client(TlsConnector);

/// What a server answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status of HTTP.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Bytes,
}

impl Client {
    /// A client of HTTP/2 that trusts the authority of this certificate, PEM.
    pub(crate) fn new(authority: &str) -> anyhow::Result<Self> {
        Self::of(authority, "h2")
    }

    /// A client of the protocol that ALPN calls `protocol`.
    pub(crate) fn of(authority: &str, protocol: &str) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// A connection on which nothing has been sent.
    pub(crate) async fn connect(&self, address: SocketAddr) -> anyhow::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await.context("connecting")?;
        let _ = stream.set_nodelay(true);
        self.0.connect(ServerName::from(address.ip()), stream).await.context("shaking hands")
    }

    /// A connection of HTTP/2.
    pub(crate) async fn http2(&self, address: SocketAddr) -> anyhow::Result<Connection> {
        let stream = TokioIo::new(self.connect(address).await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { address, sender, task })
    }

    /// Connects, and posts `body` as JSON.
    pub(crate) async fn post(&self, address: SocketAddr, path: &str, body: Bytes) -> anyhow::Result<Answer> {
        self.http2(address).await?.post(path, body).await
    }
}

/// A connection of HTTP/2. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

impl Connection {
    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.sender.is_closed()
    }

    /// Posts `body` as JSON; others may do so meanwhile.
    pub(crate) async fn post(&self, path: &str, body: Bytes) -> anyhow::Result<Answer> {
        let request = Request::post(format!("https://{}{path}", self.address))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let response = self.sender.clone().send_request(request).await.context("asking")?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.context("reading the answer")?.to_bytes();
        Ok(Answer { status, body })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}
