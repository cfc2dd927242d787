//! Connections: honest ones of HTTP/2, and raw ones for all that is not.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::webhook::{Webhook, soon};

/// A TLS connection on which nothing has been sent.
pub(crate) async fn connect(webhook: &Webhook, protocol: &str) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(webhook.root.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(webhook.address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::from(webhook.address.ip()), stream).await
}

/// Sends bytes over HTTP/1.1, and tells all that comes back until the server ends the connection. Writing may fail, for
/// the server may have ended it before.
pub(crate) async fn exchange(webhook: &Webhook, bytes: &[u8]) -> String {
    let mut stream = connect(webhook, "http/1.1").await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = soon("the end of a connection", stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

/// An honest connection of HTTP/2.
pub(crate) struct Http2(SendRequest<Full<Bytes>>);

impl Http2 {
    pub(crate) async fn new(webhook: &Webhook) -> Self {
        let stream = TokioIo::new(connect(webhook, "h2").await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// The status and the body of the answer.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> (u16, Bytes) {
        self.send(Request::post(format!("https://localhost{path}")).body(Full::new(body.into())).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> (u16, Bytes) {
        let response = self.0.clone().send_request(request).await.unwrap();
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    }
}
