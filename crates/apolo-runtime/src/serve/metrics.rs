//! What is counted about a server.

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::handshake::Refusal;

/// In seconds: from a request that asks nobody to one that uses up its time.
const BUCKETS: [f64; 13] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Counts connections, handshakes and requests of one server.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    connections: Gauge,
    evicted: Counter,
    handshakes_failed: Family<Handshake, Counter>,
    in_flight: Gauge,
    /// By path; the last is for all other paths.
    durations: Arc<[(&'static str, Histogram)]>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Path {
    path: &'static str,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Handshake {
    reason: Refusal,
}

#[derive(Clone)]
struct Durations;

impl MetricConstructor<Histogram> for Durations {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BUCKETS)
    }
}

impl ServerMetrics {
    /// New metrics, shown by `registry`. A request whose path is not among `paths` is counted as `other`: strangers
    /// cannot make up labels.
    pub fn register(registry: &mut Registry, paths: &[&'static str]) -> Self {
        let durations = Family::new_with_constructor(Durations);
        let of = |path| (path, Histogram::clone(&durations.get_or_create(&Path { path })));
        let metrics = Self {
            connections: Gauge::default(),
            evicted: Counter::default(),
            handshakes_failed: Family::default(),
            in_flight: Gauge::default(),
            durations: paths.iter().copied().chain(["other"]).map(of).collect(),
        };
        registry.register("connections", "Open connections", metrics.connections.clone());
        registry.register(
            "connections_evicted",
            "Connections closed to make room for others, useless ones first",
            metrics.evicted.clone(),
        );
        registry.register(
            "tls_handshakes_failed",
            "TLS handshakes that failed, by reason",
            metrics.handshakes_failed.clone(),
        );
        registry.register("http_requests_in_flight", "Requests that are being answered", metrics.in_flight.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from the header of a request to its answer, by path",
            Unit::Seconds,
            durations,
        );
        metrics
    }

    /// Counts a connection as open until the guard is dropped.
    pub(super) fn connection(&self) -> Counted {
        Counted::new(&self.connections)
    }

    /// Counts a request as in flight until the guard is dropped.
    pub(super) fn request(&self) -> Counted {
        Counted::new(&self.in_flight)
    }

    pub(super) fn evicted(&self) {
        self.evicted.inc();
    }

    pub(super) fn handshake_failed(&self, reason: Refusal) {
        self.handshakes_failed.get_or_create(&Handshake { reason }).inc();
    }

    /// The histogram for requests to `path`.
    pub(super) fn durations(&self, path: &str) -> Option<&Histogram> {
        self.durations.iter().find(|(known, _)| *known == path).or(self.durations.last()).map(|(_, of)| of)
    }
}

impl Default for ServerMetrics {
    /// Metrics that nobody sees.
    fn default() -> Self {
        Self::register(&mut Registry::default(), &[])
    }
}

/// One, for as long as it lives.
#[derive(Debug)]
pub(super) struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl prometheus_client::encoding::EncodeLabelValue for Refusal {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.name().encode(encoder)
    }
}
