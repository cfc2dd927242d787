//! Answers that clients have not taken yet: the memory that they may use together.
//!
//! A client of HTTP/2 says how much it takes, and one that takes nothing leaves its answers here. So an answer is counted
//! from when it is made until its last byte is on its way; while there are too many, nobody is worked for, and the
//! connection that has taken nothing for longest is cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::connection::Connection;
use crate::status;

/// How long to wait for the room of a connection that is cut before the next is cut.
const PAUSE: Duration = Duration::from_millis(10);

/// What an answer costs besides its bytes: a stream of HTTP/2 that does not end.
const STREAM: usize = 1 << 10;

/// The memory of answers. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Answers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    untaken: AtomicUsize,
    /// Told when there is room again.
    taken: Notify,
    /// Told when somebody waits for room.
    crowded: Notify,
}

impl Answers {
    /// Room for `most` bytes, and in any case for one answer.
    pub(super) fn new(most: usize) -> Self {
        let untaken = AtomicUsize::new(0);
        Self(Arc::new(Shared { most, untaken, taken: Notify::new(), crowded: Notify::new() }))
    }

    /// Resolves when another answer may be made.
    pub(super) async fn room(&self) {
        let Self(shared) = self;
        while self.is_crowded() {
            shared.crowded.notify_one();
            let _ = timeout(PAUSE, shared.taken.notified()).await;
        }
    }

    /// Whether there is no room.
    pub(super) fn is_crowded(&self) -> bool {
        self.0.untaken.load(Ordering::Relaxed) >= self.0.most.max(1)
    }

    /// Resolves when somebody waits for room, and a connection is to be cut.
    pub(super) async fn crowded(&self) {
        self.0.crowded.notified().await;
    }

    /// Counts an answer until the client of `connection` has taken it. One whose length is not known, which is made
    /// while it is taken, is left alone.
    pub(super) async fn count(&self, connection: &Arc<Connection>, answer: Response<Body>) -> Response<Body> {
        if answer.body().size_hint().exact().is_none() {
            return answer;
        }
        let (head, body) = answer.into_parts();
        match body.collect().await {
            Ok(whole) => {
                let untaken = Untaken::new(whole.to_bytes(), Arc::clone(connection), self.clone());
                Response::from_parts(head, Body::from(Bytes::from_owner(untaken)))
            }
            Err(_) => status::response(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "the answer broke off"),
        }
    }
}

/// The bytes of an answer, until the last part of them is gone.
struct Untaken {
    bytes: Bytes,
    connection: Arc<Connection>,
    answers: Answers,
}

impl Untaken {
    fn new(bytes: Bytes, connection: Arc<Connection>, answers: Answers) -> Self {
        answers.0.untaken.fetch_add(bytes.len() + STREAM, Ordering::Relaxed);
        connection.answers();
        Self { bytes, connection, answers }
    }
}

impl AsRef<[u8]> for Untaken {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        let Answers(shared) = &self.answers;
        let before = shared.untaken.fetch_sub(self.bytes.len() + STREAM, Ordering::Relaxed);
        if before >= shared.most {
            shared.taken.notify_one();
        }
        self.connection.has_taken();
    }
}
