//! What the servers of Apolo Secrets share: sockets, certificates, signals, logs, metrics, and questions to the API server.
//!
//! In: an [`axum::Router`] that answers. Out: a port that stays up whatever reaches it. The order of the data is
//! [`serve`] (connections, requests), [`body`] (bytes, bounded), the router, [`status`] (refusals in words);
//! beside it [`certificate`] (may change while serving), [`readiness`], [`telemetry`], [`signal`], and the [`client`] of the
//! API server with its [`review`]s and [`watch`]es.

pub mod body;
pub mod certificate;
pub mod client;
pub mod limits;
pub mod readiness;
pub mod review;
pub mod serve;
pub mod signal;
pub mod status;
pub mod telemetry;
pub mod timestamp;
pub mod watch;
pub mod watched;
pub mod workloads;
