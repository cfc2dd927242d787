//! What is kept of a Secret: what its metadata say, never a value.

use apolo_api::secret;
use apolo_core::names::{DELIVERY, DELIVERY_PREFIX, FIELD_MANAGER, SOURCE, SOURCE_UID, SOURCE_VERSION};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::owned;

/// A Secret, whether of an owner or a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Of an owner.
    Secret(KnownSecret),
    /// It bears the name of a copy.
    Copy(KnownCopy),
}

/// A Secret of an owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownSecret {
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion, as a number: they grow.
    pub version: u64,
    /// Whether it is of the type Opaque.
    pub is_opaque: bool,
    /// The key that it was made for by apolo.
    pub key: Option<String>,
    /// Whether its metadata show an entry of its own name.
    pub has_own_entry: bool,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// When it was last changed, as far as its managedFields tell.
    pub updated: Option<Timestamp>,
}

/// A Secret that bears the name of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownCopy {
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion, as a number.
    pub version: u64,
    /// Whether it is of the type Opaque.
    pub is_opaque: bool,
    /// Of what it says to be a copy, `OWNER/OBJECT/ENTRY`; none if we did not write it.
    pub source: Option<String>,
    /// The UID of the Secret that it was copied from.
    pub source_uid: String,
    /// The resourceVersion that this had then, as a number.
    pub source_version: u64,
    /// Whether somebody else has written into it.
    pub is_edited: bool,
    /// Whether it is being deleted.
    pub is_leaving: bool,
    /// The UIDs of the Pods that own it.
    pub owners: Vec<String>,
}

impl Kept {
    /// What is kept of a Secret by its metadata.
    #[must_use]
    pub fn of(metadata: &ObjectMeta, is_opaque: bool) -> Self {
        if metadata.name.as_deref().is_some_and(|name| name.starts_with(DELIVERY_PREFIX)) {
            Self::Copy(KnownCopy::of(metadata, is_opaque))
        } else {
            Self::Secret(KnownSecret::of(metadata, is_opaque))
        }
    }
}

impl KnownSecret {
    fn of(metadata: &ObjectMeta, is_opaque: bool) -> Self {
        let name = metadata.name.as_deref().unwrap_or_default();
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            version: owned::version(metadata),
            is_opaque,
            key: secret::key(metadata).map(str::to_owned),
            has_own_entry: secret::has_entry(metadata, name),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            updated: secret::updated(metadata),
        }
    }
}

impl KnownCopy {
    fn of(metadata: &ObjectMeta, is_opaque: bool) -> Self {
        let annotation = |name| metadata.annotations.as_ref().and_then(|all| all.get(name)).cloned();
        let is_ours = metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(DELIVERY));
        let managed = metadata.managed_fields.as_deref().unwrap_or_default();
        let owners = metadata.owner_references.as_deref().unwrap_or_default();
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            version: owned::version(metadata),
            is_opaque,
            source: annotation(SOURCE).filter(|_| is_ours),
            source_uid: annotation(SOURCE_UID).unwrap_or_default(),
            source_version: annotation(SOURCE_VERSION).and_then(|version| version.parse().ok()).unwrap_or(0),
            is_edited: managed.iter().any(|entry| entry.manager.as_deref() != Some(FIELD_MANAGER) && writes(entry)),
            is_leaving: metadata.deletion_timestamp.is_some(),
            owners: owners.iter().map(|owner| owner.uid.clone()).collect(),
        }
    }
}

/// Whether somebody has written what a Secret holds, or how it may change.
fn writes(entry: &ManagedFieldsEntry) -> bool {
    let field = |name: &str| fields(entry).is_some_and(|fields| fields.get(name).is_some());
    ["f:data", "f:stringData", "f:immutable", "f:type"].into_iter().any(field)
}

fn fields(entry: &ManagedFieldsEntry) -> Option<&Value> {
    entry.fields_v1.as_ref().map(|fields| &fields.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kept(metadata: Value) -> Kept {
        Kept::of(&serde_json::from_value(metadata).unwrap(), true)
    }

    #[test]
    fn of_a_secret_it_is_kept_what_its_key_is_and_since_when() {
        let managed =
            |manager: &str, time: &str, fields: Value| json!({"manager": manager, "time": time, "fieldsV1": fields});
        let metadata = json!({
            "name": "aws-key-4cea0ddbcf43f8cf", "uid": "7", "resourceVersion": "12", "creationTimestamp": "2026-11-25T00:00:00Z",
            "labels": {"secrets.apolo.us/managed": "true"},
            "annotations": {"secrets.apolo.us/key": "AWS_KEY", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
            "managedFields": [
                managed("apolo", "2026-11-25T00:00:00Z", json!({"f:data": {".": {}, "f:AWS_KEY": {}}})),
                managed("kubectl-edit", "2026-11-25T00:00:09Z", json!({"f:data": {"f:AWS_KEY": {}}})),
            ],
        });
        let Kept::Secret(secret) = kept(metadata.clone()) else { panic!("a copy") };
        assert_eq!((secret.key.as_deref(), secret.version, secret.has_own_entry), (Some("AWS_KEY"), 12, false));
        assert_eq!(secret.updated, "2026-11-25T00:00:09Z".parse().ok());
        let mut unmanaged = metadata;
        unmanaged["labels"] = json!(null);
        unmanaged["name"] = json!("AWS_KEY");
        let Kept::Secret(secret) = kept(unmanaged) else { panic!("a copy") };
        assert!(secret.key.is_none() && secret.has_own_entry);
    }

    #[test]
    fn of_what_bears_the_name_of_a_copy_it_is_kept_whether_it_is_one_and_of_what() {
        let metadata = |manager: &str| {
            json!({
                "name": "apolo-shared-1", "uid": "7", "resourceVersion": "12",
                "labels": {"secrets.apolo.us/delivery": "true"},
                "annotations": {"secrets.apolo.us/source": "alice/db/password", "secrets.apolo.us/source-uid": "3",
                    "secrets.apolo.us/source-version": "9"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "one", "uid": "p"}],
                "managedFields": [
                    {"manager": manager, "fieldsV1": {"f:data": {".": {}, "f:password": {}}}},
                    {"manager": "kube-controller-manager", "fieldsV1": {"f:metadata": {"f:ownerReferences": {}}}},
                ],
            })
        };
        let copy = |metadata: Value| match kept(metadata) {
            Kept::Copy(copy) => copy,
            Kept::Secret(secret) => panic!("{secret:?}"),
        };
        let ours = copy(metadata(FIELD_MANAGER));
        assert_eq!(
            (ours.source.as_deref(), ours.source_version, ours.is_edited),
            (Some("alice/db/password"), 9, false)
        );
        assert_eq!(ours.owners, ["p"]);
        assert!(copy(metadata("kubectl-edit")).is_edited);
        let mut foreign = metadata("kubectl");
        foreign["labels"] = json!({});
        assert!(copy(foreign).source.is_none());
    }
}
