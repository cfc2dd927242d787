//! All metrics of a process, in the text format of OpenMetrics 1.0.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::text;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of a process: its own, and what others register.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// `process_start_time_seconds`, and `apolo_build_info` with `version`.
    #[must_use]
    pub fn new(version: &str, started: SystemTime) -> Self {
        let mut registry = Registry::default();
        let started = started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        registry.register_with_unit(
            "process_start_time",
            "When the process started",
            Unit::Seconds,
            ConstGauge::new(started),
        );
        let mut metrics = Self(registry);
        let build = Info::new([("version".to_owned(), version.to_owned())]);
        metrics.registry().register("build", "What is running", build);
        metrics
    }

    /// Where to register more; names get the prefix `apolo_`.
    pub fn registry(&mut self) -> &mut Registry {
        self.0.sub_registry_with_prefix("apolo")
    }

    /// All metrics as they are now.
    ///
    /// # Errors
    /// If one of them cannot be written.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}
