//! The rules of Apolo Secrets, pure: no clock, no files, no network, no environment, no client.
//!
//! In the order in which the data goes: a [`pod::Pod`] is read out of JSON; its annotations make a [`request::Request`]
//! of [`reference::Reference`]s; the request becomes [`targets::Targets`], in Kubernetes' words, or all
//! [`mistake::Mistakes`] at once; and what the Pod lacks of the targets is the [`patch::Patch`]. The
//! Pod templates of a [`workload::Workload`] are read as the Pods that they become. What holds nothing up and is told all the
//! same are [`warning::Warnings`].

pub mod access;
pub mod delivery;
pub mod items;
pub mod key;
pub mod launcher;
pub mod listed;
pub mod mistake;
pub mod names;
pub mod nearness;
pub mod patch;
pub mod path;
pub mod pod;
pub mod reference;
pub mod request;
pub mod requester;
pub mod stamp;
pub mod subject;
pub mod targets;
pub mod text;
pub mod warning;
pub mod workload;
