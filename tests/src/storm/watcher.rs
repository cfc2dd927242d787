//! Who looks at the API server all the time, and tells what is not mended in time.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use kube::Client;
use tokio::time::{MissedTickBehavior, interval};

use super::ages::{Ages, Interregnums, Wrong};
use crate::oracle::{
    bindings,
    deliveries::{Deliveries, Fault, Place},
};

/// How often it looks.
const PACE: Duration = Duration::from_millis(500);
/// How long ago a Pod may have been allowed whose gate was lifted since the last look: a decision is no older. Of a Pod that has not
/// been seen for as long it is not known.
const DECISION: Duration = Duration::from_secs(3);

/// Who looks.
pub struct Watcher<'a> {
    client: &'a Client,
    namespaces: &'a [&'a str],
    interregnums: &'a RefCell<Interregnums>,
    /// A copy that nobody may use, which is not to be mended, by its UID.
    planted: Wrong,
    of_planted: Ages,
    is_planted_seen: bool,
    ages: Ages,
    delivered: BTreeSet<String>,
    /// When each Pod that was gated at the last look was first seen, or last seen to be allowed.
    gated: BTreeMap<String, Instant>,
    looks: usize,
}

/// What was seen of a storm.
pub struct Seen {
    /// How many Pods were delivered to.
    pub deliveries: usize,
    /// How often it was looked.
    pub looks: usize,
    /// How old faults became.
    pub ages: Ages,
}

impl<'a> Watcher<'a> {
    /// Who looks at these namespaces, where this copy was planted.
    pub fn new(
        client: &'a Client,
        namespaces: &'a [&'a str],
        interregnums: &'a RefCell<Interregnums>,
        (place, uid): (Place, String),
    ) -> Self {
        Self {
            client,
            namespaces,
            interregnums,
            planted: Wrong::Delivery(Fault::Unjustified(place, uid)),
            of_planted: Ages::default(),
            is_planted_seen: false,
            ages: Ages::default(),
            delivered: BTreeSet::new(),
            gated: BTreeMap::new(),
            looks: 0,
        }
    }

    /// Looks until it is over.
    ///
    /// # Errors
    /// When something is not mended in time, or what was planted is not seen.
    pub async fn watch(mut self, is_over: &Cell<bool>) -> anyhow::Result<Seen> {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !is_over.get() {
            pace.tick().await;
            self.look().await?;
        }
        ensure!(self.is_planted_seen, "the oracle has missed the copy that was planted");
        Ok(Seen { deliveries: self.delivered.len(), looks: self.looks, ages: self.ages })
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let deliveries = Deliveries::look(self.client, self.namespaces).await.context("cannot look at deliveries")?;
        let bindings = bindings::faults(self.client, self.namespaces).await.context("cannot look at bindings")?;
        let ended = Instant::now();
        self.looks += 1;
        self.delivered.extend(deliveries.delivered());
        self.no_gate_is_lifted_for_who_may_not(&deliveries, ended)?;
        let of_deliveries = deliveries.faults().into_iter().map(Wrong::Delivery);
        let wrong = of_deliveries.chain(bindings.into_iter().map(Wrong::Binding));
        let (planted, wrong): (BTreeSet<Wrong>, BTreeSet<Wrong>) = wrong.partition(|it| *it == self.planted);
        let (time, interregnums) = ((began, ended), self.interregnums.borrow());
        self.is_planted_seen |= !self.of_planted.look(planted, time, &interregnums).is_empty();
        let overdue = self.ages.look(wrong, time, &interregnums);
        if !overdue.is_empty() {
            let told: Vec<String> = overdue.iter().map(ToString::to_string).collect();
            bail!("not mended in time: {}", told.join("; "));
        }
        Ok(())
    }

    /// No Pod that was gated at the last look has its gate lifted now though it was not allowed for a while.
    fn no_gate_is_lifted_for_who_may_not(&mut self, now: &Deliveries, at: Instant) -> anyhow::Result<()> {
        let mut gated = BTreeMap::new();
        for (place, pod) in &now.pods {
            let since = self.gated.get(&pod.uid).copied().filter(|_| !pod.may).unwrap_or(at);
            let is_recent = at.saturating_duration_since(since) < DECISION;
            ensure!(pod.is_gated || is_recent, "a gate was lifted for one who may not: {place:?}");
            if pod.is_gated {
                gated.insert(pod.uid.clone(), since);
            }
        }
        self.gated = gated;
        Ok(())
    }
}
