//! Connections on which nothing is sent any more once it may not be: looked at as late as can be, when bytes are handed to the kernel.
//!
//! A process that is stopped for a while, and goes on, would otherwise send what it had begun before.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower::Service;

/// Whether anything may be sent now.
pub type May = Arc<dyn Fn() -> bool + Send + Sync>;

/// Connects as `inner` does, with connections that are fenced.
#[derive(Clone)]
pub(super) struct Fence<C> {
    inner: C,
    may: May,
}

/// A connection that is fenced, below its TLS.
pub(super) struct Fenced<T> {
    inner: T,
    may: May,
}

impl<C> Fence<C> {
    /// Sends on the connections of `inner` only while it may.
    pub(super) fn new(inner: C, may: May) -> Self {
        Self { inner, may }
    }
}

impl<C> Service<Uri> for Fence<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
{
    type Response = Fenced<C::Response>;
    type Error = C::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, may) = (self.inner.call(uri), Arc::clone(&self.may));
        Box::pin(async move { Ok(Fenced { inner: connecting.await?, may }) })
    }
}

impl<T> Fenced<T> {
    fn check(&self) -> io::Result<()> {
        if (self.may)() { Ok(()) } else { Err(io::Error::other("nothing may be sent any more")) }
    }
}

impl<T: Read + Unpin> Read for Fenced<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: Write + Unpin> Write for Fenced<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }
}

impl<T: Connection> Connection for Fenced<T> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::HttpConnector;
    use hyper_util::rt::TokioExecutor;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn what_may_not_be_sent_any_more_is_not_on_a_connection_that_is_open() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let may = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&may);
        let fence = Fence::new(HttpConnector::new(), Arc::new(move || asked.load(Relaxed)));
        let client: Client<_, String> = Client::builder(TokioExecutor::new()).build(fence);
        let uri: Uri = format!("http://{address}/").parse().unwrap();
        let (answered, accepted) = tokio::join!(client.get(uri.clone()), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            (stream, length)
        });
        assert!(answered.is_ok() && accepted.1 > 0);
        may.store(false, Relaxed);
        assert!(client.get(uri).await.is_err());
        let (mut stream, mut rest) = (accepted.0, Vec::new());
        drop(client);
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty(), "{rest:?}");
    }
}
