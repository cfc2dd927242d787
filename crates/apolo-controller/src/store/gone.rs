//! What has gone a moment ago: an answer that comes after the watch told that its object has gone brings nothing back.

use std::collections::{HashSet, VecDeque};

/// How many are remembered: more than can have gone while an answer was on its way.
const MOST: usize = 4096;

/// The UIDs of what has gone, the newest of them.
#[derive(Debug, Default)]
pub(super) struct Gone {
    order: VecDeque<String>,
    all: HashSet<String>,
}

impl Gone {
    /// It has gone.
    pub(super) fn add(&mut self, uid: &str) {
        if !self.all.insert(uid.to_owned()) {
            return;
        }
        self.order.push_back(uid.to_owned());
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }

    /// Whether it has gone, as far as that is remembered.
    pub(super) fn has(&self, uid: &str) -> bool {
        self.all.contains(uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered() {
        let mut gone = Gone::default();
        for uid in 0..=MOST {
            gone.add(&uid.to_string());
            gone.add(&uid.to_string());
        }
        assert!(!gone.has("0") && gone.has("1") && gone.has(&MOST.to_string()));
        assert!(gone.order.len() == MOST && gone.all.len() == MOST);
    }
}
