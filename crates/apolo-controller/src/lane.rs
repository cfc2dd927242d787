//! What is due in a queue, so many at a time, each tried again after a pause when it failed.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::queue::{Job, Queue};

/// How long the first pause after a failure is, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));

/// Counts how often each has failed in a row.
#[derive(Debug)]
pub struct Failures<K>(Mutex<HashMap<K, u32>>);

impl<K> Default for Failures<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash> Failures<K> {
    /// It went well.
    pub fn forget(&self, key: &K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Whether it has failed since it last went well.
    pub fn has(&self, key: &K) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    /// It failed: how often it has in a row now, and how long to wait before it is tried again. Pauses double.
    pub fn count(&self, key: &K) -> (u32, Duration) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(key.clone()).or_default();
        *count = count.saturating_add(1);
        let (first, longest) = PAUSES;
        (*count, first.saturating_mul(1 << (*count - 1).min(10)).min(longest))
    }
}

/// Hands out what is due for as long as it is polled, `width` at a time; what was begun goes on in `running`.
pub async fn hand_out<K, W>(
    queue: &Queue<K>,
    width: impl Fn() -> usize,
    running: &mut JoinSet<()>,
    work: impl Fn(Job<K>) -> W,
) where
    K: Clone + Ord + Hash + fmt::Debug,
    W: Future<Output = ()> + Send + 'static,
{
    loop {
        while running.len() >= width() {
            running.join_next().await;
        }
        let job = queue.take().await;
        running.spawn(work(job));
        while running.try_join_next().is_some() {}
    }
}
