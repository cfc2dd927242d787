//! The floor: the writes that a grant needs, sent by the benchmark itself.

use anyhow::Context;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::Value;
use std::fmt::Debug;

use super::ground::Ground;
use super::objects::{bare_name, made};

/// As the controller, of which none may be there for these namespaces.
const MANAGER: &str = "apolo-secrets";

/// Whoever writes into one namespace.
#[derive(Clone)]
pub(super) struct Bare {
    roles: Api<Role>,
    bindings: Api<RoleBinding>,
    grants: Api<DynamicObject>,
}

impl Bare {
    /// Into this namespace.
    pub(super) fn new(client: &Client, namespace: &str) -> Self {
        Self {
            roles: Api::namespaced(client.clone(), namespace),
            bindings: Api::namespaced(client.clone(), namespace),
            grants: Ground::grants_by(client, namespace),
        }
    }

    /// Role and RoleBinding, of no grant.
    pub(super) async fn give(&self, name: &str, secret: &str) -> anyhow::Result<()> {
        let [role, binding, _] = made(name, None, secret);
        apply(&self.roles, &bare_name(name), role).await?;
        apply(&self.bindings, &bare_name(name), binding).await
    }

    /// Role, RoleBinding and status of a grant.
    pub(super) async fn give_and_tell(&self, name: &str, uid: &str, secret: &str) -> anyhow::Result<()> {
        let [role, binding, status] = made(name, Some(uid), secret);
        apply(&self.roles, &bare_name(name), role).await?;
        apply(&self.bindings, &bare_name(name), binding).await?;
        let params = PatchParams::apply(MANAGER).force();
        self.grants.patch_status(name, &params, &Patch::Apply(status)).await.context("writing a status")?;
        Ok(())
    }

    /// Deletes a RoleBinding.
    pub(super) async fn withdraw(&self, name: &str) -> anyhow::Result<()> {
        self.bindings.delete(&bare_name(name), &Default::default()).await.context("deleting a RoleBinding")?;
        Ok(())
    }
}

async fn apply<K>(api: &Api<K>, name: &str, object: Value) -> anyhow::Result<()>
where
    K: Clone + serde::de::DeserializeOwned + Debug,
{
    let params = PatchParams::apply(MANAGER).force();
    api.patch(name, &params, &Patch::Apply(object)).await.with_context(|| format!("applying {name}"))?;
    Ok(())
}
