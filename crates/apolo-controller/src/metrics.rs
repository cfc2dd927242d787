//! What is counted.

use std::borrow::Cow;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// From 1 ms to a minute.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];

/// The counts of the controller. Clones share them.
#[derive(Clone, Debug)]
pub struct ControllerMetrics {
    reconciles: Family<Outcome, Counter>,
    catalogs: Family<Outcome, Counter>,
    errors: Family<OfKind, Counter>,
    writes: Family<Write, Counter>,
    effect: Histogram,
    deliveries: Family<Outcome, Counter>,
    delivery_effect: Histogram,
    queue: Gauge,
    unreadable: Gauge,
    leading: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    operation: &'static str,
    object: Cow<'static, str>,
}

impl ControllerMetrics {
    /// New counts, shown by a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reconciles: Family::default(),
            catalogs: Family::default(),
            errors: Family::default(),
            writes: Family::default(),
            effect: Histogram::new(BUCKETS),
            deliveries: Family::default(),
            delivery_effect: Histogram::new(BUCKETS),
            queue: Gauge::default(),
            unreadable: Gauge::default(),
            leading: Gauge::default(),
        };
        let of = &metrics;
        registry.register(
            "reconciles",
            "Grants looked at: settled, changed, told (its status alone), failed",
            of.reconciles.clone(),
        );
        registry.register("catalogs", "Catalogs looked at: settled, written, failed", of.catalogs.clone());
        registry.register("controller_errors", "What failed, by kind", of.errors.clone());
        registry.register("writes", "Requests that write, by operation and object", of.writes.clone());
        let help = "Time from when a grant was due until what it needs was written";
        registry.register_with_unit("grant_effect", help, Unit::Seconds, of.effect.clone());
        let help = "Pods that were told what becomes of what they ask for: delivered, refused, missing";
        registry.register("deliveries", help, of.deliveries.clone());
        let help = "Time from when a destination was due until the gates there were lifted";
        registry.register_with_unit("delivery_effect", help, Unit::Seconds, of.delivery_effect.clone());
        registry.register("queue", "Grants that are due or being looked at", of.queue.clone());
        registry.register("unreadable_grants", "Grants that cannot be read", of.unreadable.clone());
        registry.register("leading", "1 where this replica holds the lease", of.leading.clone());
        metrics
    }

    /// A grant was looked at, and nothing had to be written.
    pub fn settled(&self) {
        self.reconcile("settled");
    }

    /// A grant was looked at, and what it needs was written, so long after it was due.
    pub fn changed(&self, took: Duration) {
        self.reconcile("changed");
        self.effect.observe(took.as_secs_f64());
    }

    /// A grant was looked at, and only its status was still to be written.
    pub fn told(&self) {
        self.reconcile("told");
    }

    /// A grant was looked at in vain.
    pub fn failed(&self, kind: &'static str) {
        self.reconcile("failed");
        self.error(kind);
    }

    /// A Pod was told what becomes of what it asks for.
    pub fn delivery(&self, outcome: &'static str) {
        self.deliveries.get_or_create(&Outcome { outcome }).inc();
    }

    /// Gates were lifted, so long after the destination was due.
    pub fn lifted(&self, took: Duration) {
        self.delivery_effect.observe(took.as_secs_f64());
    }

    /// A catalog was looked at: settled, written or failed.
    pub fn catalog(&self, outcome: &'static str) {
        self.catalogs.get_or_create(&Outcome { outcome }).inc();
    }

    /// Something failed.
    pub fn error(&self, kind: &'static str) {
        self.errors.get_or_create(&OfKind { kind }).inc();
    }

    /// Something is about to be written.
    pub fn write(&self, operation: &'static str, object: Cow<'static, str>) {
        self.writes.get_or_create(&Write { operation, object }).inc();
    }

    /// How things stand.
    pub fn stands(&self, queue: usize, unreadable: usize, leading: bool) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.queue.set(number(queue));
        self.unreadable.set(number(unreadable));
        self.leading.set(i64::from(leading));
    }

    fn reconcile(&self, outcome: &'static str) {
        self.reconciles.get_or_create(&Outcome { outcome }).inc();
    }
}
