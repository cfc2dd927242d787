//! What a server tells about itself: logs on stdout, metrics and health over HTTP.

pub mod log;
pub mod metrics;
pub mod probes;
