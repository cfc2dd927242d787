//! One look at a destination: what is done there, in order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::{StreamExt, stream};

use super::ensure::Ensured;
use super::plan::{Asker, May, owners};
use super::{Delivered, Deliveries};
use crate::apply::ApplyError;
use crate::copies::{SealedSecret, handover};
use crate::store::{Asked, SharingPod};

/// How many requests are in flight for a destination at once.
const WIDTH: usize = 16;
/// How many gates are lifted before the destination is looked at again, so that nobody waits long behind others.
const MOST_GATES: usize = 256;
/// How many copies are given other owners before that: nobody waits for these.
const MOST_HANDOVERS: usize = 64;

/// What comes of each, in the order in which they end.
async fn some_at_a_time<T>(each: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    stream::iter(each).buffer_unordered(WIDTH).collect().await
}

/// One look at a destination.
pub(super) struct Pass<'a> {
    pub(super) deliveries: &'a Deliveries,
    pub(super) namespace: &'a str,
    pub(super) done: Delivered,
    /// Those of whom it could not be told whether they may: nothing is written for them.
    pub(super) undecided: BTreeSet<usize>,
}

impl Pass<'_> {
    /// Delivers to these of the askers what they lack.
    pub(super) async fn serve(&mut self, askers: &mut [Asker<'_>], turn: Vec<usize>) {
        let allowed = self.decide(askers, &turn).await;
        let mut wanted: BTreeMap<&str, &Asked> = BTreeMap::new();
        for index in turn {
            let Some(asker) = askers.get(index) else { continue };
            // Of who may not have all, what is there already is kept as its source is.
            let has = |asked: &Asked| self.deliveries.store.copy(self.namespace, &asked.copy).is_some();
            if self.undecided.contains(&index) {
                continue;
            }
            let due = asker.allowed().filter(|asked| allowed.contains(&index) || has(asked));
            wanted.extend(due.map(|asked| (asked.copy.as_str(), asked)));
        }
        let ensured = self.ensure(wanted, askers).await;
        let is_there = |asked: &Asked| matches!(ensured.get(&asked.copy), Some(Ensured::There));
        let mut served = Vec::new();
        for index in allowed {
            let Some(asker) = askers.get(index) else { continue };
            if asker.party.asked.iter().all(is_there) {
                served.push(index);
            } else {
                let of = |asked: &Asked| ensured.get(&asked.copy);
                let is_vain = |asked: &Asked| matches!(of(asked), Some(Ensured::Conflict | Ensured::Refused(_)));
                if asker.party.asked.iter().any(is_vain) {
                    self.deliveries.rounds.in_vain(self.namespace, asker);
                }
                self.deliveries.tell_missing(self.namespace, asker, &ensured);
            }
        }
        for index in self.decide(askers, &served).await {
            if let Some(asker) = askers.get(index)
                && self.lift(asker).await
            {
                self.deliveries.rounds.served(self.namespace, asker.party);
            }
        }
    }

    /// Decides anew about these of the askers. Tells which may have all that they ask for, as far as it is there.
    async fn decide(&mut self, askers: &mut [Asker<'_>], which: &[usize]) -> BTreeSet<usize> {
        let (deliveries, namespace) = (self.deliveries, self.namespace);
        let mut asking = Vec::new();
        for &index in which {
            let Some(asker) = askers.get(index) else { continue };
            for (at, asked) in
                asker.party.asked.iter().enumerate().filter(|(at, _)| asker.may.get(*at) == Some(&May::Yes))
            {
                let party = asker.party;
                asking.push(async move { (index, at, deliveries.may(party, asked, namespace).await) }.boxed());
            }
        }
        let answers = some_at_a_time(asking).await;
        let mut doubtful = BTreeSet::new();
        self.undecided.clear();
        for (index, at, answer) in answers {
            match answer {
                Ok(true) => {}
                Ok(false) => {
                    // RBAC may follow the grant in a moment, or the watch be behind.
                    doubtful.insert(index);
                    if let Some(may) = askers.get_mut(index).and_then(|asker| asker.may.get_mut(at)) {
                        *may = May::No;
                    }
                }
                Err(error) => {
                    self.undecided.insert(index);
                    self.fail(error);
                }
            }
        }
        let mut allowed = BTreeSet::new();
        for &index in which.iter().filter(|index| !self.undecided.contains(index)) {
            let Some(asker) = askers.get(index) else { continue };
            if asker.party.mistakes.is_some() || asker.may.contains(&May::No) {
                let is_doubtful = doubtful.contains(&index);
                if !is_doubtful || deliveries.rounds.is_long_in_vain(namespace, asker) {
                    deliveries.tell_refused(namespace, asker);
                }
                if is_doubtful {
                    deliveries.rounds.in_vain(namespace, asker);
                }
            } else if asker.may.contains(&May::Missing) {
                deliveries.tell_missing(namespace, asker, &HashMap::new());
            } else {
                allowed.insert(index);
            }
        }
        allowed
    }

    /// Makes each of these copies what it should be.
    async fn ensure(&mut self, wanted: BTreeMap<&str, &Asked>, askers: &[Asker<'_>]) -> HashMap<String, Ensured> {
        let (deliveries, namespace) = (self.deliveries, self.namespace);
        // What a quota keeps from one keeps it from all.
        let is_quota_used_up = &AtomicBool::new(false);
        let mut ensuring = Vec::new();
        for (name, asked) in wanted {
            let ensure = async move {
                let ensured = deliveries.ensure(namespace, asked, askers, is_quota_used_up).await;
                (name.to_owned(), ensured)
            };
            ensuring.push(ensure.boxed());
        }
        let mut ensured = HashMap::new();
        for (name, result) in some_at_a_time(ensuring).await {
            match result {
                Ok(it) => drop(ensured.insert(name, it)),
                Err(error) => self.fail(error),
            }
        }
        ensured
    }

    /// Lifts the gates of those who have all that they asked for. Whether none of them was gone, or not as it was known.
    async fn lift(&mut self, asker: &Asker<'_>) -> bool {
        let left = MOST_GATES.saturating_sub(self.done.lifted);
        let gated: Vec<_> = asker.gated().collect();
        if gated.len() > left {
            self.deliveries.rounds.leave(self.namespace, asker.party);
        }
        let (writer, namespace) = (&self.deliveries.writer, self.namespace);
        let mut lifting = Vec::new();
        for (name, pod) in gated.into_iter().take(left) {
            lifting.push(
                async move { (name, pod, writer.lift_gate::<SharingPod>(namespace, name, &pod.uid).await) }.boxed(),
            );
        }
        let mut is_vain = false;
        for (name, pod, lifted) in some_at_a_time(lifting).await {
            match lifted {
                Ok(stored) => {
                    // It has gone, or somebody else has changed it: the watch tells.
                    let Some(stored) = stored else {
                        is_vain = true;
                        continue;
                    };
                    self.done.lifted += 1;
                    if let Some((namespace, name, known)) = self.deliveries.reader.read(stored) {
                        self.deliveries.store.put_answered_pod(&namespace, &name, known);
                    }
                    self.deliveries.tell_delivered(self.namespace, name, pod, asker);
                }
                Err(error) => self.fail(error),
            }
        }
        if is_vain {
            self.deliveries.rounds.in_vain(self.namespace, asker);
        }
        !is_vain
    }

    /// Deletes these copies, by name and UID.
    pub(super) async fn remove(&mut self, surplus: Vec<(String, String)>) {
        let (deliveries, namespace) = (self.deliveries, self.namespace);
        let mut taking = Vec::new();
        for (name, uid) in surplus {
            taking.push(async move { deliveries.take(namespace, &name, &uid).await }.boxed());
        }
        for taken in some_at_a_time(taking).await {
            if let Err(error) = taken {
                self.fail(error);
            }
        }
    }

    /// Gives copies other owners, where too few of theirs are left. Those for whom there is no room are left.
    pub(super) async fn hand_over(&mut self, askers: &[Asker<'_>]) {
        let (deliveries, namespace) = (self.deliveries, self.namespace);
        let copies = deliveries.store.destination(namespace).copies;
        let ours = copies.iter().filter(|(_, copy)| copy.source.is_some() && !copy.is_leaving);
        let due = ours.filter_map(|(name, known)| {
            let owners = owners(name, Some(known), askers).filter(|owners| !owners.is_empty())?;
            Some((name, handover(known, &owners)))
        });
        let mut due: Vec<_> = due.collect();
        let is_more = due.len() > MOST_HANDOVERS;
        due.truncate(MOST_HANDOVERS);
        let mut handing = Vec::new();
        for (name, patch) in &due {
            handing.push(deliveries.writer.merge::<SealedSecret>(namespace, name, patch).boxed());
        }
        for handed in some_at_a_time(handing).await {
            match handed {
                Ok(stored) => deliveries.put_copy(&stored),
                // The watch tells what has become of it.
                Err(error) if matches!(error.code(), Some(404 | 409)) => {}
                Err(error) => self.fail(error.without_words()),
            }
        }
        // What has failed is tried again after a pause.
        self.done.is_rest_left |= is_more && self.done.failed.is_none();
    }

    fn fail(&mut self, error: ApplyError) {
        self.done.failed.get_or_insert(error);
    }
}
