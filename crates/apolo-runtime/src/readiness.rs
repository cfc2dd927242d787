//! Whether this process should be sent requests, and if not, why not, in words.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

type Condition = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Ready when it has begun, has not been asked to stop, and all its conditions hold. Clones share one state.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    phase: Phase,
    conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Phase {
    #[default]
    Starting,
    Serving,
    Stopping,
}

impl Readiness {
    /// Not ready, since it has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition: asked at every probe, it tells what is missing as a sentence that reads alone.
    pub fn require(&self, condition: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.with(|state| state.conditions.push(Box::new(condition)));
    }

    /// The process has begun to serve; does nothing after [`Readiness::stop`].
    pub fn begin(&self) {
        self.with(|state| {
            if state.phase == Phase::Starting {
                state.phase = Phase::Serving;
            }
        });
    }

    /// The process has been asked to stop; never ready again.
    pub fn stop(&self) {
        self.with(|state| state.phase = Phase::Stopping);
    }

    /// What is missing, one sentence each; none if ready.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        self.with(|state| {
            let phase = match state.phase {
                Phase::Starting => Some("it is still starting".to_owned()),
                Phase::Serving => None,
                Phase::Stopping => Some("it is stopping".to_owned()),
            };
            phase.into_iter().chain(state.conditions.iter().filter_map(|condition| condition().err())).collect()
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Readiness").field(&self.missing()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_ready_between_begin_and_stop_while_all_conditions_hold() {
        let readiness = Readiness::new();
        assert_eq!(readiness.missing(), ["it is still starting"]);
        readiness.begin();
        assert!(readiness.missing().is_empty());
        readiness.require(|| Err("the cache is empty".to_owned()));
        assert_eq!(readiness.missing(), ["the cache is empty"]);
        readiness.clone().stop();
        readiness.begin();
        assert_eq!(readiness.missing(), ["it is stopping", "the cache is empty"]);
    }
}
