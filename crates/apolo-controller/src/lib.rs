//! The controller: grants in, RBAC out.
//!
//! What should be is told by [`desired`] and [`lineage`], which are pure. Of Secrets it knows names only.

pub mod desired;
pub mod lineage;
