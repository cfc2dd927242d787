//! The benchmarks: what a review costs, against a floor that only reads it and answers.
//!
//! In the order of a run: [`capture`] (a real API server's reviews, on disk), `site` (the servers to compare), `load`
//! (h2load), [`figures`] (S1 to S5 and R8, printed by `table`). For R8 there are [`attack`] and `honest` clients. Beside
//! them [`plain`], how the floor serves.
//!
//! Apart from these stand, on a real API server, [`admission`]: S6 to S8, what a Pod costs that is created; and [`grants`]: S9 to S11,
//! what the controller costs; and [`deliveries`]: S12 and S13, what a shared secret takes to a Pod.
//!
//! No figure fails a run: it prints them. Only what keeps it from measuring is an error.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is what it is for")]

pub mod admission;
pub mod attack;
pub mod capture;
mod client;
pub mod deliveries;
pub mod figures;
pub mod grants;
mod honest;
mod load;
mod machine;
pub mod plain;
mod review;
mod server;
mod site;
mod statistics;
mod table;
mod usage;
