//! The server as its clients see it: real sockets, real TLS, and nothing waits but for the thing itself.
//!
//! `cfg(test)` on the modules is for clippy: it shows that they are tests.

#[cfg(test)]
mod certificates;
#[cfg(test)]
mod client;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod requests;
