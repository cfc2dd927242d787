//! What is counted about certificates.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Counts reloads by result, and shows the end of the certificate in use.
#[derive(Clone, Debug, Default)]
pub struct CertificateMetrics {
    not_after: Gauge,
    reloads: Family<Reload, Counter>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Reload {
    result: Outcome,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, EncodeLabelValue)]
enum Outcome {
    #[allow(non_camel_case_types, reason = "the label is the name")]
    loaded,
    #[allow(non_camel_case_types, reason = "the label is the name")]
    refused,
}

impl CertificateMetrics {
    /// New metrics, shown by `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for result in [Outcome::loaded, Outcome::refused] {
            drop(metrics.reloads.get_or_create(&Reload { result }));
        }
        registry.register_with_unit(
            "tls_certificate_not_after_timestamp",
            "End of the serving certificate in use; 0 if there is none",
            Unit::Seconds,
            metrics.not_after.clone(),
        );
        registry.register(
            "tls_certificate_reloads",
            "Serving certificates that were read and taken into use (loaded) or not (refused)",
            metrics.reloads.clone(),
        );
        metrics
    }

    pub(super) fn loaded(&self, not_after: SystemTime) {
        let seconds = not_after.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.not_after.set(i64::try_from(seconds).unwrap_or(i64::MAX));
        self.reloads.get_or_create(&Reload { result: Outcome::loaded }).inc();
    }

    pub(super) fn refused(&self) {
        self.reloads.get_or_create(&Reload { result: Outcome::refused }).inc();
    }
}
