//! The controller: grants in, RBAC and catalogs out; and shared secrets to where Pods use them.
//!
//! In the order in which the data goes: [`watch`] (what the API server tells) to [`store`] (what is known), [`desired`] (pure: what
//! should be), [`apply`] (writes, only while [`leader`] holds the lease) and [`grants`], which takes these
//! steps for one grant; [`deliveries`] does the same for what is delivered to a namespace ([`copies`]), and [`catalogs`] for its
//! catalog; [`work`] takes them for all that is in the [`queue`]. What the watches did not tell is found by [`sweep`] and [`inventory`].
//! Beside it the webhook's [`certificates`], and [`excess`], [`events`], [`metrics`] and [`run`]; [`uninstall`] is a process of its own.
//!
//! Of Secrets it knows the metadata only. A value goes through it, sealed, when a copy is written ([`copies::Sealed`]).

pub mod apply;
pub mod catalogs;
pub mod certificates;
pub mod copies;
pub mod deliveries;
pub mod desired;
pub mod events;
pub mod excess;
pub mod grants;
pub mod inventory;
pub mod key;
pub mod lane;
pub mod leader;
pub mod lists;
pub mod metrics;
pub mod owned;
pub mod queue;
pub mod run;
mod select;
pub mod store;
pub mod sweep;
pub mod uninstall;
pub mod watch;
pub mod work;
