//! The custom resources of Apolo Secrets, `secrets.apolo.us/v1alpha1`: what may stand in them, and what it means in the
//! words of Kubernetes' own RBAC.
//!
//! The doc comments of the fields are what `kubectl explain` shows.
#![allow(unreachable_pub, reason = "the derived schema repeats each type inside a function, with its pub fields")]

pub mod access;
pub mod catalog;
mod checks;
pub mod grant;
pub mod lineage;
pub mod secret;
pub mod subject;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// The definitions of all kinds, in the order in which they are told.
#[must_use]
pub fn definitions() -> [CustomResourceDefinition; 2] {
    [grant::SecretGrant::crd(), catalog::SecretCatalog::crd()]
}
