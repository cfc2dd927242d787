//! All grants and destinations, and the catalogs beside them: those that are due, so many at a time, for as long as the lease is held.

use std::sync::Arc;
use std::time::Duration;

use apolo_runtime::telemetry::log::chain;
use apolo_runtime::watched::Watched;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::apply::ApplyError;
use crate::catalogs::Catalogs;
use crate::certificates::{Certificates, Pause};
use crate::deliveries::{Delivered, Deliveries};
use crate::events::News;
use crate::grants::{Grants, Outcome};
use crate::inventory;
use crate::key::GrantKey;
use crate::lane::{Failures, hand_out};
use crate::leader::Held;
use crate::metrics::ControllerMetrics;
use crate::queue::{Job, Queues};
use crate::store::Known;
use crate::sweep::sweep;
use crate::watch::Restarts;

/// How many grants, or destinations, are worked on at once: more make it hardly faster, and each of them much slower.
const WIDTH: usize = 16;
/// The same while others wait, so that who sends grants without pause, and has as much of the API server, does not run away.
const WIDTH_BEHIND: usize = 32;
/// How often all that bears our label is looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// How often all is counted that decides about that; and how long after an election, when there is other work.
const INVENTORY: Duration = Duration::from_secs(300);
const INVENTORY_OF_THE_ELECTED: Duration = Duration::from_secs(10);
/// And after one that failed.
const INVENTORY_AGAIN: Duration = Duration::from_secs(10);
/// How long work in flight may take when the process is to stop.
const GRACE: Duration = Duration::from_secs(5);

/// What the work needs.
pub struct Work {
    /// What is done with each grant.
    pub grants: Grants,
    /// What is done with each destination.
    pub deliveries: Deliveries,
    /// And with each catalog.
    pub catalogs: Arc<Catalogs>,
    /// The webhook's certificates, where they are made here.
    pub certificates: Option<Arc<Certificates>>,
    /// What is due.
    pub queues: Arc<Queues>,
    /// Which watches are to be begun again.
    pub restarts: Arc<Restarts>,
    /// Whether anything may be done.
    pub held: Held,
    /// What is counted.
    pub metrics: ControllerMetrics,
    /// For the sweep and the inventory.
    pub client: Client,
    /// Namespaces that do not exist for us.
    pub excluded: Vec<String>,
    /// Where we act.
    pub watched: Watched,
    /// How often each grant has failed in a row.
    pub failures: Failures<GrantKey>,
    /// The same of each destination.
    pub delivery_failures: Failures<String>,
}

impl Work {
    /// Works until it is asked to stop, and what was begun has ended.
    pub async fn run(self: Arc<Self>, terms: watch::Receiver<u64>, stop: impl Future<Output = ()>) {
        let sweeps = Arc::clone(&self).sweep(terms.clone());
        let inventories = self.count(terms);
        let (mut granting, mut delivering, mut listing) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        let mut certifying = JoinSet::new();
        let queues = &self.queues;
        let grants = hand_out(&queues.grants, || self.width(), &mut granting, |job| Arc::clone(&self).work(job));
        let destinations =
            hand_out(&queues.destinations, || WIDTH, &mut delivering, |job| Arc::clone(&self).deliver(job));
        tokio::select! {
            () = grants => {}
            () = destinations => {}
            () = self.catalogs.hand_out(&mut listing) => {}
            () = certify(self.certificates.as_ref(), &mut certifying) => {}
            () = sweeps => {}
            () = inventories => {}
            () = stop => {}
        }
        let ended = async {
            while granting.join_next().await.is_some() {}
            while delivering.join_next().await.is_some() {}
            while listing.join_next().await.is_some() {}
            while certifying.join_next().await.is_some() {}
        };
        let _in_time = timeout(GRACE, ended).await;
    }

    fn width(&self) -> usize {
        if self.queues.grants.is_behind() { WIDTH_BEHIND } else { WIDTH }
    }

    /// At each election, and every so often: what the watches have missed.
    async fn sweep(self: Arc<Self>, mut terms: watch::Receiver<u64>) {
        let mut tick = interval(SWEEP);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let elected = tokio::select! {
                _ = tick.tick() => false,
                changed = terms.changed() => changed.is_ok(),
            };
            if self.held.check().is_err() || !self.grants.store.missing().is_empty() {
                continue;
            }
            match sweep(&self.client, &self.grants.store, &self.excluded).await {
                Ok(wrong) => {
                    if !wrong.is_empty() && !elected {
                        let (grants, destinations) = (wrong.grants.len(), wrong.destinations.len());
                        tracing::warn!(grants, destinations, "the sweep found what the watches had not told");
                    }
                    self.queues.wake(wrong);
                }
                Err(error) => {
                    self.metrics.error("sweep");
                    tracing::warn!(why = chain(&error), "the sweep failed; it is tried again");
                }
            }
            self.grants.store.prune();
            // The clock may have been set, so that also expiries are due that no timer tells.
            let mut all = self.grants.store.everything();
            if !elected {
                // What is in a catalog changes with what is told.
                all.catalogs.clear();
            }
            self.queues.wake(all);
        }
    }

    /// After each election, and every so often: whether the watches tell all.
    async fn count(&self, mut terms: watch::Receiver<u64>) {
        let mut pause = INVENTORY;
        loop {
            tokio::select! {
                changed = terms.changed(), if terms.has_changed().is_ok() => {
                    drop(changed);
                    pause = INVENTORY_OF_THE_ELECTED;
                    continue;
                }
                () = sleep(pause) => pause = INVENTORY,
            }
            if self.held.check().is_err() || !self.grants.store.missing().is_empty() {
                continue;
            }
            match inventory::missed(&self.client, &self.grants.store, &self.excluded, &self.watched).await {
                Ok(missed) => {
                    for source in missed {
                        self.metrics.error("watch");
                        tracing::warn!(%source, "a watch has not told all; it is begun again");
                        self.restarts.begin_again(source);
                    }
                }
                Err(error) => {
                    pause = INVENTORY_AGAIN;
                    self.metrics.error("inventory");
                    tracing::warn!(why = chain(&error), "the inventory failed; it is taken again");
                }
            }
        }
    }

    async fn work(self: Arc<Self>, job: Job<GrantKey>) {
        // Who is elected later looks at all of them.
        if self.held.check().is_ok() && self.grants.store.missing().is_empty() {
            self.look(&job).await;
        }
        self.queues.grants.done(&job.key);
    }

    async fn deliver(self: Arc<Self>, job: Job<String>) {
        if self.held.check().is_ok() && self.grants.store.missing().is_empty() {
            let delivered = self.deliveries.reconcile(&job.key, job.is_rest).await;
            self.delivered(&job, delivered);
        }
        self.queues.destinations.done(&job.key);
    }

    fn delivered(&self, job: &Job<String>, delivered: Delivered) {
        if delivered.lifted > 0 {
            self.metrics.lifted(job.since.elapsed());
        }
        if delivered.is_rest_left {
            self.queues.destinations.wake_for_rest(job.key.clone());
        }
        if let Some(later) = delivered.later {
            self.queues.destinations.wake_at(job.key.clone(), later.max(Instant::now()));
        }
        match delivered.failed {
            Some(ApplyError::NotHeld(_)) => {}
            Some(error) => {
                let (count, pause) = self.delivery_failures.count(&job.key);
                self.metrics.error(error.kind());
                let (namespace, why) = (&job.key, chain(&error));
                tracing::warn!(namespace, why, count, ?pause, "not all could be delivered; it is tried again");
                self.queues.destinations.wake_at(job.key.clone(), Instant::now() + pause);
            }
            // What is left may have failed before.
            None if job.is_rest || delivered.is_rest_left => {}
            None => self.delivery_failures.forget(&job.key),
        }
    }

    async fn look(&self, job: &Job<GrantKey>) {
        let began = Began::now();
        match self.grants.reconcile(&job.key, began.time, || self.queues.grants.is_behind()).await {
            Ok(outcome) => {
                self.failures.forget(&job.key);
                match (outcome.changed, job.is_rest) {
                    (true, false) => self.metrics.changed(job.since.elapsed()),
                    (true, true) => self.metrics.told(),
                    (false, _) => self.metrics.settled(),
                }
                self.wake(&job.key, began, outcome);
            }
            Err(ApplyError::NotHeld(_)) => self.metrics.failed("not-held"),
            Err(error) => self.failed(&job.key, &error),
        }
    }

    fn wake(&self, key: &GrantKey, began: Began, outcome: Outcome) {
        self.queues.wake(outcome.woken);
        if outcome.changed {
            self.queues.wake(self.grants.store.users(key));
        }
        if outcome.words {
            self.queues.grants.wake_for_rest(key.clone());
        }
        // A timer further ahead is not needed: the sweep comes sooner.
        if let Some(at) = outcome.wake.map(|at| began.until(at)).filter(|at| *at <= began.instant + SWEEP * 2) {
            self.queues.grants.wake_at(key.clone(), at);
        }
    }

    /// Tries again after a pause that doubles, and says why.
    fn failed(&self, key: &GrantKey, error: &ApplyError) {
        let (count, pause) = self.failures.count(key);
        self.metrics.failed(error.kind());
        let why = chain(error);
        tracing::warn!(grant = %key, why, count, ?pause, "a grant could not be made true; it is tried again");
        if count == 1 {
            let uid = match self.grants.store.see(key).grant {
                Some(Known::Grant(grant)) => grant.metadata.uid.clone(),
                _ => None,
            };
            let about = key.reference(uid);
            self.grants.events.tell(News::failure(about, "GrantFailed", why));
        }
        self.queues.grants.wake_at(key.clone(), Instant::now() + pause);
    }
}

async fn certify(certificates: Option<&Arc<Certificates>>, running: &mut JoinSet<Pause>) {
    match certificates {
        Some(certificates) => certificates.keep(running).await,
        None => std::future::pending().await,
    }
}

/// One moment, by both clocks.
#[derive(Clone, Copy)]
struct Began {
    time: Timestamp,
    instant: Instant,
}

impl Began {
    fn now() -> Self {
        Self { time: Timestamp::now(), instant: Instant::now() }
    }

    /// When it will be that time; this moment, if it was before.
    fn until(self, time: Timestamp) -> Instant {
        self.instant + Duration::try_from(time.duration_since(self.time)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::SignedDuration;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_grant_expires_on_time_however_long_it_took_to_give_it() {
        let began = Began::now();
        advance(Duration::from_secs(3)).await;
        let expiry = began.time + SignedDuration::from_secs(5);
        assert_eq!(began.until(expiry), Instant::now() + Duration::from_secs(2));
        assert_eq!(began.until(began.time - SignedDuration::from_secs(1)), began.instant);
    }
}
