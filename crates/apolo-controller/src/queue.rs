//! Which grants are to be looked at, and when: each once, however often it is asked for, and never twice at the same time.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::key::GrantKey;

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
}

#[derive(Debug, Default)]
struct State {
    due: BTreeSet<(Instant, GrantKey)>,
    at: HashMap<GrantKey, Instant>,
    running: HashSet<GrantKey>,
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
        state.running.len() + state.due.iter().take_while(|(at, _)| *at <= now).count()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A job that is due; otherwise when there will be one, if nothing changes.
    fn take(&mut self, now: Instant) -> Result<Job, Option<Instant>> {
        let mut free = self.due.iter().filter(|(_, key)| !self.running.contains(key));
        let Some((since, key)) = free.next().cloned() else { return Err(None) };
        if since > now {
            return Err(Some(since));
        }
        self.due.remove(&(since, key.clone()));
        self.at.remove(&key);
        self.running.insert(key.clone());
        Ok(Job { key, since })
    }
}

#[cfg(test)]
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
