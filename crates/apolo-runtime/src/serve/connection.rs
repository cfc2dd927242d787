//! One connection: from its first byte to its last, and how useful it is meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_rustls::TlsAcceptor;

use super::handshake::handshake;
use super::protocol::{LINGER, Protocol};
use super::request::Requests;
use crate::limits::Limits;

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) protocol: Protocol,
    pub(super) requests: Arc<Requests>,
}

/// What is known of a connection outside of its task. The counters only steer when it is closed.
#[derive(Debug)]
pub(super) struct Connection {
    opened: Instant,
    /// Milliseconds from `opened` to the last step forward: the handshake, or an answer.
    step: AtomicU64,
    /// Whether a request has been answered.
    answered: AtomicBool,
    /// Requests whose body is being read.
    reading: AtomicU32,
    /// Requests whose body is there.
    working: AtomicU32,
    /// Answers that the client has not taken.
    untaken: AtomicU32,
    /// Milliseconds from `opened` to when the client last took one, or had taken all.
    taking: AtomicU64,
    /// Whether it is to be cut without an end in order.
    cut: AtomicBool,
    /// Whether a body was left in the socket.
    unread: AtomicBool,
    evicted: AtomicBool,
    evict: Notify,
    finish: Notify,
}

impl Connection {
    pub(super) fn new(opened: Instant) -> Self {
        Self {
            opened,
            step: AtomicU64::new(0),
            answered: AtomicBool::new(false),
            reading: AtomicU32::new(0),
            working: AtomicU32::new(0),
            untaken: AtomicU32::new(0),
            taking: AtomicU64::new(0),
            cut: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            evicted: AtomicBool::new(false),
            evict: Notify::new(),
            finish: Notify::new(),
        }
    }

    /// The life of the connection over `stream`.
    pub(super) async fn run(self: Arc<Self>, stream: TcpStream, shared: Arc<Shared>) {
        let _open = shared.requests.metrics.connection();
        // Without it an answer waits for the acknowledgement of the one before: 40 ms.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = &shared.tls else { return self.talk(stream, false, &shared).await };
        let shaken = tokio::select! {
            shaken = handshake(acceptor, stream, shared.limits.header_timeout) => shaken,
            () = self.evict.notified() => return,
        };
        match shaken {
            Ok(stream) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.talk(stream, http2, &shared).await;
            }
            Err((reason, error)) => {
                shared.requests.metrics.handshake_failed(reason);
                tracing::debug!(reason = reason.name(), %error, "a TLS handshake failed");
            }
        }
    }

    async fn talk<S>(self: &Arc<Self>, stream: S, http2: bool, shared: &Shared)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.step(Instant::now());
        let talk = async {
            if http2 {
                shared.protocol.http2(stream, self, &shared.requests).await;
            } else {
                shared.protocol.http1(stream, self, &shared.requests).await;
            }
        };
        tokio::select! {
            () = talk => {}
            () = self.useless(&shared.limits) => {}
        }
    }

    /// Resolves when the connection is to be ended: it was evicted or has not been used for too long, and, if it has been
    /// used at all, has had time to end in order.
    pub(super) async fn useless(&self, limits: &Limits) {
        loop {
            tokio::select! {
                () = self.evict.notified() => break,
                // The deadline moves with each answer, and then it is `idle_timeout` that counts.
                () = sleep_until(self.deadline(limits).min(Instant::now() + limits.idle_timeout)) => {
                    if self.deadline(limits) <= Instant::now() {
                        break;
                    }
                }
            }
        }
        if self.answered.load(Ordering::Relaxed) && !self.cut.load(Ordering::Relaxed) {
            self.finish();
            sleep(LINGER).await;
        }
    }

    /// By when there must be a request.
    fn deadline(&self, limits: &Limits) -> Instant {
        if self.is_fresh() {
            self.stepped() + limits.header_timeout
        } else if self.is_idle() {
            self.stepped() + limits.idle_timeout
        } else {
            Instant::now() + limits.idle_timeout
        }
    }

    /// Asks it to end after the requests that it has begun.
    pub(super) fn finish(&self) {
        self.finish.notify_one();
    }

    /// Resolves when it is to end.
    pub(super) async fn finishing(&self) {
        self.finish.notified().await;
    }

    /// Makes it end to make room: at once if it has never been of use.
    pub(super) fn evict(&self) {
        self.evicted.store(true, Ordering::Relaxed);
        self.evict.notify_one();
    }

    /// Ends it at once, whatever is on its way.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
        self.evict();
    }

    /// Since when the client has taken none of the answers that there are for it, if there are any.
    pub(super) fn stuck(&self) -> Option<Instant> {
        let stuck = self.untaken.load(Ordering::Relaxed) > 0 && !self.cut.load(Ordering::Relaxed);
        stuck.then(|| self.at(&self.taking))
    }

    /// The order in which connections are evicted, lowest first: those that never completed a request, then the others,
    /// each from the one that has made no step for longest. None while it is worked for, or is already on its way out.
    pub(super) fn usefulness(&self) -> Option<(bool, Instant)> {
        let spared = self.working.load(Ordering::Relaxed) > 0 || self.evicted.load(Ordering::Relaxed);
        (!spared).then(|| (self.answered.load(Ordering::Relaxed), self.stepped()))
    }

    /// Whether no request has arrived yet.
    pub(super) fn is_fresh(&self) -> bool {
        !self.answered.load(Ordering::Relaxed) && self.is_idle()
    }

    fn is_idle(&self) -> bool {
        self.working.load(Ordering::Relaxed) == 0 && self.reading.load(Ordering::Relaxed) == 0
    }

    fn stepped(&self) -> Instant {
        self.at(&self.step)
    }

    fn step(&self, now: Instant) {
        self.note(&self.step, now);
    }

    fn at(&self, moment: &AtomicU64) -> Instant {
        self.opened + Duration::from_millis(moment.load(Ordering::Relaxed))
    }

    fn note(&self, moment: &AtomicU64, now: Instant) {
        let millis = u64::try_from((now - self.opened).as_millis()).unwrap_or(u64::MAX);
        moment.store(millis, Ordering::Relaxed);
    }

    /// There is an answer for the client to take.
    pub(super) fn answers(&self) {
        if self.untaken.fetch_add(1, Ordering::Relaxed) == 0 {
            self.note(&self.taking, Instant::now());
        }
    }

    /// The client has taken an answer.
    pub(super) fn has_taken(&self) {
        self.note(&self.taking, Instant::now());
        self.untaken.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a request whose body is being read, until the guard is dropped.
    pub(super) fn reading(&self) -> impl Drop + use<'_> {
        self.reading.fetch_add(1, Ordering::Relaxed);
        Guard(self, |this| {
            this.reading.fetch_sub(1, Ordering::Relaxed);
        })
    }

    /// Counts a request that is being answered; dropping the guard is the answer.
    pub(super) fn working(&self) -> impl Drop + use<'_> {
        self.working.fetch_add(1, Ordering::Relaxed);
        Guard(self, |this| {
            this.step(Instant::now());
            this.answered.store(true, Ordering::Relaxed);
            this.working.fetch_sub(1, Ordering::Relaxed);
        })
    }

    /// A body was refused before its end.
    pub(super) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }
}

struct Guard<'a>(&'a Connection, fn(&Connection));

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        (self.1)(self.0);
    }
}
