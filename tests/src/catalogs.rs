//! The catalog of a test's namespace, as the API server has it.
#![allow(clippy::indexing_slicing, reason = "what a JSON object does not have is null")]

use std::{fs, io};

use kube::{
    Api,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

use crate::{
    eventually::{NotYet, eventually},
    namespace::{Error, Namespace},
};

/// The name of each catalog.
pub const NAME: &str = "secrets";

impl Namespace {
    /// The catalogs of this namespace, for a client that may do everything.
    pub fn catalogs(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("secrets.apolo.us", "v1alpha1", "SecretCatalog");
        Api::namespaced_with(self.client.clone(), &self.name, &ApiResource::from_gvk(&kind))
    }

    /// Waits until the status of the catalog is as `is_so` wants it; that status, null where there is no catalog.
    ///
    /// # Errors
    /// When it is not by the deadline.
    pub async fn catalog(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value, NotYet> {
        let catalogs = self.catalogs();
        eventually(&format!("the catalog of {}: {what}", self.name), async || {
            let catalog = catalogs.get_opt(NAME).await.map_err(|error| error.to_string())?;
            let status = catalog.map(|catalog| catalog.data["status"].clone()).unwrap_or_default();
            if is_so(&status) { Ok(status) } else { Err(status.to_string()) }
        })
        .await
    }

    /// Waits until the catalog lists these shared secrets and no others, by the ends of their URIs: `OWNER/KEY`.
    ///
    /// # Errors
    /// When it does not by the deadline.
    pub async fn catalog_shares(&self, wanted: &[&str]) -> Result<Value, NotYet> {
        self.catalog(&format!("shared are {wanted:?}"), |status| ends(status) == wanted).await
    }

    /// Waits until the catalog lists these secrets of the namespace and no others, by their keys.
    ///
    /// # Errors
    /// When it does not by the deadline.
    pub async fn catalog_owns(&self, wanted: &[&str]) -> Result<Value, NotYet> {
        self.catalog(&format!("own are {wanted:?}"), |status| keys(status) == wanted).await
    }

    /// Creates a Secret as the command apolo does, of this value.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn kept_secret(&self, object: &str, key: &str, value: &str) -> Result<(), Error> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "stringData": {key: value},
            "metadata": {
                "name": object, "labels": {"secrets.apolo.us/managed": "true"},
                "annotations": {"secrets.apolo.us/key": key},
            },
        });
        self.create(&secret).await.map(drop)
    }

    /// How often the catalog has been created, its status written, or it deleted, by anybody, as the audit log has it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn catalog_writes(&self) -> io::Result<usize> {
        let log = fs::read_to_string(self.audit_log())?;
        let is_ours = |line: &Value| {
            let about = &line["objectRef"];
            about["resource"] == "secretcatalogs" && about["namespace"] == self.name.as_str()
        };
        let writes =
            |line: &Value| ["create", "update", "patch", "delete"].contains(&line["verb"].as_str().unwrap_or(""));
        let lines = log.lines().filter(|line| line.contains("secretcatalogs"));
        let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(lines.filter(|line| is_ours(line) && writes(line)).count())
    }
}

/// The keys of a catalog's own secrets.
pub fn keys(status: &Value) -> Vec<&str> {
    status["own"].as_array().into_iter().flatten().filter_map(|own| own["key"].as_str()).collect()
}

/// The owners and keys of a catalog's shared secrets.
pub fn ends(status: &Value) -> Vec<&str> {
    let shared = status["shared"].as_array().into_iter().flatten();
    shared.filter_map(|shared| shared["uri"].as_str()?.strip_prefix("secret://default/")).collect()
}
