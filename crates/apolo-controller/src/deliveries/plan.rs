//! What is to be done in a destination, from what is known of it. Pure.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::copies::{MOST_OWNERS, owner};
use crate::store::{Asked, Destination, KnownCopy, KnownPod, Party};

/// Whether Pods may use something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    /// No grant gives it, or RBAC does not agree.
    No,
    /// They may.
    Yes,
    /// A grant gives it, but it is not there: RBAC has no rule about what is not there.
    Missing,
}

/// Pods that ask for the same and have not ended.
#[derive(Clone, Debug)]
pub(super) struct Asker<'a> {
    pub(super) party: &'a Arc<Party>,
    /// With their names, in their order.
    pub(super) pods: Vec<(&'a str, &'a KnownPod)>,
    /// Whether they may use each of what they ask for.
    pub(super) may: Vec<May>,
    /// Equal while what is known of them, of what they ask for and of their right to it is the same.
    pub(super) state: u64,
}

impl<'a> Asker<'a> {
    /// Those of its Pods that wait for the gate to be lifted.
    pub(super) fn gated(&self) -> impl Iterator<Item = (&'a str, &'a KnownPod)> {
        self.pods.iter().filter(|(_, pod)| pod.is_gated && !pod.is_leaving).copied()
    }

    /// Those that nothing of what they ask for was ever in use by: they wait, gated or not.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&'a str, &'a KnownPod)> {
        self.pods.iter().filter(|(_, pod)| pod.is_pending && !pod.is_leaving).copied()
    }

    /// What it asks for and may use.
    pub(super) fn allowed(&self) -> impl Iterator<Item = &'a Asked> {
        self.that(May::Yes)
    }

    /// What it asks for of which this is so.
    pub(super) fn that(&self, which: May) -> impl Iterator<Item = &'a Asked> {
        self.party.asked.iter().zip(&self.may).filter(move |(_, may)| **may == which).map(|(asked, _)| asked)
    }
}

/// Those who ask in a destination, and whether they may by what is known. `rights` tells what grants give it, if any does: equal while
/// that is as it was.
pub(super) fn askers<'a>(
    seen: &'a Destination,
    mut rights: impl FnMut(&'a Party, &'a Asked) -> Option<u64>,
) -> Vec<Asker<'a>> {
    let mut askers: Vec<Asker<'a>> = Vec::new();
    for (party, pods) in &seen.parties {
        let live = pods.iter().filter(|(_, pod)| !pod.is_finished).map(|(name, pod)| (name.as_str(), pod));
        let mut pods: Vec<_> = live.collect();
        if pods.is_empty() {
            continue;
        }
        pods.sort_by_key(|(name, _)| *name);
        let rights: Vec<Option<u64>> = party.asked.iter().map(|asked| rights(party, asked)).collect();
        let may = party.asked.iter().zip(&rights).map(|(asked, rights)| match rights {
            Some(_) if seen.sources.contains_key(&asked.source()) => May::Yes,
            Some(_) => May::Missing,
            None => May::No,
        });
        let (may, state) = (may.collect(), state(seen, party, &pods, &rights));
        askers.push(Asker { party, pods, may, state });
    }
    askers.sort_by_key(|asker| asker.party);
    askers
}

fn state(seen: &Destination, party: &Party, pods: &[(&str, &KnownPod)], rights: &[Option<u64>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    rights.hash(&mut hasher);
    for asked in &party.asked {
        seen.sources.get(&asked.source()).map(|source| (&source.uid, source.version)).hash(&mut hasher);
        seen.copies.get(&asked.copy).map(|copy| (&copy.uid, copy.version)).hash(&mut hasher);
    }
    for (_, pod) in pods {
        (&pod.uid, pod.is_gated, pod.is_leaving).hash(&mut hasher);
    }
    hasher.finish()
}

/// The copies, by name and UID, that nobody uses who may, or that are not what they should be.
pub(super) fn surplus(seen: &Destination, askers: &[Asker<'_>]) -> Vec<(String, String)> {
    let mut wanted: BTreeMap<&str, &Asked> = BTreeMap::new();
    wanted.extend(askers.iter().flat_map(Asker::allowed).map(|asked| (asked.copy.as_str(), asked)));
    let is_surplus = |name: &str, copy: &KnownCopy| {
        // What we did not write is never ours to take away. One that is leaving, and held by a finalizer, is emptied and let go.
        copy.source.is_some() && (copy.is_leaving || !wanted.get(name).is_some_and(|asked| copy.is_of(asked)))
    };
    let surplus = seen.copies.iter().filter(|(name, copy)| is_surplus(name, copy));
    surplus.map(|(name, copy)| (name.clone(), copy.uid.clone())).collect()
}

/// Whether something is to be delivered to an asker: a gate is to be lifted, or a copy is not there, or not as its source is now.
pub(super) fn lacks(seen: &Destination, asker: &Asker<'_>) -> bool {
    let may_have_all = asker.may.iter().all(|may| *may == May::Yes);
    let lacks = |asked: &Asked| {
        let Some(source) = seen.sources.get(&asked.source()) else { return false };
        match seen.copies.get(&asked.copy) {
            // One that is going has been taken away before this is asked.
            Some(copy) if copy.is_of(asked) && !copy.is_leaving => !copy.is_current(source),
            _ => may_have_all,
        }
    };
    asker.gated().next().is_some() || asker.allowed().any(lacks)
}

/// The Pods that are to own a copy: those that do, as far as they are there, and others of those who may use it.
///
/// None where that may stay as it is: a Pod more is not worth a write, but twice as many are.
pub(super) fn owners(name: &str, known: Option<&KnownCopy>, askers: &[Asker<'_>]) -> Option<Vec<OwnerReference>> {
    let users = askers.iter().filter(|asker| asker.allowed().any(|asked| asked.copy == name));
    let pods: Vec<(&str, &KnownPod)> = users.flat_map(|asker| asker.pods.iter().copied()).collect();
    let owns = |pod: &KnownPod| known.is_some_and(|copy| copy.owners.contains(&pod.uid));
    let (old, new): (Vec<_>, Vec<_>) = pods.iter().partition(|(_, pod)| owns(pod));
    if known.is_some() && old.len() * 2 > pods.len().min(MOST_OWNERS) {
        return None;
    }
    let owners = old.into_iter().chain(new).take(MOST_OWNERS);
    Some(owners.map(|(name, pod)| owner(name, pod)).collect())
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::store::KnownSecret;
    use apolo_core::subject::Subject;
    use std::sync::Arc;

    fn asked(key: &str) -> Asked {
        let (reference, copy) = (format!("secret:/alice/{key}"), format!("apolo-shared-{key}"));
        let key = key.to_owned();
        Asked { reference, owner: "alice".into(), key: key.clone(), object: key.clone(), entry: key, copy }
    }

    fn party(who: &str, keys: &[&str]) -> Arc<Party> {
        let asked = keys.iter().map(|key| asked(key)).collect();
        Arc::new(Party { asked, identities: Vec::new(), subject: Subject::User(who.into()), mistakes: None })
    }

    fn pod(uid: &str, party: &Arc<Party>) -> (String, KnownPod) {
        let pod = KnownPod {
            uid: uid.into(),
            version: 1,
            is_gated: false,
            is_leaving: false,
            is_pending: false,
            is_finished: false,
            party: Arc::clone(party),
        };
        (uid.to_owned(), pod)
    }

    fn copy(key: &str, owners: &[&str]) -> (String, KnownCopy) {
        let source = Some(asked(key).source());
        let owners = owners.iter().map(|&owner| owner.to_owned()).collect();
        let copy = KnownCopy {
            uid: key.into(),
            is_opaque: true,
            source,
            source_uid: "s".into(),
            source_version: 5,
            owners,
            ..KnownCopy::default()
        };
        (format!("apolo-shared-{key}"), copy)
    }

    fn source(version: u64) -> KnownSecret {
        KnownSecret { uid: "s".into(), version, ..KnownSecret::default() }
    }

    fn destination(pods: Vec<(String, KnownPod)>, copies: Vec<(String, KnownCopy)>) -> Destination {
        let mut seen = Destination { copies: copies.into_iter().collect(), ..Destination::default() };
        for (name, pod) in pods {
            seen.parties.entry(Arc::clone(&pod.party)).or_default().push((name, pod));
        }
        seen.sources = ["a", "b"].map(|key| (asked(key).source(), source(5))).into();
        seen
    }

    fn askers<'a>(seen: &'a Destination, gives: impl Fn(&Party, &Asked) -> bool) -> Vec<Asker<'a>> {
        super::askers(seen, |party, asked| gives(party, asked).then_some(0))
    }

    fn names(surplus: Vec<(String, String)>) -> Vec<String> {
        surplus.into_iter().map(|(_, uid)| uid).collect()
    }

    #[test]
    fn a_copy_stays_while_a_pod_that_may_has_not_ended() {
        let (bob, carol) = (party("bob", &["a"]), party("carol", &["a", "b"]));
        let pods = || vec![pod("1", &bob), pod("2", &carol)];
        let all = || destination(pods(), vec![copy("a", &[]), copy("b", &[]), copy("c", &[])]);
        let left = |seen: &Destination, may: &dyn Fn(&Party, &Asked) -> bool| names(surplus(seen, &askers(seen, may)));
        assert_eq!(left(&all(), &|_, _| true), ["c"]);
        assert_eq!(left(&all(), &|party, _| party.subject.to_string() == "bob"), ["b", "c"]);
        assert_eq!(left(&all(), &|_, asked| asked.key == "b"), ["a", "c"]);
        assert_eq!(left(&all(), &|_, _| false), ["a", "b", "c"]);
        let mut ended = all();
        ended.parties.values_mut().for_each(|pods| pods[0].1.is_finished = true);
        assert_eq!(left(&ended, &|_, _| true), ["a", "b", "c"]);
        let mut without = all();
        without.sources.remove(&asked("a").source());
        assert_eq!(left(&without, &|_, _| true), ["a", "c"]);
        assert_eq!(askers(&without, |_, asked| asked.key == "a")[1].may, [May::Missing, May::No]);
    }

    #[test]
    fn what_is_not_ours_is_left_and_what_is_not_as_it_was_is_made_anew() {
        let bob = party("bob", &["a"]);
        let with = |change: &dyn Fn(&mut KnownCopy)| {
            let mut seen = destination(vec![pod("1", &bob)], vec![copy("a", &[])]);
            seen.copies.values_mut().for_each(change);
            let askers = askers(&seen, |_, _| true);
            (names(surplus(&seen, &askers)).len(), lacks(&seen, &askers[0]))
        };
        assert_eq!(with(&|_| {}), (0, false));
        assert_eq!(with(&|copy| copy.source = None), (0, true));
        assert_eq!(with(&|copy| copy.source = Some("alice/b/b".into())), (1, true));
        assert_eq!(with(&|copy| copy.is_edited = true), (1, true));
        assert_eq!(with(&|copy| copy.is_leaving = true), (1, true));
        assert_eq!(with(&|copy| copy.is_opaque = false), (1, true));
        assert_eq!(with(&|copy| copy.source_version = 4), (0, true));
        assert_eq!(with(&|copy| copy.source_uid = "t".into()), (0, true));
    }

    #[test]
    fn the_state_of_an_asker_is_another_when_its_rights_its_pods_a_source_or_a_copy_are() {
        let bob = party("bob", &["a"]);
        let seen = |pods: &[&str], copies: Vec<(String, KnownCopy)>| {
            destination(pods.iter().map(|uid| pod(uid, &bob)).collect(), copies)
        };
        let state = |seen: &Destination, rights: Option<u64>| super::askers(seen, |_, _| rights)[0].state;
        let before = state(&seen(&["1"], vec![]), Some(1));
        assert_eq!(state(&seen(&["1"], vec![]), Some(1)), before);
        let mut rotated = seen(&["1"], vec![]);
        rotated.sources.insert(asked("a").source(), source(6));
        for (seen, rights) in [
            (seen(&["1"], vec![]), Some(2)),
            (seen(&["1"], vec![]), None),
            (seen(&["1", "2"], vec![]), Some(1)),
            (seen(&["1"], vec![copy("a", &[])]), Some(1)),
            (rotated, Some(1)),
        ] {
            assert_ne!(state(&seen, rights), before);
        }
    }

    #[test]
    fn a_gate_waits_and_what_may_not_be_had_is_not_lacked() {
        let bob = party("bob", &["a"]);
        let mut seen = destination(vec![pod("1", &bob)], vec![]);
        assert!(lacks(&seen, &askers(&seen, |_, _| true)[0]));
        assert!(!lacks(&seen, &askers(&seen, |_, _| false)[0]));
        seen.sources.clear();
        assert!(!lacks(&seen, &askers(&seen, |_, _| true)[0]));
        seen.parties.values_mut().for_each(|pods| pods[0].1.is_gated = true);
        assert!(lacks(&seen, &askers(&seen, |_, _| false)[0]));
        seen.parties.values_mut().for_each(|pods| pods[0].1.is_leaving = true);
        assert!(!lacks(&seen, &askers(&seen, |_, _| false)[0]));
    }

    #[test]
    fn owners_are_sixteen_at_most_and_are_written_again_when_half_of_them_would_not_be_there() {
        let bob = party("bob", &["a"]);
        let of = |pods: std::ops::Range<usize>, owners: Option<&[&str]>| {
            let seen = destination(pods.map(|number| pod(&format!("{number:02}"), &bob)).collect(), Vec::new());
            let known = owners.map(|owners| copy("a", owners).1);
            let owners = super::owners("apolo-shared-a", known.as_ref(), &askers(&seen, |_, _| true))?;
            Some(owners.into_iter().map(|owner| owner.uid).collect::<Vec<_>>())
        };
        assert_eq!(of(0..2, None).unwrap(), ["00", "01"]);
        assert_eq!(of(0..40, None).unwrap().len(), 16);
        assert_eq!(of(0..1, Some(&["00"])), None);
        assert_eq!(of(0..2, Some(&["00"])).unwrap(), ["00", "01"]);
        assert_eq!(of(0..3, Some(&["00", "01"])), None);
        assert_eq!(of(1..40, Some(&["00", "07"])).unwrap()[..2], ["07", "01"]);
        assert_eq!(of(1..2, Some(&["00"])).unwrap(), ["01"]);
    }
}
