//! HTTP on one connection: what hyper and h2 are told about bounds.
//!
//! The protocol follows from ALPN; nothing is sniffed. hyper's `header_read_timeout` is not used: it begins with the end
//! of the answer before, so it would close idle connections of the API server under its hands.
//! [`Connection::useless`](super::connection::Connection::useless) tells the two apart, for both protocols.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::connection::Connection;
use super::request::Requests;

/// How long a connection that is to end is still read from.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// Both protocols, with their bounds.
#[derive(Clone, Debug)]
pub(super) struct Protocol {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Protocol {
    pub(super) fn new() -> Self {
        let mut http1 = http1::Builder::new();
        // The whole header must fit in the buffer.
        http1.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(32 << 10).max_headers(64);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            // A dead peer is gone after half a minute.
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .max_concurrent_streams(128)
            .max_header_list_size(16 << 10)
            // What may arrive before a body is read: 64 KiB a stream, eight such bodies a connection.
            .initial_stream_window_size(64 << 10)
            .initial_connection_window_size(512 << 10)
            .max_send_buf_size(64 << 10)
            // Streams that are opened only to be reset (CVE-2023-44487), or that are in error (RUSTSEC-2024-0003).
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(64);
        Self { http1, http2 }
    }

    /// Answers what comes over `stream`, until the client or [`Connection::finish`] ends it.
    pub(super) async fn http2<S>(&self, stream: S, connection: &Arc<Connection>, requests: &Arc<Requests>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut serving = pin!(self.http2.serve_connection(TokioIo::new(stream), service(connection, requests)));
        tokio::select! {
            biased;
            _ = serving.as_mut() => return,
            () = connection.finishing() => serving.as_mut().graceful_shutdown(),
        }
        // How a connection ended is the client's business; its requests have been answered and counted.
        let _ = serving.await;
    }

    /// The same over HTTP/1.1.
    pub(super) async fn http1<S>(&self, stream: S, connection: &Arc<Connection>, requests: &Arc<Requests>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut serving = self.http1.serve_connection(TokioIo::new(stream), service(connection, requests));
        let finishing = async {
            connection.finishing().await;
            // Its first request may be on the way; it will be the last, for the answer says so.
            if connection.is_fresh() {
                sleep(LINGER).await;
            }
        };
        let ended = tokio::select! {
            biased;
            _ = poll_fn(|context| serving.poll_without_shutdown(context)) => true,
            () = finishing => false,
        };
        if !ended {
            Pin::new(&mut serving).graceful_shutdown();
            let _ = poll_fn(|context| serving.poll_without_shutdown(context)).await;
        }
        close(serving.into_parts().io.into_inner(), connection.has_unread()).await;
    }
}

/// Ends a stream. A client that is still sending when it is refused is read from until it has seen the answer: a socket
/// that is closed over unread bytes is reset, and the reset overtakes the answer.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, unread: bool) {
    if stream.shutdown().await.is_ok() && unread {
        let mut rest = vec![0; 8 << 10];
        let _ = timeout(LINGER, async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} }).await;
    }
}

/// What hyper asks for the answer to each request of a connection.
fn service(
    connection: &Arc<Connection>,
    requests: &Arc<Requests>,
) -> impl HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Unpin + Send + 'static> + Unpin + use<> {
    let (connection, requests) = (Arc::clone(connection), Arc::clone(requests));
    service_fn(move |request| {
        let (connection, requests) = (Arc::clone(&connection), Arc::clone(&requests));
        Box::pin(async move { Ok::<_, Infallible>(requests.answer(&connection, request).await) })
    })
}
