//! How often the catalog of a namespace may be written: at once, and then no more than once in so long, longer the larger it is.
//! All large ones together are written no faster than so many bytes a second: one grant of many secrets and subjects, for many
//! namespaces, makes as many large catalogs, each time that it changes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long is waited after a write before the next.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// From how many bytes on a catalog is a large one: more than one owner who shares can make it.
const LARGE: usize = 512 * 1024;
/// How many bytes a second are written of one catalog, and of all large ones together.
const OF_ONE: f64 = 16.0 * 1024.0;
const OF_ALL: f64 = 1024.0 * 1024.0;

/// When each namespace may be written again.
#[derive(Debug, Default)]
pub struct Pace(Mutex<Free>);

#[derive(Debug, Default)]
struct Free {
    namespaces: HashMap<String, Instant>,
    /// When it is the turn of those whose catalog is large.
    turns: HashMap<String, Instant>,
    /// When the next large one may have its turn.
    next: Option<Instant>,
}

impl Pace {
    /// When it may be written again; none if it may be now.
    pub fn free_at(&self, namespace: &str) -> Option<Instant> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(turn) = free.turns.get(namespace).filter(|turn| **turn > now) {
            return Some(*turn);
        }
        let at = free.namespaces.get(namespace).copied()?;
        if at > now {
            return Some(at);
        }
        free.namespaces.remove(namespace);
        None
    }

    /// When it is the turn of a namespace whose catalog is to have so many bytes; none if it is now.
    pub fn turn(&self, namespace: &str, bytes: usize) -> Option<Instant> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let had = free.turns.remove(namespace);
        if bytes < LARGE {
            return None;
        }
        let turn = had.unwrap_or_else(|| {
            let turn = free.next.map_or(now, |next| next.max(now));
            free.next = Some(turn + at_rate(bytes, OF_ALL));
            turn
        });
        if turn <= now {
            return None;
        }
        free.turns.insert(namespace.to_owned(), turn);
        Some(turn)
    }

    /// So many bytes of it have been written, or that was tried.
    pub fn note(&self, namespace: &str, bytes: usize) {
        let pause = INTERVAL.max(at_rate(bytes, OF_ONE));
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.namespaces.insert(namespace.to_owned(), Instant::now() + pause);
    }
}

/// How long so many bytes take at a rate, in bytes a second.
fn at_rate(bytes: usize, rate: f64) -> Duration {
    Duration::from_secs_f64(f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_namespace_is_free_at_once_and_again_when_the_interval_is_over() {
        let pace = Pace::default();
        assert_eq!(pace.free_at("alice"), None);
        pace.note("alice", 1000);
        let end = Instant::now() + INTERVAL;
        assert_eq!((pace.free_at("alice"), pace.free_at("bob")), (Some(end), None));
        advance(INTERVAL / 2).await;
        assert_eq!(pace.free_at("alice"), Some(end));
        advance(INTERVAL / 2).await;
        assert_eq!(pace.free_at("alice"), None);
        assert!(pace.0.lock().unwrap().namespaces.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn large_ones_wait_for_each_other_and_small_ones_for_none() {
        let (pace, now) = (Pace::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(pace.turn("alice", 1024 * 1024), None);
        pace.note("alice", 1024 * 1024);
        assert_eq!(pace.free_at("alice"), Some(now + second * 64));
        // The turn stays the same, however often it is asked for.
        for _ in 0..2 {
            assert_eq!((pace.turn("bob", LARGE), pace.free_at("bob")), (Some(now + second), Some(now + second)));
        }
        assert_eq!(pace.turn("carol", LARGE), Some(now + second + second / 2));
        assert_eq!(pace.turn("dave", LARGE - 1), None);
        advance(second).await;
        assert_eq!((pace.free_at("bob"), pace.turn("bob", LARGE)), (None, None));
        assert_eq!(pace.turn("carol", LARGE - 1), None);
        assert!(pace.0.lock().unwrap().turns.is_empty());
    }
}
