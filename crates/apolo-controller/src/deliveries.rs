//! What is delivered to one destination: copies of the shared secrets that its Pods may use, and the gates of these Pods.
//!
//! What nobody may use any more goes first. Then, for those who lack something: they are decided again, the copies are written, they
//! are decided once more, and only then their gates are lifted; if the answer has changed meanwhile, the copies go again.

mod decision;
mod ensure;
mod plan;
mod tell;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use apolo_api::access::Access;
use apolo_runtime::review::Reviews;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;

use crate::apply::{ApplyError, Writer};
use crate::copies::{SealedSecret, handover};
use crate::events::Events;
use crate::metrics::ControllerMetrics;
use crate::store::{Asked, Kept, Reader, SharingPod, Store};
use ensure::Ensured;
use plan::{Asker, askers, lacks, owners, surplus};

/// How many writes are in flight for a destination at once.
const WIDTH: usize = 16;
/// How many gates are lifted before the destination is looked at again, so that nobody waits long behind others.
const MOST_GATES: usize = 256;

/// What delivers.
pub struct Deliveries {
    /// What is known.
    pub store: Arc<Store>,
    /// The most that a grant may give.
    pub max_access: Access,
    /// How Pods are read.
    pub reader: Reader,
    /// What writes.
    pub writer: Writer,
    /// Where it is asked who may do what.
    pub reviews: Reviews,
    /// Where it is told.
    pub events: Events,
    /// What is counted.
    pub metrics: ControllerMetrics,
    /// What was told last of each Pod, by namespace and UID.
    pub told: Mutex<HashMap<String, HashMap<String, String>>>,
}

/// What came of looking at a destination.
#[derive(Debug, Default)]
pub struct Delivered {
    /// How many gates were lifted.
    pub lifted: usize,
    /// Whether more is due at once.
    pub again: bool,
    /// Whether something may be had later that nobody tells of: it is to be looked at again after a pause.
    pub later: bool,
}

impl Deliveries {
    /// Makes of a destination what it should be.
    ///
    /// # Errors
    /// When something could not be asked or written; all else was. It is to be tried again.
    pub async fn reconcile(&self, namespace: &str) -> Result<Delivered, ApplyError> {
        let seen = self.store.destination(namespace);
        let now = Timestamp::now();
        let mut askers = askers(&seen, |party, asked| {
            !self.store.granting(asked, namespace, &party.identities, self.max_access, now).is_empty()
        });
        self.forget(namespace, &seen);
        let mut pass = Pass { deliveries: self, namespace, done: Delivered::default(), failed: None };
        pass.remove(surplus(&seen, &askers)).await;
        let lacking: Vec<usize> =
            askers.iter().enumerate().filter(|(_, asker)| lacks(&seen, asker)).map(|(index, _)| index).collect();
        if !lacking.is_empty() {
            pass.serve(&mut askers, lacking).await;
            // Some may have been refused what the grants, as they were known, allowed.
            pass.remove(surplus(&self.store.destination(namespace), &askers)).await;
        }
        pass.hand_over(&askers).await;
        match pass.failed {
            Some(error) => Err(error),
            None => Ok(pass.done),
        }
    }
}

/// What comes of each, in the order in which they end.
async fn some_at_a_time<T>(each: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    stream::iter(each).buffer_unordered(WIDTH).collect().await
}

/// One look at a destination.
struct Pass<'a> {
    deliveries: &'a Deliveries,
    namespace: &'a str,
    done: Delivered,
    /// The first failure; what does not depend on it goes on.
    failed: Option<ApplyError>,
}

impl Pass<'_> {
    /// Delivers to those of the askers what they lack.
    async fn serve(&mut self, askers: &mut [Asker<'_>], lacking: Vec<usize>) {
        let mut wanted: BTreeMap<&str, &Asked> = BTreeMap::new();
        let allowed = self.decide(askers, lacking.clone()).await;
        for index in lacking {
            let Some(asker) = askers.get(index) else { continue };
            // Of who may not have all, what is there already is kept as its source is.
            let has = |asked: &Asked| self.deliveries.store.copy(self.namespace, &asked.copy).is_some();
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
                self.deliveries.tell_missing(self.namespace, asker, &ensured);
            }
        }
        for index in self.decide(askers, served).await {
            if let Some(asker) = askers.get(index) {
                self.lift(asker).await;
            }
        }
    }

    /// Decides anew about these of the askers. Tells which may have all that they ask for.
    async fn decide(&mut self, askers: &mut [Asker<'_>], which: Vec<usize>) -> Vec<usize> {
        let (deliveries, namespace) = (self.deliveries, self.namespace);
        let mut deciding = Vec::new();
        for index in which {
            let Some(party) = askers.get(index).map(|asker| asker.party) else { continue };
            deciding.push(async move { (index, deliveries.decide(party, namespace).await) }.boxed());
        }
        let decided = some_at_a_time(deciding).await;
        let mut allowed = Vec::new();
        for (index, decided) in decided {
            let Some(asker) = askers.get_mut(index) else { continue };
            match decided {
                Ok(may) => {
                    let was_expected = asker.may.iter().zip(&may).any(|(known, now)| *known && !now);
                    asker.may = may;
                    if asker.party.mistakes.is_none() && asker.may.iter().all(|may| *may) {
                        allowed.push(index);
                    } else {
                        // RBAC may follow the grant in a moment, or the watch be behind.
                        self.done.later |= was_expected;
                        self.deliveries.tell_refused(self.namespace, asker);
                    }
                }
                Err(error) => self.fail(error),
            }
        }
        allowed
    }

    /// Makes each of these copies what it should be.
    async fn ensure(&mut self, wanted: BTreeMap<&str, &Asked>, askers: &[Asker<'_>]) -> HashMap<String, Ensured> {
        let (deliveries, namespace) = (self.deliveries, self.namespace);
        let mut ensuring = Vec::new();
        for (name, asked) in wanted {
            let ensure = async move { (name.to_owned(), deliveries.ensure(namespace, asked, askers).await) };
            ensuring.push(ensure.boxed());
        }
        let mut ensured = HashMap::new();
        for (name, result) in some_at_a_time(ensuring).await {
            match result {
                Ok(Ensured::Conflict) => self.done.later = true,
                Ok(it) => drop(ensured.insert(name, it)),
                Err(error) => self.fail(error),
            }
        }
        ensured
    }

    /// Lifts the gates of those who have all that they asked for.
    async fn lift(&mut self, asker: &Asker<'_>) {
        let left = MOST_GATES.saturating_sub(self.done.lifted);
        let gated: Vec<_> = asker.gated().collect();
        self.done.again |= gated.len() > left;
        let (writer, namespace) = (&self.deliveries.writer, self.namespace);
        let mut lifting = Vec::new();
        for (name, pod) in gated.into_iter().take(left) {
            lifting.push(
                async move { (name, pod, writer.lift_gate::<SharingPod>(namespace, name, &pod.uid).await) }.boxed(),
            );
        }
        for (name, pod, lifted) in some_at_a_time(lifting).await {
            match lifted {
                Ok(stored) => {
                    // It has gone, or somebody else has changed it: the watch tells.
                    let Some(stored) = stored else {
                        self.done.later = true;
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
    }

    /// Deletes these copies, by name and UID.
    async fn remove(&mut self, surplus: Vec<(String, String)>) {
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

    /// Gives copies other owners, where too few of theirs are left.
    async fn hand_over(&mut self, askers: &[Asker<'_>]) {
        let copies = self.deliveries.store.destination(self.namespace).copies;
        for (name, known) in copies.iter().filter(|(_, copy)| copy.source.is_some() && !copy.is_leaving) {
            let Some(owners) = owners(name, Some(known), askers).filter(|owners| !owners.is_empty()) else { continue };
            let patch = handover(known, &owners);
            match self.deliveries.writer.merge::<SealedSecret>(self.namespace, name, &patch).await {
                Ok(stored) => self.deliveries.put_copy(&stored),
                // The watch tells what has become of it.
                Err(error) if matches!(error.code(), Some(404 | 409)) => {}
                Err(error) => self.fail(error),
            }
        }
    }

    fn fail(&mut self, error: ApplyError) {
        self.failed.get_or_insert(error);
    }
}

impl Deliveries {
    /// Keeps what the API server answered to a write of a copy.
    fn put_copy(&self, stored: &SealedSecret) {
        let metadata = kube::Resource::meta(stored);
        let (Some(namespace), Some(name)) = (&metadata.namespace, &metadata.name) else { return };
        drop(self.store.put_secret(namespace, name, Kept::of(metadata, true)));
    }
}
