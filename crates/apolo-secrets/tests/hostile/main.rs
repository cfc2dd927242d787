//! Hostile traffic on the port of the real binary: each attack ends in clear words or a closed connection, memory stays
//! bounded, and honest requests are answered rightly meanwhile and afterwards. What they wait is measured by the
//! benchmarks (R8), not here.
//!
//! `cfg(test)` on the modules is for clippy: it shows that they are tests.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod client;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod reviews;
#[cfg(test)]
mod webhook;
