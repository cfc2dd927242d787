//! Bodies that are on their way, oldest first: when it gets tight, the one that has taken longest is given up.
//!
//! An honest body is there within milliseconds; a thousand that send a byte a second are shed one by one for those who
//! come after them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A body that takes longer is slow, if others need its room.
const SLOW: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Queue {
    max: usize,
    bodies: Mutex<Bodies>,
}

#[derive(Debug, Default)]
struct Bodies {
    next: u64,
    queued: BTreeMap<u64, (Instant, Arc<Notify>)>,
}

/// A place in the queue, until it is dropped.
#[derive(Debug)]
pub(super) struct Queued<'a> {
    queue: &'a Queue,
    number: u64,
    shed: Arc<Notify>,
}

impl Queue {
    /// A queue for at most `max` bodies.
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), bodies: Mutex::default() }
    }

    /// Takes the last place; if there is none, the first is given up for it.
    pub(super) fn enter(&self, now: Instant) -> Queued<'_> {
        let shed = Arc::new(Notify::new());
        let mut bodies = self.bodies();
        if bodies.queued.len() >= self.max {
            bodies.shed_first();
        }
        let number = bodies.next;
        bodies.next += 1;
        bodies.queued.insert(number, (now, Arc::clone(&shed)));
        Queued { queue: self, number, shed }
    }

    /// Gives up the first for a body that began at `begun`, if it is slow and was there before.
    pub(super) fn shed_slow(&self, begun: Instant, now: Instant) {
        let mut bodies = self.bodies();
        let slow = |since: Instant| since < begun && now.duration_since(since) > SLOW;
        if bodies.queued.first_key_value().is_some_and(|(_, (since, _))| slow(*since)) {
            bodies.shed_first();
        }
    }

    fn bodies(&self) -> MutexGuard<'_, Bodies> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bodies {
    fn shed_first(&mut self) {
        if let Some((_, (_, shed))) = self.queued.pop_first() {
            shed.notify_one();
        }
    }
}

impl Queued<'_> {
    /// Resolves when this body is given up for others.
    pub(super) async fn shed(&self) {
        self.shed.notified().await;
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.queue.bodies().queued.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn is_shed(queued: &Queued<'_>) -> bool {
        queued.shed().now_or_never().is_some()
    }

    #[test]
    fn gives_up_the_first_when_it_is_full() {
        let now = Instant::now();
        let queue = Queue::new(2);
        let (first, second) = (queue.enter(now), queue.enter(now));
        let third = queue.enter(now);
        assert!(is_shed(&first) && !is_shed(&second) && !is_shed(&third));
        drop(second);
        let fourth = queue.enter(now);
        assert!(!is_shed(&third) && !is_shed(&fourth));
    }

    #[test]
    fn gives_up_for_room_only_what_is_slow() {
        let now = Instant::now();
        let queue = Queue::new(9);
        let at = |millis| now + Duration::from_millis(millis);
        let (first, second) = (queue.enter(at(0)), queue.enter(at(200)));
        queue.shed_slow(at(0), at(300));
        queue.shed_slow(at(100), at(250));
        assert!(!is_shed(&first));
        queue.shed_slow(at(100), at(251));
        queue.shed_slow(at(100), at(999));
        assert!(is_shed(&first) && !is_shed(&second));
    }
}
