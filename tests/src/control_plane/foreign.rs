//! A cluster that others have started, as a kubeconfig says how it is reached. People are impersonated there, by its administrator.

use std::fmt;

use kube::config::{Kubeconfig, KubeconfigError};
use serde_json::{Value, json};

/// The cluster and the user of a kubeconfig, as they stand there.
#[derive(Clone)]
pub(super) struct Foreign {
    pub(super) cluster: Value,
    pub(super) user: Value,
}

impl Foreign {
    /// Those of the current context, files named by their whole paths.
    pub(super) fn read(kubeconfig: &Kubeconfig) -> Result<Self, KubeconfigError> {
        let current = kubeconfig.current_context.as_deref().ok_or(KubeconfigError::CurrentContextNotSet)?;
        let context = kubeconfig.contexts.iter().find(|named| named.name == current);
        let context = context.and_then(|named| named.context.as_ref());
        let context = context.ok_or_else(|| KubeconfigError::LoadContext(current.into()))?;
        let cluster = kubeconfig.clusters.iter().find(|named| named.name == context.cluster);
        let cluster = cluster.and_then(|named| serde_json::to_value(named.cluster.as_ref()?).ok());
        let user = kubeconfig.auth_infos.iter().find(|named| Some(&named.name) == context.user.as_ref());
        let user = user.and_then(|named| serde_json::to_value(named.auth_info.as_ref()?).ok());
        Ok(Self {
            cluster: cluster.ok_or_else(|| KubeconfigError::LoadClusterOfContext(context.cluster.clone()))?,
            user: user.unwrap_or_else(|| json!({})),
        })
    }

    /// What [`Foreign::from_text`] reads.
    pub(super) fn to_text(&self) -> String {
        json!([self.cluster, self.user]).to_string()
    }

    pub(super) fn from_text(text: &str) -> Option<Self> {
        let (cluster, user) = serde_json::from_str(text).ok()?;
        Some(Self { cluster, user })
    }

    /// The `user` of a kubeconfig for who is impersonated.
    pub(super) fn acting_for(&self, name: &str, groups: &[&str]) -> Value {
        let mut user = self.user.clone();
        if let Some(fields) = user.as_object_mut() {
            fields.insert("as".into(), json!(name));
            fields.insert("as-groups".into(), json!(groups));
        }
        user
    }
}

/// Without what it is reached with.
impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Foreign").finish_non_exhaustive()
    }
}
