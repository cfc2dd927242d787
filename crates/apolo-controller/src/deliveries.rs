//! What is delivered to one destination: copies of the shared secrets that its Pods may use, and the gates of these Pods.
//!
//! What nobody may use any more goes first. Then, for those who lack something: they are decided again, the copies are written, they
//! are decided once more, and only then their gates are lifted; if the answer has changed meanwhile, the copies go again.

mod decision;
mod ensure;
mod pass;
mod plan;
mod round;
mod tell;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use apolo_api::access::Access;
use apolo_core::requester::Requester;
use apolo_runtime::review::Reviews;
use k8s_openapi::jiff::Timestamp;
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::apply::{ApplyError, Writer};
use crate::copies::SealedSecret;
use crate::events::Events;
use crate::metrics::ControllerMetrics;
use crate::store::{Asked, Destination, Kept, Party, Reader, Store};
use decision::FEW;
use pass::Pass;
use plan::{askers, lacks, surplus};

pub use round::Rounds;

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
    /// What was told last of each Pod, by namespace and UID: of a text no more than tells it from others.
    pub told: Mutex<HashMap<String, HashMap<String, u64>>>,
    /// Who is still to be looked at.
    pub rounds: Rounds,
}

/// What came of looking at a destination.
#[derive(Debug, Default)]
pub struct Delivered {
    /// How many gates were lifted.
    pub lifted: usize,
    /// Whether somebody is left who is to be looked at, after others: see [`Rounds`].
    pub is_rest_left: bool,
    /// When it is to be looked at again, for something may be had that nobody tells of.
    pub later: Option<Instant>,
    /// The first failure; what did not depend on it was done. It is to be tried again.
    pub failed: Option<ApplyError>,
}

impl Deliveries {
    /// Makes of a destination what it should be; of those who lack something, so many. `is_rest`: only for those who are left.
    pub async fn reconcile(&self, namespace: &str, is_rest: bool) -> Delivered {
        let seen = self.store.destination(namespace);
        let now = Timestamp::now();
        let rights = self.rights(namespace, &seen, now).await;
        let mut askers = askers(&seen, |party, asked| rights.get(&question(party, asked)).copied().flatten());
        self.forget(namespace, &seen);
        let began = Instant::now();
        self.rounds.remember(namespace, &mut askers, began);
        let mut pass = Pass { deliveries: self, namespace, done: Delivered::default(), undecided: BTreeSet::new() };
        pass.remove(surplus(&seen, &askers)).await;
        let lacking = (0..).zip(&askers).filter(|(_, asker)| lacks(&seen, asker)).map(|(index, _)| index);
        let turn = self.rounds.turn(namespace, &askers, lacking, is_rest, began);
        if !turn.is_empty() {
            pass.serve(&mut askers, turn).await;
            // Some may have been refused what the grants, as they were known, allowed.
            pass.remove(surplus(&self.store.destination(namespace), &askers)).await;
        }
        pass.hand_over(&askers).await;
        pass.done.is_rest_left |= self.rounds.is_anybody_left(namespace);
        pass.done.later = self.rounds.next(namespace);
        pass.done
    }
}

/// Who asks for what: an owner, a key, and identities. Who asks for the same is often the same.
type Question<'a> = (&'a str, &'a str, &'a [Requester]);

fn question<'a>(party: &'a Party, asked: &'a Asked) -> Question<'a> {
    (&asked.owner, &asked.key, &party.identities)
}

impl Deliveries {
    /// Of each question in a destination, what grants give it: equal while they are as they were; none where none does.
    async fn rights<'a>(
        &self,
        namespace: &str,
        seen: &'a Destination,
        now: Timestamp,
    ) -> HashMap<Question<'a>, Option<u64>> {
        let mut rights = HashMap::new();
        for party in seen.parties.keys() {
            for asked in &party.asked {
                rights.entry(question(party, asked)).or_insert_with(|| {
                    let terms = (self.max_access, now);
                    let granting = self.store.granting(asked, namespace, &party.identities, terms, FEW);
                    (!granting.is_empty()).then(|| self.store.rights(&granting))
                });
            }
            // Whoever waits for what is known, as the watches do, has it in between.
            yield_now().await;
        }
        rights
    }

    /// Keeps what the API server answered to a write of a copy.
    fn put_copy(&self, stored: &SealedSecret) {
        let metadata = kube::Resource::meta(stored);
        let (Some(namespace), Some(name)) = (&metadata.namespace, &metadata.name) else { return };
        drop(self.store.put_answered_copy(namespace, name, Kept::of(metadata, true)));
    }
}
