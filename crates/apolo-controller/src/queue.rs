//! What is to be looked at, and when: each once, however often it is asked for, and never twice at the same time.
//!
//! Grants of which only the status is still to be written wait behind all that are due: access comes before words.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::key::GrantKey;
use crate::store::Woken;

/// How many grants are handed out before one whose status waits, so that words come also while grants never end.
const BEFORE_WORDS: u32 = 7;

/// All that waits.
#[derive(Debug, Default)]
pub struct Queues {
    /// The grants.
    pub grants: Queue<GrantKey>,
    /// The namespaces in which shared secrets are used, for what is delivered there.
    pub destinations: Queue<String>,
    /// The namespaces, for their catalogs.
    pub catalogs: Queue<String>,
}

impl Queues {
    /// All of this is to be looked at, now.
    pub fn wake(&self, woken: Woken) {
        woken.grants.into_iter().for_each(|key| self.grants.wake(key));
        woken.destinations.into_iter().for_each(|namespace| self.destinations.wake(namespace));
        woken.catalogs.into_iter().for_each(|namespace| self.catalogs.wake(namespace));
    }
}

/// What waits of one sort.
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

/// What is to be looked at now. It is not handed out again before [`Queue::done`].
#[derive(Clone, Debug)]
pub struct Job<K> {
    /// Which.
    pub key: K,
    /// Since when it has been due.
    pub since: Instant,
    /// Whether only its status was still to be written.
    pub words: bool,
}

#[derive(Debug)]
struct State<K> {
    due: BTreeSet<(Instant, K)>,
    at: HashMap<K, Instant>,
    running: HashSet<K>,
    words: BTreeSet<(Instant, K)>,
    /// How many were handed out since the last whose status waited.
    since_words: u32,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        let (due, at, running, words) = (BTreeSet::new(), HashMap::new(), HashSet::new(), BTreeSet::new());
        Self { state: Mutex::new(State { due, at, running, words, since_words: 0 }), changed: Notify::default() }
    }
}

impl<K: Clone + Ord + Hash> Queue<K> {
    /// It is to be looked at, now.
    pub fn wake(&self, key: K) {
        self.wake_at(key, Instant::now());
    }

    /// It is to be looked at, at `at`, or sooner if that was asked for before.
    pub fn wake_at(&self, key: K, at: Instant) {
        let mut state = self.lock();
        match state.at.get(&key).copied() {
            Some(sooner) if sooner <= at => return,
            Some(later) => {
                state.due.remove(&(later, key.clone()));
            }
            None => {}
        }
        state.at.insert(key.clone(), at);
        state.due.insert((at, key));
        drop(state);
        self.changed.notify_one();
    }

    /// Its status is to be written when nothing is due.
    pub fn wake_for_words(&self, key: K) {
        self.lock().words.insert((Instant::now(), key));
        self.changed.notify_one();
    }

    /// Whether there are due ones that are not being looked at.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.lock().due.first().is_some_and(|(at, _)| *at <= Instant::now())
    }

    /// The next that is due. Only one may wait here at a time.
    pub async fn take(&self) -> Job<K> {
        loop {
            let changed = self.changed.notified();
            let next = self.lock().take(Instant::now());
            match next {
                Ok(job) => return job,
                Err(Some(at)) => {
                    tokio::select! {
                        () = changed => {}
                        () = sleep_until(at) => {}
                    }
                }
                Err(None) => changed.await,
            }
        }
    }

    /// One that was taken has been looked at.
    pub fn done(&self, key: &K) {
        self.lock().running.remove(key);
        self.changed.notify_one();
    }

    /// How many are due or being looked at.
    #[must_use]
    pub fn length(&self) -> usize {
        let now = Instant::now();
        let state = self.lock();
        state.running.len() + state.words.len() + state.due.iter().take_while(|(at, _)| *at <= now).count()
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Ord + Hash> State<K> {
    /// A job that is due; otherwise when there will be one, if nothing changes.
    fn take(&mut self, now: Instant) -> Result<Job<K>, Option<Instant>> {
        let next = self.free(&self.due);
        let is_due = next.as_ref().is_some_and(|(since, _)| *since <= now);
        let words = if is_due && self.since_words < BEFORE_WORDS { None } else { self.free(&self.words) };
        let (since, key, for_words) = match (words, next) {
            (Some((since, key)), _) => (since, key, true),
            (None, Some((since, key))) if is_due => (since, key, false),
            (None, next) => return Err(next.map(|(at, _)| at)),
        };
        if for_words {
            self.words.remove(&(since, key.clone()));
            self.since_words = 0;
        } else {
            self.due.remove(&(since, key.clone()));
            self.at.remove(&key);
            self.since_words = self.since_words.saturating_add(1);
        }
        self.running.insert(key.clone());
        Ok(Job { key, since, words: for_words })
    }

    /// The first that is not being looked at.
    fn free(&self, waiting: &BTreeSet<(Instant, K)>) -> Option<(Instant, K)> {
        waiting.iter().find(|(_, key)| !self.running.contains(key)).cloned()
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(name: &str) -> GrantKey {
        GrantKey::new("alice", name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_grant_waits_once_and_is_never_out_twice() {
        let queue = Queue::default();
        queue.wake(key("a"));
        queue.wake(key("a"));
        assert_eq!(queue.take().await.key, key("a"));
        queue.wake(key("a"));
        queue.wake_at(key("b"), Instant::now() + Duration::from_secs(9));
        assert_eq!(queue.length(), 2);
        assert_eq!(queue.take().await.key, key("b"));
        queue.done(&key("a"));
        assert_eq!(queue.take().await.key, key("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn words_come_when_no_grant_is_due_and_after_seven_that_are() {
        let queue = Queue::default();
        queue.wake_for_words(key("first"));
        queue.wake_for_words(key("second"));
        queue.wake_at(key("later"), Instant::now() + Duration::from_secs(9));
        assert!(!queue.is_behind());
        let grants: Vec<GrantKey> = (0..8).map(|number| key(&number.to_string())).collect();
        grants.iter().for_each(|grant| queue.wake(grant.clone()));
        assert!(queue.is_behind());
        for grant in &grants[..7] {
            let job = queue.take().await;
            assert!(!job.words && job.key == *grant, "{job:?}");
        }
        let job = queue.take().await;
        assert!(job.words && job.key == key("first"), "{job:?}");
        assert_eq!(queue.take().await.key, grants[7]);
        assert_eq!(queue.take().await.key, key("second"));
        assert_eq!(queue.take().await.key, key("later"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_sooner_of_two_times_counts() {
        let queue = Queue::default();
        let began = Instant::now();
        for seconds in [9, 5, 7] {
            queue.wake_at(key("a"), began + Duration::from_secs(seconds));
        }
        assert_eq!(queue.take().await.since, began + Duration::from_secs(5));
        assert_eq!(Instant::now(), began + Duration::from_secs(5));
        assert_eq!(queue.length(), 1);
    }
}
