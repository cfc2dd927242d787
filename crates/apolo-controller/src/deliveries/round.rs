//! Who is still to be looked at in each destination, and who has been in vain. One look has room for so many questions: so what is
//! withdrawn meanwhile never waits behind thousands of them, and nor do other destinations. Who is looked at in vain again and again waits,
//! longer each time, so that nothing is asked without end for whom nothing changes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::plan::{Asker, May};
use crate::store::Party;

/// With so many questions a look is full.
const MOST_QUESTIONS: usize = 256;
/// How often one is looked at in vain, whenever something changes, before he waits.
const MOST_IN_VAIN: u32 = 3;
/// How long it takes until one is looked at again though nothing changes: the first time, and at most. It doubles.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(64));

/// For how long RBAC says no before that is told: what a grant gives may only be on its way, as when its Secret was just made anew.
const PATIENCE: Duration = Duration::from_secs(1);

/// Those who are left, and those who were looked at in vain, by destination.
#[derive(Debug, Default)]
pub struct Rounds(Mutex<HashMap<String, Round>>);

#[derive(Debug, Default)]
struct Round {
    /// In the order in which it is their turn.
    left: Vec<Arc<Party>>,
    vain: HashMap<Arc<Party>, Vain>,
}

/// Of one who was looked at in vain.
#[derive(Clone, Debug)]
struct Vain {
    /// How often in a row, while it was so.
    count: u32,
    /// Since when.
    since: Instant,
    /// When he is to be looked at again.
    until: Instant,
    /// [`Asker::state`], as it was.
    state: u64,
    /// The places of what he was refused.
    refused: Vec<usize>,
}

impl Vain {
    /// Whether he is not looked at now.
    fn waits(&self, asker: &Asker<'_>, now: Instant) -> bool {
        self.count > MOST_IN_VAIN && self.until > now && self.state == asker.state
    }
}

impl Rounds {
    /// What those who wait at `now` were refused they may not use, whatever the grants say: no copy stays for them.
    pub(super) fn remember(&self, namespace: &str, askers: &mut [Asker<'_>], now: Instant) {
        let rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(round) = rounds.get(namespace).filter(|round| !round.vain.is_empty()) else { return };
        for asker in askers {
            let Some(vain) = round.vain.get(asker.party).filter(|vain| vain.waits(asker, now)) else { continue };
            for place in &vain.refused {
                if let Some(may) = asker.may.get_mut(*place) {
                    *may = May::No;
                }
            }
        }
    }

    /// Whose turn it is at `now` of those who lack something: first those who were left before, and in a look at the rest nobody else. Those for
    /// whom there is no room are left.
    pub(super) fn turn(
        &self,
        namespace: &str,
        askers: &[Asker<'_>],
        lacking: impl Iterator<Item = usize>,
        is_rest: bool,
        now: Instant,
    ) -> Vec<usize> {
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Round { left, mut vain } = rounds.remove(namespace).unwrap_or_default();
        let lacking: Vec<usize> = lacking.collect();
        if !vain.is_empty() {
            let lack: HashSet<&Party> =
                lacking.iter().filter_map(|index| Some(askers.get(*index)?.party.as_ref())).collect();
            vain.retain(|party, _| lack.contains(party.as_ref()));
        }
        let waits = |asker: &Asker<'_>| vain.get(asker.party).is_some_and(|vain| vain.waits(asker, now));
        let places: HashMap<&Party, usize> = left.iter().map(AsRef::as_ref).zip(0..).collect();
        let placed = lacking.into_iter().filter_map(|index| {
            let asker = askers.get(index).filter(|asker| !waits(asker))?;
            Some((places.get(asker.party.as_ref()).copied().unwrap_or(usize::MAX), index))
        });
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
        if !left.is_empty() || !vain.is_empty() {
            rounds.insert(namespace.to_owned(), Round { left, vain });
        }
        turn
    }

    /// One of whom not all was done is left, after all others.
    pub(super) fn leave(&self, namespace: &str, party: &Arc<Party>) {
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.entry(namespace.to_owned()).or_default().left.push(Arc::clone(party));
    }

    /// Whether there are such.
    pub(super) fn is_anybody_left(&self, namespace: &str) -> bool {
        let rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.get(namespace).is_some_and(|round| !round.left.is_empty())
    }

    /// One was looked at in vain, and nobody may tell when that would be otherwise.
    pub(super) fn in_vain(&self, namespace: &str, asker: &Asker<'_>) {
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let vain = &mut rounds.entry(namespace.to_owned()).or_default().vain;
        let now = Instant::now();
        let before = vain.get(asker.party).filter(|vain| vain.state == asker.state);
        let (before, since) = before.map_or((0, now), |vain| (vain.count, vain.since));
        let (first, longest) = PAUSES;
        let until = now + first.saturating_mul(1 << before.min(16)).min(longest);
        let is_refused = |(place, may): (usize, &May)| (*may == May::No).then_some(place);
        let refused = asker.may.iter().enumerate().filter_map(is_refused).collect();
        let count = before.saturating_add(1);
        vain.insert(Arc::clone(asker.party), Vain { count, since, until, state: asker.state, refused });
    }

    /// One has what he lacked.
    pub(super) fn served(&self, namespace: &str, party: &Arc<Party>) {
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(round) = rounds.get_mut(namespace) {
            round.vain.remove(party);
        }
    }

    /// Whether one has been looked at in vain for so long that he is told, and nothing about him has changed meanwhile.
    pub(super) fn is_long_in_vain(&self, namespace: &str, asker: &Asker<'_>) -> bool {
        let rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let vain = rounds.get(namespace).and_then(|round| round.vain.get(asker.party));
        vain.is_some_and(|vain| vain.state == asker.state && vain.since.elapsed() >= PATIENCE)
    }

    /// When the next who was looked at in vain is to be looked at again.
    pub(super) fn next(&self, namespace: &str) -> Option<Instant> {
        let rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.get(namespace)?.vain.values().map(|vain| vain.until).min()
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::*;
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
        parties.iter().map(|party| Asker { party, pods: Vec::new(), may: vec![may; EACH], state: 0 }).collect()
    }

    #[test]
    fn each_has_its_turn_also_while_all_begin_to_lack_something_again() {
        let parties = parties(3 * MOST);
        let (rounds, askers) = (Rounds::default(), askers(&parties, May::Yes));
        let turn = |is_rest| rounds.turn("bob", &askers, 0..askers.len(), is_rest, Instant::now());
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
        assert_eq!(rounds.turn("bob", &askers, 0..askers.len(), false, Instant::now()).len(), 2 * MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_looked_at_in_vain_again_and_again_waits_unless_something_changes() {
        let parties = parties(2);
        let (rounds, mut askers) = (Rounds::default(), askers(&parties, May::Yes));
        let turn = |askers: &[Asker<'_>]| rounds.turn("bob", askers, 0..2, false, Instant::now());
        for count in 0..=MOST_IN_VAIN {
            assert_eq!(turn(&askers), [0, 1], "{count}");
            rounds.in_vain("bob", &askers[0]);
            assert_eq!(rounds.next("bob"), Some(Instant::now() + PAUSES.0 * (1 << count)));
        }
        assert_eq!(turn(&askers), [1]);
        askers[0].state = 1;
        assert_eq!(turn(&askers), [0, 1]);
        askers[0].state = 0;
        tokio::time::advance(PAUSES.0 * (1 << MOST_IN_VAIN)).await;
        assert_eq!(turn(&askers), [0, 1]);
        for _ in 0..40 {
            rounds.in_vain("bob", &askers[0]);
        }
        assert_eq!(rounds.next("bob"), Some(Instant::now() + PAUSES.1));
        rounds.served("bob", &parties[0]);
        assert!(turn(&askers) == [0, 1] && rounds.next("bob").is_none());
        // Who lacks nothing any more is forgotten.
        rounds.in_vain("bob", &askers[0]);
        assert_eq!(rounds.turn("bob", &askers, 1..2, false, Instant::now()), [1]);
        assert!(rounds.0.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_looked_at_in_vain_for_a_while_is_told_unless_something_changes() {
        let parties = parties(1);
        let (rounds, mut askers) = (Rounds::default(), askers(&parties, May::No));
        assert!(!rounds.is_long_in_vain("bob", &askers[0]));
        let mut looks = 0;
        while !rounds.is_long_in_vain("bob", &askers[0]) {
            looks += 1;
            rounds.in_vain("bob", &askers[0]);
            tokio::time::advance(rounds.next("bob").unwrap() - Instant::now()).await;
        }
        assert_eq!(looks, 3);
        askers[0].state = 1;
        assert!(!rounds.is_long_in_vain("bob", &askers[0]));
        rounds.in_vain("bob", &askers[0]);
        assert!(!rounds.is_long_in_vain("bob", &askers[0]));
    }

    #[tokio::test(start_paused = true)]
    async fn for_who_waits_no_copy_stays_of_what_he_was_refused() {
        let parties = parties(1);
        let (rounds, mut refused) = (Rounds::default(), askers(&parties, May::Yes));
        refused[0].may[3] = May::No;
        let seen = |now| {
            let mut askers = askers(&parties, May::Yes);
            rounds.remember("bob", &mut askers, now);
            askers[0].allowed().count()
        };
        for _ in 0..MOST_IN_VAIN {
            rounds.in_vain("bob", &refused[0]);
            // He is asked about again.
            assert_eq!(seen(Instant::now()), EACH);
        }
        rounds.in_vain("bob", &refused[0]);
        assert_eq!(seen(Instant::now()), EACH - 1);
        assert_eq!(seen(rounds.next("bob").unwrap()), EACH);
    }
}
