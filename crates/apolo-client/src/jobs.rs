//! Jobs that use secrets: what `apolo run` does.
//!
//! [`Wanted`] is what somebody asks for; it becomes a Job, which is [created](create) and [followed](Following) to its [`End`]: in
//! which [`State`] it is, and what its container prints.

mod create;
mod end;
mod following;
mod log;
mod seen;
mod state;
mod wanted;
mod watched;

pub use create::{Created, JobError, create, delete};
pub use end::End;
pub use following::{FollowError, Following, News};
pub use k8s_openapi::api::batch::v1::Job;
pub use state::State;
pub use wanted::{MANAGED_BY, Resources, Wanted};

/// The container that runs what was asked for.
pub const CONTAINER: &str = "main";
