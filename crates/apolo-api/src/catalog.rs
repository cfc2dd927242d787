//! SecretCatalog: what secrets are in a namespace and what is shared with it, by name, never a value.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::checks;

/// The name of the catalog of each namespace that has one.
pub const NAME: &str = "secrets";
/// The greatest number of entries in each list of a catalog.
pub const MOST_ENTRIES: usize = 1000;

/// A catalog asks for nothing: it has a status only.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "secrets.apolo.us",
    version = "v1alpha1",
    kind = "SecretCatalog",
    namespaced,
    no_spec,
    status = "SecretCatalogStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "scatalog",
    category = "apolo-secrets",
    doc = "SecretCatalog lists the secrets of its namespace, and those that other namespaces share with it: by name, never a value. The controller keeps one, named secrets, in each namespace that has something to list. Nothing is decided from it.",
    printcolumn = r#"{"name": "Cluster", "type": "string", "jsonPath": ".status.cluster", "description": "The name of this cluster in references."}"#,
    printcolumn = r#"{"name": "Truncated", "type": "integer", "jsonPath": ".status.truncated", "description": "How many entries were left out.", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "How long it has been there."}"#
)]
pub struct SecretCatalogSpec {}

/// What is in a namespace, and what is shared with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = checks::on_one_line)]
pub struct SecretCatalogStatus {
    /// The name of this cluster in references: CLUSTER in secret://CLUSTER/OWNER/KEY.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// The secrets of this namespace, at most 1000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub own: Vec<OwnSecret>,
    /// The secrets of other namespaces that jobs in this one may use, at most 1000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub shared: Vec<SharedSecret>,
    /// How many entries were left out of the two lists, which end at 1000 each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub truncated: Option<i64>,
}

/// A secret of the catalog's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnSecret {
    /// The key; of an ordinary Secret, its name.
    pub key: String,
    /// Whether this is an ordinary Opaque Secret, which apolo did not make: its entries are asked for by name, as in
    /// secret:db-creds#password.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ordinary: bool,
    /// When the secret was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    pub created: Option<Time>,
    /// When the secret was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    pub updated: Option<Time>,
    /// With how many subjects it is shared, by grants that are in force.
    pub shared_with: i64,
}

/// A secret of another namespace that jobs in the catalog's namespace may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SharedSecret {
    /// The reference to ask for it by: secret://CLUSTER/OWNER/KEY.
    pub uri: String,
    /// What the subjects may do with it: Use, Read, Write or Manage.
    pub access: Access,
    /// With whom it is shared, as the command apolo writes subjects: bob, group:ml-team, serviceaccount:jobs/trainer,
    /// namespace:nightly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub subjects: Vec<String>,
    /// Who granted it, as the command apolo writes subjects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub by: Option<String>,
    /// When the grant ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    pub expires_at: Option<Time>,
}
