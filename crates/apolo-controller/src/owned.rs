//! What is kept of a Role or RoleBinding: whose it is, and a digest of what matters in it.

use apolo_core::key::hex_digest;
use apolo_core::names::GRANT_UID;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

/// A Role or RoleBinding that bears our label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Its own UID.
    pub uid: String,
    /// The UID of the grant that it is, or was, made for.
    pub grant_uid: String,
    /// Its resourceVersion, as a number: they grow.
    pub version: u64,
    /// Equal to that of another exactly if both give the same, to the same, and are owned alike. Empty if it is not known.
    pub digest: String,
}

/// What a digest is made of.
pub trait Content {
    /// The metadata.
    fn metadata(&self) -> &ObjectMeta;
    /// All that it gives, as JSON; none if it cannot be written so.
    fn given(&self) -> Option<String>;
    /// The same object, but that it gives nothing.
    #[must_use]
    fn emptied(&self) -> Self;
}

impl Content for Role {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn given(&self) -> Option<String> {
        json(&self.rules.as_deref().unwrap_or_default())
    }

    fn emptied(&self) -> Self {
        Self { metadata: essential(&self.metadata), rules: Some(Vec::new()) }
    }
}

impl Content for RoleBinding {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn given(&self) -> Option<String> {
        json(&(&self.role_ref, self.subjects.as_deref().unwrap_or_default()))
    }

    fn emptied(&self) -> Self {
        Self { metadata: essential(&self.metadata), role_ref: self.role_ref.clone(), subjects: Some(Vec::new()) }
    }
}

impl Owned {
    /// What is kept of an object, also of one that is only to be made.
    #[must_use]
    pub fn of(object: &impl Content) -> Self {
        let metadata = object.metadata();
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            grant_uid: grant_uid(metadata).unwrap_or_default().to_owned(),
            version: version(metadata),
            digest: object.given().and_then(|given| digest(metadata, &given)).unwrap_or_default(),
        }
    }
}

/// The UID of the grant that an object says it was made for, by its label.
#[must_use]
pub fn grant_uid(metadata: &ObjectMeta) -> Option<&str> {
    metadata.labels.as_ref()?.get(GRANT_UID).map(String::as_str)
}

/// Whether an object was made for the grant of this UID: by our label or by its owner.
#[must_use]
pub fn is_of(metadata: &ObjectMeta, uid: &str) -> bool {
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    grant_uid(metadata) == Some(uid) || owners.iter().any(|owner| owner.uid == uid)
}

/// The resourceVersion as a number; 0 where there is none.
#[must_use]
pub fn version(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// Which object it is, and whose.
fn essential(metadata: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        labels: grant_uid(metadata).map(|uid| [(GRANT_UID.to_owned(), uid.to_owned())].into()),
        ..ObjectMeta::default()
    }
}

fn digest(metadata: &ObjectMeta, given: &str) -> Option<String> {
    let uid = grant_uid(metadata)?;
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    let owner = json(&owners.iter().find(|owner| owner.uid == uid))?;
    Some(hex_digest(format!("{uid}\n{owner}\n{given}").as_bytes(), 32))
}

fn json(value: &impl Serialize) -> Option<String> {
    serde_json::to_string(value).ok()
}
