//! Sharing, as a test does it: grants are made and changed in its namespace, and what the controller makes of them is waited for.
#![allow(clippy::indexing_slicing, reason = "what a JSON object does not have is null")]

use k8s_openapi::{
    api::rbac::v1::{Role, RoleBinding},
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

use crate::{
    eventually::{NotYet, eventually},
    grants::grant,
    namespace::{Error, Namespace},
    rights,
};

impl Namespace {
    /// The grants of this namespace, for a client that may do everything.
    pub fn grants(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("secrets.apolo.us", "v1alpha1", "SecretGrant");
        Api::namespaced_with(self.client.clone(), &self.name, &ApiResource::from_gvk(&kind))
    }

    /// Creates a Secret that holds nothing.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn secret(&self, name: &str) -> Result<(), Error> {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
        self.create(&secret).await.map(drop)
    }

    /// Creates a grant with these fields of its spec in place of those of [`grant`].
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn share(&self, name: &str, fields: &Value) -> Result<(), Error> {
        let fields = fields.as_object().cloned().unwrap_or_default();
        self.create(&grant(name, &fields)).await.map(drop)
    }

    /// Changes these fields of a grant's spec.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn change(&self, name: &str, fields: &Value) -> Result<(), kube::Error> {
        let patch = Patch::Merge(json!({"spec": fields}));
        self.grants().patch(name, &PatchParams::default(), &patch).await.map(drop)
    }

    /// Waits until a grant stands for this reason, its present generation looked at; its status.
    ///
    /// # Errors
    /// When it does not by the deadline.
    pub async fn stands(&self, name: &str, reason: &str) -> Result<Value, NotYet> {
        let api = self.grants();
        eventually(&format!("grant {name} is {reason}"), async || {
            let grant = api.get(name).await.map_err(|error| error.to_string())?;
            let status = &grant.data["status"];
            let told = status["conditions"][0]["reason"] == reason;
            let seen = status["observedGeneration"].as_i64() == grant.metadata.generation;
            if told && seen { Ok(status.clone()) } else { Err(status.to_string()) }
        })
        .await
    }

    /// Waits until a client may do this and no more with a Secret of this namespace.
    ///
    /// # Errors
    /// When that does not come about by the deadline.
    pub async fn comes_to(&self, client: &Client, secret: &str, verbs: &[&'static str]) -> Result<(), NotYet> {
        rights::come_to(client, &rights::secret(&self.name, secret), verbs).await
    }

    /// Waits until neither a Role nor a RoleBinding of a grant is there.
    ///
    /// # Errors
    /// When one is there at the deadline.
    pub async fn is_withdrawn(&self, name: &str) -> Result<(), NotYet> {
        let name = format!("secretgrant:{name}");
        eventually(&format!("no Role and RoleBinding {name}"), async || {
            let role = self.api::<Role>().get_opt(&name).await.map_err(|error| error.to_string())?;
            let binding = self.api::<RoleBinding>().get_opt(&name).await.map_err(|error| error.to_string())?;
            if role.is_none() && binding.is_none() { Ok(()) } else { Err(format!("{role:?} {binding:?}")) }
        })
        .await
    }
}

/// So many seconds from now, as a grant's `expiresAt` has it.
pub fn in_seconds(seconds: i64) -> String {
    (Timestamp::now() + SignedDuration::from_secs(seconds)).to_string()
}
