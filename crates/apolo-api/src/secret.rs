//! What the metadata of a Secret tell of it: its key, the names of its entries, when it was changed. Never a value.

use std::collections::BTreeSet;

use apolo_core::key::Key;
use apolo_core::names::{KEY, MANAGED};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// The type of a Secret that is a secret for us, as the field selector `type` takes it.
pub const OPAQUE: &str = "Opaque";

/// Types of Secrets that do not exist for us.
pub const NOT_OURS: [&str; 3] =
    ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1"];

/// The namespace of Kubernetes itself, whose Secrets do not exist for us.
pub const KUBE_SYSTEM: &str = "kube-system";

/// What a Secret is asked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named<'a> {
    /// Its key; of an ordinary Secret, its name.
    pub key: &'a str,
    /// Whether it is an ordinary Secret, whose entries are asked for by name.
    pub is_ordinary: bool,
    /// The name of the Secret.
    pub object: &'a str,
}

impl<'a> Named<'a> {
    /// By its key, if the Secret's name is that of the key's object: by no other can it be asked for without the name of an entry.
    /// `key` is the one that apolo made it for, `has_own_entry` whether it has an entry of its own name.
    #[must_use]
    pub fn new(object: &'a str, key: Option<&'a str>, has_own_entry: bool) -> Self {
        let own = has_own_entry.then_some(object);
        let mut keys = [key, own].into_iter().flatten();
        let key = keys.find(|key| Key::parse(key).is_ok_and(|key| key.object_name() == object));
        Self { key: key.unwrap_or(object), is_ordinary: key.is_none(), object }
    }

    /// What the metadata of a Secret say.
    #[must_use]
    pub fn of(metadata: &'a ObjectMeta) -> Self {
        let object = metadata.name.as_deref().unwrap_or_default();
        Self::new(object, key(metadata), has_entry(metadata, object))
    }
}

/// The key that a Secret was made for by apolo.
#[must_use]
pub fn key(metadata: &ObjectMeta) -> Option<&str> {
    let is_managed = metadata.labels.as_ref()?.get(MANAGED)? == "true";
    metadata.annotations.as_ref()?.get(KEY).filter(|_| is_managed).map(String::as_str)
}

/// Whether somebody has written an entry of this name into a Secret.
#[must_use]
pub fn has_entry(metadata: &ObjectMeta, entry: &str) -> bool {
    let field = format!("f:{entry}");
    written(metadata).any(|data| data.get(&field).is_some())
}

/// The names of the entries that somebody has written into a Secret; one that was removed by another writer may still be among
/// them.
///
/// Source: <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>
#[must_use]
pub fn entries(metadata: &ObjectMeta) -> BTreeSet<&str> {
    let names = written(metadata).filter_map(Value::as_object).flat_map(|data| data.keys());
    names.filter_map(|name| name.strip_prefix("f:")).collect()
}

/// When a Secret was last changed, as far as its managedFields tell.
#[must_use]
pub fn updated(metadata: &ObjectMeta) -> Option<Timestamp> {
    let managed = metadata.managed_fields.as_deref().unwrap_or_default();
    managed.iter().filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max()
}

/// What an entry of managedFields tells of a Secret's data, as its fields are named there.
fn written(metadata: &ObjectMeta) -> impl Iterator<Item = &Value> {
    let managed = metadata.managed_fields.as_deref().unwrap_or_default();
    managed
        .iter()
        .filter_map(|entry| entry.fields_v1.as_ref())
        .flat_map(|fields| ["f:data", "f:stringData"].into_iter().filter_map(|data| fields.0.get(data)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(value: Value) -> ObjectMeta {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_secret_that_apolo_made_is_asked_for_by_its_key() {
        let of_apolo = metadata(json!({
            "name": "aws-key-4cea0ddbcf43f8cf",
            "labels": {"secrets.apolo.us/managed": "true"}, "annotations": {"secrets.apolo.us/key": "AWS_KEY"},
        }));
        assert_eq!(
            Named::of(&of_apolo),
            Named { key: "AWS_KEY", is_ordinary: false, object: "aws-key-4cea0ddbcf43f8cf" }
        );
        let renamed = ObjectMeta { name: Some("other".into()), ..of_apolo };
        assert_eq!(Named::of(&renamed), Named { key: "other", is_ordinary: true, object: "other" });
    }

    #[test]
    fn an_ordinary_one_by_its_name_and_its_entries() {
        let written = |data: Value| {
            json!({"name": "db", "managedFields": [
                {"time": "2026-11-25T00:00:00Z", "fieldsV1": data}, {"time": "2026-11-24T00:00:00Z"},
            ]})
        };
        let ordinary = metadata(written(json!({"f:data": {".": {}, "f:password": {}, "f:user": {}}})));
        assert_eq!(Named::of(&ordinary), Named { key: "db", is_ordinary: true, object: "db" });
        assert_eq!(entries(&ordinary), BTreeSet::from(["password", "user"]));
        assert_eq!(updated(&ordinary), "2026-11-25T00:00:00Z".parse().ok());
        let as_good = metadata(written(json!({"f:stringData": {"f:db": {}}})));
        assert_eq!(Named::of(&as_good), Named { key: "db", is_ordinary: false, object: "db" });
        assert!(has_entry(&as_good, "db") && !has_entry(&as_good, "password"));
    }
}
