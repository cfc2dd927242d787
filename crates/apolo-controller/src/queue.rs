//! What is to be looked at, and when: each once, however often it is asked for, and never twice at the same time.
//!
//! What is left of one that was looked at waits behind all that are due: of a grant its status, for access comes before words; of a
//! destination those for whom there was no room.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::key::GrantKey;
use crate::store::Woken;

/// How many are handed out before one of which something is left, so that its turn comes also while others never end.
const BEFORE_REST: u32 = 7;

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
    /// Whether it is only what was left of it.
    pub is_rest: bool,
}

#[derive(Debug)]
struct State<K> {
    due: BTreeSet<(Instant, K)>,
    at: HashMap<K, Instant>,
    running: HashSet<K>,
    rest: BTreeSet<(Instant, K)>,
    rest_at: HashMap<K, Instant>,
    /// How many were handed out since the last of which something was left.
    since_rest: u32,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        let (due, at, running) = (BTreeSet::new(), HashMap::new(), HashSet::new());
        let (rest, rest_at) = (BTreeSet::new(), HashMap::new());
        let state = State { due, at, running, rest, rest_at, since_rest: 0 };
        Self { state: Mutex::new(state), changed: Notify::default() }
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

    /// What is left of it is to be looked at when nothing is due.
    pub fn wake_for_rest(&self, key: K) {
        let mut state = self.lock();
        if !state.rest_at.contains_key(&key) {
            let now = Instant::now();
            state.rest_at.insert(key.clone(), now);
            state.rest.insert((now, key));
        }
        drop(state);
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
        state.running.len() + state.rest.len() + state.due.iter().take_while(|(at, _)| *at <= now).count()
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
        let rest = if is_due && self.since_rest < BEFORE_REST { None } else { self.free(&self.rest) };
        let (since, key, is_rest) = match (rest, next) {
            (Some((since, key)), _) => (since, key, true),
            (None, Some((since, key))) if is_due => (since, key, false),
            (None, next) => return Err(next.map(|(at, _)| at)),
        };
        if is_rest {
            self.rest.remove(&(since, key.clone()));
            self.rest_at.remove(&key);
            self.since_rest = 0;
        } else {
            self.due.remove(&(since, key.clone()));
            self.at.remove(&key);
            self.since_rest = self.since_rest.saturating_add(1);
        }
        self.running.insert(key.clone());
        Ok(Job { key, since, is_rest })
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
    async fn what_is_left_comes_when_nothing_is_due_and_after_seven_that_are() {
        let queue = Queue::default();
        queue.wake_for_rest(key("first"));
        queue.wake_for_rest(key("second"));
        queue.wake_for_rest(key("first"));
        queue.wake_at(key("later"), Instant::now() + Duration::from_secs(9));
        assert!(!queue.is_behind());
        let grants: Vec<GrantKey> = (0..8).map(|number| key(&number.to_string())).collect();
        grants.iter().for_each(|grant| queue.wake(grant.clone()));
        assert!(queue.is_behind());
        for grant in &grants[..7] {
            let job = queue.take().await;
            assert!(!job.is_rest && job.key == *grant, "{job:?}");
        }
        let job = queue.take().await;
        assert!(job.is_rest && job.key == key("first"), "{job:?}");
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
