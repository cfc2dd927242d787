//! Which grants are to be looked at, and when: each once, however often it is asked for, and never twice at the same time.
//!
//! Those of which only the status is still to be written wait behind all that are due: access comes before words.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::key::GrantKey;

/// How many grants are handed out before one whose status waits, so that words come also while grants never end.
const BEFORE_WORDS: u32 = 7;

/// The grants that wait.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

/// A grant that is to be looked at now. It is not handed out again before [`Queue::done`].
#[derive(Clone, Debug)]
pub struct Job {
    /// Which.
    pub key: GrantKey,
    /// Since when it has been due.
    pub since: Instant,
    /// Whether only its status was still to be written.
    pub words: bool,
}

#[derive(Debug, Default)]
struct State {
    due: BTreeSet<(Instant, GrantKey)>,
    at: HashMap<GrantKey, Instant>,
    running: HashSet<GrantKey>,
    words: BTreeSet<(Instant, GrantKey)>,
    /// How many were handed out since the last whose status waited.
    since_words: u32,
}

impl Queue {
    /// A grant is to be looked at, now.
    pub fn wake(&self, key: GrantKey) {
        self.wake_at(key, Instant::now());
    }

    /// A grant is to be looked at, at `at`, or sooner if that was asked for before.
    pub fn wake_at(&self, key: GrantKey, at: Instant) {
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

    /// The status of a grant is to be written when no grant is due.
    pub fn wake_for_words(&self, key: GrantKey) {
        self.lock().words.insert((Instant::now(), key));
        self.changed.notify_one();
    }

    /// Whether grants are due that are not being looked at.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.lock().due.first().is_some_and(|(at, _)| *at <= Instant::now())
    }

    /// The next grant that is due. Only one may wait here at a time.
    pub async fn take(&self) -> Job {
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

    /// A grant that was taken has been looked at.
    pub fn done(&self, key: &GrantKey) {
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A job that is due; otherwise when there will be one, if nothing changes.
    fn take(&mut self, now: Instant) -> Result<Job, Option<Instant>> {
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
    fn free(&self, waiting: &BTreeSet<(Instant, GrantKey)>) -> Option<(Instant, GrantKey)> {
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
