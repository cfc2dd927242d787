//! Watches that say nothing more, though their connections stand.

use std::future::pending;

use axum::body::Body;
use futures_util::StreamExt;
use tokio::sync::watch::Sender;

use super::Proxy;

/// How often it was hushed.
#[derive(Debug)]
pub(super) struct Hush(Sender<usize>);

impl Default for Hush {
    fn default() -> Self {
        Self(Sender::new(0))
    }
}

impl Hush {
    /// The answer to a watch that is begun now.
    pub(super) fn over(&self, answer: Body) -> Body {
        let times = self.0.subscribe();
        let before = *times.borrow();
        Body::from_stream(answer.into_data_stream().then(move |told| {
            let is_hushed = *times.borrow() != before;
            async move { if is_hushed { pending().await } else { told } }
        }))
    }
}

impl Proxy {
    /// From now on the watches that there are tell nothing. New ones do.
    pub fn hush(&self) {
        self.site.hush.0.send_modify(|times| *times += 1);
    }
}
