//! What the tests of Apolo Secrets stand on: real Kubernetes servers, started and stopped by this crate, and the few
//! words in which a test talks to them.
//!
//! ```no_run
//! use apolo_tests::{namespace::with_namespace, objects};
//!
//! #[tokio::test]
//! async fn a_job_gets_a_pod() -> anyhow::Result<()> {
//!     with_namespace(async |ns| {
//!         ns.create(&objects::job("train", &objects::template(&[]))).await?;
//!         ns.pod_of("train").await?;
//!         Ok(())
//!     })
//!     .await
//! }
//! ```
#![allow(clippy::print_stderr, reason = "a failed test tells on stderr what was in its namespace")]

pub mod asked;
pub mod attempts;
pub mod audit;
pub mod authority;
pub mod binaries;
pub mod catalogs;
pub mod cert_manager;
pub mod certificates;
pub mod chart_values;
pub mod cluster;
pub mod command;
pub mod control_plane;
pub mod controller;
pub mod delivered;
pub mod eventually;
pub mod examples;
pub mod generated;
pub mod grants;
pub mod image;
pub mod kinds;
pub mod mistakes;
pub mod namespace;
pub mod node;
pub mod objects;
pub mod oracle;
pub mod others;
pub mod person;
pub mod policies;
pub mod presets;
pub mod proxy;
pub mod rendering;
pub mod rights;
pub mod running;
pub mod said;
pub mod sharing;
pub mod snapshot;
pub mod storm;
pub mod succession;
pub mod terminal;
pub mod transcript;
pub mod webhook;
