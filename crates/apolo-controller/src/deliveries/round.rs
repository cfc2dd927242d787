//! Who is still to be looked at in each destination. One look has room for so many questions: so what is withdrawn meanwhile never
//! waits behind thousands of them, and nor do other destinations.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::plan::Asker;
use crate::store::Party;

/// With so many questions a look is full.
const MOST_QUESTIONS: usize = 256;

/// Those who are left, by destination, in the order in which it is their turn.
#[derive(Debug, Default)]
pub struct Rounds(Mutex<HashMap<String, Vec<Arc<Party>>>>);

impl Rounds {
    /// Whose turn it is of those who lack something: first those who were left before, and in a look at the rest nobody else. Those for
    /// whom there is no room are left.
    pub(super) fn turn(
        &self,
        namespace: &str,
        askers: &[Asker<'_>],
        lacking: impl Iterator<Item = usize>,
        is_rest: bool,
    ) -> Vec<usize> {
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = rounds.remove(namespace).unwrap_or_default();
        let places: HashMap<&Party, usize> = left.iter().map(AsRef::as_ref).zip(0..).collect();
        let place = |index: usize| askers.get(index).and_then(|asker| places.get(asker.party.as_ref())).copied();
        let placed = lacking.map(|index| (place(index).unwrap_or(usize::MAX), index));
        let mut turn: Vec<(usize, usize)> = placed.filter(|(place, _)| !is_rest || *place != usize::MAX).collect();
        turn.sort_unstable();
        let mut turn: Vec<usize> = turn.into_iter().map(|(_, index)| index).collect();
        let mut questions = 0;
        let room = turn.iter().take_while(|index| {
            let has_room = questions < MOST_QUESTIONS;
            questions += askers.get(**index).map_or(0, |asker| 1 + asker.allowed().count());
            has_room
        });
        let rest = turn.split_off(room.count());
        let left: Vec<Arc<Party>> =
            rest.into_iter().filter_map(|index| Some(Arc::clone(askers.get(index)?.party))).collect();
        if !left.is_empty() {
            rounds.insert(namespace.to_owned(), left);
        }
        turn
    }

    /// One of whom not all was done is left, after all others.
    pub(super) fn leave(&self, namespace: &str, party: &Arc<Party>) {
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.entry(namespace.to_owned()).or_default().push(Arc::clone(party));
    }

    /// Whether there are such.
    pub(super) fn is_anybody_left(&self, namespace: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(namespace)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::deliveries::plan::May;
    use crate::store::Asked;
    use apolo_core::subject::Subject;

    const EACH: usize = 63;
    /// As many as make a look full, with a question more for each.
    const MOST: usize = MOST_QUESTIONS / (EACH + 1);

    fn parties(count: usize) -> Vec<Arc<Party>> {
        let asked = |key: usize| Asked {
            reference: String::new(),
            owner: "alice".into(),
            key: String::new(),
            object: String::new(),
            entry: String::new(),
            copy: key.to_string(),
        };
        let party = |number: usize| Party {
            asked: (0..EACH).map(asked).collect(),
            identities: Vec::new(),
            subject: Subject::User(number.to_string()),
            mistakes: None,
        };
        (0..count).map(|number| Arc::new(party(number))).collect()
    }

    fn askers(parties: &[Arc<Party>], may: May) -> Vec<Asker<'_>> {
        parties.iter().map(|party| Asker { party, pods: Vec::new(), may: vec![may; EACH] }).collect()
    }

    #[test]
    fn each_has_its_turn_also_while_all_begin_to_lack_something_again() {
        let parties = parties(3 * MOST);
        let (rounds, askers) = (Rounds::default(), askers(&parties, May::Yes));
        let turn = |is_rest| rounds.turn("bob", &askers, 0..askers.len(), is_rest);
        let (first, second, third) = (0..MOST, MOST..2 * MOST, 2 * MOST..3 * MOST);
        assert!(turn(false).into_iter().eq(first.clone()) && rounds.is_anybody_left("bob"));
        assert!(turn(true).into_iter().eq(second.clone()));
        assert!(turn(false).into_iter().eq(third.clone()));
        assert!(turn(true).into_iter().eq(first));
        assert!(turn(true).into_iter().eq(second));
        assert!(turn(true).is_empty() && !rounds.is_anybody_left("bob"));
        rounds.leave("bob", &parties[2]);
        assert!(turn(true) == [2] && !rounds.is_anybody_left("bob"));
    }

    #[test]
    fn those_about_whom_nothing_is_asked_take_little_room() {
        let parties = parties(2 * MOST);
        let rounds = Rounds::default();
        let askers = askers(&parties, May::No);
        assert_eq!(rounds.turn("bob", &askers, 0..askers.len(), false).len(), 2 * MOST);
    }
}
