//! How often the catalog of a namespace may be written: at once, and then no more than once in so long.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long is waited after a write before the next.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// When each namespace may be written again.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<String, Instant>>);

impl Pace {
    /// When it may be written again; none if it may be now.
    pub fn free_at(&self, namespace: &str) -> Option<Instant> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = free.get(namespace).copied()?;
        if at > Instant::now() {
            return Some(at);
        }
        free.remove(namespace);
        None
    }

    /// It has been written, or that was tried.
    pub fn note(&self, namespace: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace.to_owned(), Instant::now() + INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_namespace_is_free_at_once_and_again_when_the_interval_is_over() {
        let pace = Pace::default();
        assert_eq!(pace.free_at("alice"), None);
        pace.note("alice");
        let end = Instant::now() + INTERVAL;
        assert_eq!((pace.free_at("alice"), pace.free_at("bob")), (Some(end), None));
        advance(INTERVAL / 2).await;
        assert_eq!(pace.free_at("alice"), Some(end));
        advance(INTERVAL / 2).await;
        assert_eq!(pace.free_at("alice"), None);
        assert!(pace.0.lock().unwrap().is_empty());
    }
}
