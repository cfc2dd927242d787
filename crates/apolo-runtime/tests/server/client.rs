//! Honest clients, and the raw stream for all others.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::fixture::soon;

/// A TLS connection on which nothing has been sent, over `alpn`.
pub(crate) async fn connect(
    address: SocketAddr,
    root: &CertificateDer<'static>,
    alpn: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").unwrap();
    soon("a handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) code: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The message of the `Status`, which must have this code and reason.
    pub(crate) fn refusal(&self, code: u16, reason: &str) -> String {
        assert_eq!(self.code.as_u16(), code, "{:?}", self.body);
        let status: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(self.headers["content-type"], "application/json");
        for (field, value) in [("kind", "Status"), ("apiVersion", "v1"), ("status", "Failure"), ("reason", reason)] {
            assert_eq!(status[field], value);
        }
        assert_eq!(status["code"], code);
        assert_eq!(status["metadata"], serde_json::json!({}));
        status["message"].as_str().unwrap().to_owned()
    }
}

async fn answer(response: hyper::Response<Incoming>) -> hyper::Result<Answer> {
    let (head, body) = response.into_parts();
    Ok(Answer { code: head.status, headers: head.headers, body: body.collect().await?.to_bytes() })
}

/// A connection of HTTP/1.1.
pub(crate) struct Http1(http1::SendRequest<Body>);

/// A connection of HTTP/2; clones share it.
#[derive(Clone)]
pub(crate) struct Http2(http2::SendRequest<Body>);

impl Http1 {
    pub(crate) async fn connect(address: SocketAddr, root: &CertificateDer<'static>) -> Self {
        let stream = connect(address, root, b"http/1.1").await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub(crate) async fn post(&mut self, path: &str, body: impl Into<Body>) -> hyper::Result<Answer> {
        let request = Request::post(path).header("host", "localhost").body(body.into()).unwrap();
        answer(soon("an answer", self.0.send_request(request)).await?).await
    }
}

impl Http2 {
    pub(crate) async fn connect(address: SocketAddr, root: &CertificateDer<'static>) -> Self {
        Self::over(connect(address, root, b"h2").await.unwrap()).await.unwrap()
    }

    pub(crate) async fn over(stream: TlsStream<TcpStream>) -> hyper::Result<Self> {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Whether another request can be sent.
    pub(crate) async fn is_open(&mut self) -> bool {
        self.0.ready().await.is_ok()
    }

    pub(crate) async fn post(&mut self, path: &str, body: impl Into<Body>) -> hyper::Result<Answer> {
        self.send(Request::post(format!("https://localhost{path}")).body(body.into()).unwrap()).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> hyper::Result<Answer> {
        self.send(Request::get(format!("https://localhost{path}")).body(Body::empty()).unwrap()).await
    }

    async fn send(&mut self, request: Request<Body>) -> hyper::Result<Answer> {
        self.0.ready().await?;
        answer(soon("an answer", self.0.send_request(request)).await?).await
    }
}
