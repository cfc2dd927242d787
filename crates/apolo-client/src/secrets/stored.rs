//! A secret as a Kubernetes Secret holds it, and what is in the way of replacing one that is there. Pure.

use std::collections::BTreeMap;

use apolo_api::secret::OPAQUE;
use apolo_core::names::{KEY, MANAGED};
use apolo_core::text::{quoted, quoted_list};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};
use thiserror::Error;

use crate::target::Target;
use crate::value::SecretValue;

/// What a Secret's data may hold in all, in bytes.
///
/// Source: <https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size>
pub const LARGEST: usize = 1_048_576;

/// Why a Secret that is there is not touched.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InTheWay {
    /// Its type has a meaning of its own.
    #[error("is of type {}", quoted(.0))]
    Type(String),
    /// It holds more than the one entry.
    #[error("has other entries: {}", quoted_list(.0.iter().map(String::as_str)))]
    Entries(Vec<String>),
    /// Its values cannot be changed.
    #[error("is immutable")]
    Immutable,
    /// It is going.
    #[error("is being deleted")]
    Leaving,
}

/// What becomes of a Secret that is there when a value is kept in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// It is as it should be.
    Nothing,
    /// This merge patch.
    Patch(Value),
}

/// The Secret that holds a value.
pub(crate) fn secret(target: &Target, value: &SecretValue) -> Secret {
    let one = |name: &str, content: &str| Some(BTreeMap::from([(name.to_owned(), content.to_owned())]));
    Secret {
        metadata: ObjectMeta {
            name: Some(target.object()),
            labels: one(MANAGED, "true"),
            annotations: one(KEY, &target.key),
            ..ObjectMeta::default()
        },
        type_: Some(OPAQUE.to_owned()),
        data: Some(BTreeMap::from([(target.key.clone(), value.stored())])),
        ..Secret::default()
    }
}

/// What has to change in a Secret that was read, for it to hold the value, whoever made it.
///
/// # Errors
/// Where it is not one that apolo would have made, or its value cannot be changed.
pub(crate) fn change(seen: &Secret, target: &Target, value: &SecretValue) -> Result<Change, InTheWay> {
    check(seen, target)?;
    let stored = seen.data.as_ref().and_then(|data| data.get(&target.key));
    let is_equal = stored.is_some_and(|stored| stored.0 == value.expose());
    if is_equal && is_marked(&seen.metadata, target) {
        return Ok(Change::Nothing);
    }
    if !is_equal && seen.immutable == Some(true) {
        return Err(InTheWay::Immutable);
    }
    Ok(Change::Patch(patch(target, value, seen.metadata.resource_version.as_deref())))
}

/// The merge patch that puts a value into a Secret, as it was at this version, or whatever it is.
pub(crate) fn patch(target: &Target, value: &SecretValue, version: Option<&str>) -> Value {
    let mut metadata = json!({"labels": {MANAGED: "true"}, "annotations": {KEY: target.key}});
    if let (Some(version), Some(fields)) = (version, metadata.as_object_mut()) {
        fields.insert("resourceVersion".to_owned(), json!(version));
    }
    json!({"metadata": metadata, "data": {target.key.clone(): value.stored()}})
}

/// Whether a Secret is one that apolo would have made for this key, but for its marks.
///
/// # Errors
/// What it is else.
pub(crate) fn check(seen: &Secret, target: &Target) -> Result<(), InTheWay> {
    if let Some(other) = seen.type_.as_ref().filter(|kind| *kind != OPAQUE) {
        return Err(InTheWay::Type(other.clone()));
    }
    let entries = seen.data.iter().flat_map(|data| data.keys());
    let others: Vec<String> = entries.filter(|entry| **entry != target.key).cloned().collect();
    if !others.is_empty() {
        return Err(InTheWay::Entries(others));
    }
    if seen.metadata.deletion_timestamp.is_some() {
        return Err(InTheWay::Leaving);
    }
    Ok(())
}

fn is_marked(metadata: &ObjectMeta, target: &Target) -> bool {
    let has = |notes: &Option<BTreeMap<String, String>>, name: &str, content: &str| {
        notes.as_ref().and_then(|notes| notes.get(name)).is_some_and(|found| found == content)
    };
    has(&metadata.labels, MANAGED, "true") && has(&metadata.annotations, KEY, &target.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(key: &str) -> Target {
        Target { owner: "alice".into(), key: key.into(), entry: None, cluster: None }
    }

    fn value(bytes: &[u8]) -> SecretValue {
        SecretValue::new(bytes.to_vec())
    }

    fn seen(fields: Value) -> Secret {
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn a_secret_is_named_by_its_key_and_holds_one_entry() {
        let stored = serde_json::to_value(secret(&target("AWS_KEY"), &value(b"p@ss"))).unwrap();
        assert_eq!(
            stored,
            json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"AWS_KEY": "cEBzcw=="}, "metadata": {
                "name": "aws-key-4cea0ddbcf43f8cf", "labels": {"secrets.apolo.us/managed": "true"},
                "annotations": {"secrets.apolo.us/key": "AWS_KEY"},
            }})
        );
    }

    #[test]
    fn what_is_there_already_is_left_alone() {
        let kept = secret(&target("db"), &value(b"one"));
        assert_eq!(change(&kept, &target("db"), &value(b"one")), Ok(Change::Nothing));
        let fixed = Secret { immutable: Some(true), ..kept };
        assert_eq!(change(&fixed, &target("db"), &value(b"one")), Ok(Change::Nothing));
    }

    #[test]
    fn a_secret_of_somebody_else_with_this_entry_only_is_as_good_and_gets_the_marks() {
        for fields in [
            json!({"type": "Opaque", "data": {"db": "b25l"}, "metadata": {"name": "db", "resourceVersion": "7"}}),
            json!({"metadata": {"name": "db", "resourceVersion": "7"}}),
        ] {
            let Ok(Change::Patch(patch)) = change(&seen(fields), &target("db"), &value(b"two")) else { panic!() };
            assert_eq!(
                patch,
                json!({"data": {"db": "dHdv"}, "metadata": {"resourceVersion": "7",
                    "labels": {"secrets.apolo.us/managed": "true"}, "annotations": {"secrets.apolo.us/key": "db"}}})
            );
        }
    }

    #[test]
    fn what_apolo_would_not_have_made_is_in_the_way() {
        let others = vec!["password".to_owned(), "user".to_owned()];
        for (fields, expected) in [
            (json!({"type": "kubernetes.io/tls"}), InTheWay::Type("kubernetes.io/tls".into())),
            (json!({"data": {"db": "", "password": "", "user": ""}}), InTheWay::Entries(others)),
            (json!({"data": {"DB": ""}}), InTheWay::Entries(vec!["DB".into()])),
            (json!({"immutable": true, "data": {"db": ""}}), InTheWay::Immutable),
            (json!({"metadata": {"deletionTimestamp": "2026-11-26T00:00:00Z"}}), InTheWay::Leaving),
        ] {
            assert_eq!(change(&seen(fields), &target("db"), &value(b"two")), Err(expected));
        }
    }
}
