//! What the servers of Apolo Secrets share: sockets, certificates, signals, logs and metrics.
//!
//! In: an [`axum::Router`] that answers. Out: a port that stays up whatever reaches it. The order of the data is
//! [`serve`] (connections, requests), [`body`] (bytes, bounded), the router, [`status`] (refusals in words);
//! beside it [`certificate`] (may change while serving), [`readiness`], [`telemetry`] and [`signal`].

pub mod body;
pub mod certificate;
pub mod limits;
pub mod readiness;
pub mod serve;
pub mod signal;
pub mod status;
pub mod telemetry;
pub mod timestamp;
