//! The controller: grants in, RBAC out.
//!
//! In the order in which the data goes: [`watch`] (what the API server tells) to [`store`] (what is known), [`desired`] (pure: what
//! should be), [`apply`] (writes, only while [`leader`] holds the lease) and [`grants`], which takes these
//! steps for one grant; [`work`] takes them for all that is in the [`queue`], and [`sweep`] finds what the watches did not tell.
//! Beside it [`excess`], [`events`], [`metrics`] and [`run`].
//!
//! Of Secrets it knows names only: it has no type that could hold a value.

pub mod apply;
pub mod desired;
pub mod events;
pub mod excess;
pub mod grants;
pub mod key;
pub mod lane;
pub mod leader;
pub mod metrics;
pub mod owned;
pub mod queue;
pub mod run;
pub mod store;
pub mod sweep;
pub mod watch;
pub mod work;
