//! What is due in a queue, so many at a time, each tried again after a pause when it failed.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

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
    let mut keys = HashMap::new();
    loop {
        let has_room = running.len() < width();
        tokio::select! {
            Some(ended) = running.join_next_with_id() => {
                let (id, failure) = match ended {
                    Ok((id, ())) => (id, None),
                    Err(failure) => (failure.id(), Some(failure)),
                };
                // It would never be looked at again.
                if let (Some(key), Some(failure)) = (keys.remove(&id), failure) {
                    // What it says may hold anything.
                    let panicked = failure.is_panic();
                    tracing::error!(?key, panicked, "there is a defect: a look ended by itself; it is begun again");
                    queue.done(&key);
                    queue.wake_at(key, Instant::now() + PAUSES.1);
                }
            }
            job = queue.take(), if has_room => {
                let key = job.key.clone();
                keys.insert(running.spawn(work(job)).id(), key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[tokio::test(start_paused = true)]
    async fn what_panics_is_begun_again_after_a_pause_and_holds_up_nothing() {
        let (queue, looks) = (Arc::new(Queue::default()), Arc::new(AtomicUsize::new(0)));
        queue.wake("panics");
        let began = Instant::now();
        let mut running = JoinSet::new();
        let work = |job: Job<&'static str>| {
            let (queue, looks) = (Arc::clone(&queue), Arc::clone(&looks));
            async move {
                assert!(looks.fetch_add(1, Relaxed) > 0, "a defect");
                queue.done(&job.key);
                looks.fetch_add(10, Relaxed);
            }
        };
        let until = async {
            while looks.load(Relaxed) < 12 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = hand_out(&queue, || 1, &mut running, work) => {}
            () = until => {}
        }
        assert!(began.elapsed() >= PAUSES.1);
    }
}
