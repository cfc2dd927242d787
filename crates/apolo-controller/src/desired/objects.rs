//! The Role and RoleBinding of a grant.

use std::collections::{BTreeMap, BTreeSet};

use apolo_api::access::Access;
use apolo_api::grant::SecretGrant;
use apolo_api::subject::GrantSubject;
use apolo_core::names::{GRANT_UID, ROLE_PREFIX};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};

use super::{Observed, Rbac};

/// The API group of Roles.
const RBAC: &str = "rbac.authorization.k8s.io";
/// The API group of our kinds, and how a rule names grants.
const GROUP: &str = "secrets.apolo.us";
const GRANTS: &str = "secretgrants";

/// How many of the grants that came from one its Role names: with all of them it could become too large to be written, and then
/// it could not be narrowed either.
pub const MOST_DERIVED: usize = 1000;

/// The name of the Role and RoleBinding of the grant of this name.
#[must_use]
pub fn role_name(grant: &str) -> String {
    format!("{ROLE_PREFIX}{grant}")
}

/// `secrets` are the names of the objects that exist.
pub(super) fn rbac(observed: &Observed<'_>, secrets: &BTreeSet<String>) -> Rbac {
    let grant = observed.grant;
    let metadata = metadata(grant);
    let derived = observed.derived.iter().take(MOST_DERIVED).map(|(_, name)| name.clone()).collect();
    let role = Role { metadata: metadata.clone(), rules: Some(rules(grant.spec.access, secrets, &derived)) };
    let binding = RoleBinding {
        role_ref: RoleRef { api_group: RBAC.into(), kind: "Role".into(), name: role_name(&grant.name_any()) },
        metadata,
        subjects: Some(grant.spec.subjects.iter().map(GrantSubject::in_rbac).collect()),
    };
    Rbac { role, binding }
}

/// Whether the Role does not name all grants that came from this one.
pub(super) fn leaves_out(observed: &Observed<'_>) -> bool {
    observed.grant.spec.access == Access::Manage && observed.derived.len() > MOST_DERIVED
}

fn metadata(grant: &SecretGrant) -> ObjectMeta {
    let uid = grant.metadata.uid.clone().unwrap_or_default();
    let owner = OwnerReference {
        api_version: SecretGrant::api_version(&()).into_owned(),
        kind: SecretGrant::kind(&()).into_owned(),
        name: grant.name_any(),
        uid: uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    ObjectMeta {
        name: Some(role_name(&grant.name_any())),
        namespace: grant.metadata.namespace.clone(),
        labels: Some(BTreeMap::from([(GRANT_UID.into(), uid)])),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    }
}

/// A rule that names no object is about all of them: one whose list would be empty is left out.
fn rules(access: Access, secrets: &BTreeSet<String>, derived: &BTreeSet<String>) -> Vec<PolicyRule> {
    let mut rules = Vec::new();
    let mut on = |group: &str, resource: &str, verbs: &[&str], names: Option<&BTreeSet<String>>| {
        if names.is_some_and(BTreeSet::is_empty) {
            return;
        }
        rules.push(PolicyRule {
            api_groups: Some(vec![group.into()]),
            resources: Some(vec![resource.into()]),
            resource_names: names.map(|names| names.iter().cloned().collect()),
            verbs: verbs.iter().map(|&verb| verb.into()).collect(),
            ..PolicyRule::default()
        });
    };
    on("", "secrets", access.verbs(), Some(secrets));
    if access == Access::Manage {
        on(GROUP, GRANTS, &["create"], None);
        on(GROUP, GRANTS, &["get", "update", "patch", "delete"], Some(derived));
    }
    rules
}
