//! Deliveries: the copy of a shared secret in the namespace of a Pod that uses it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::key::hex_digest;
use crate::names::DELIVERY_PREFIX;

/// The fields of a Pod's spec that hold a reference to a Secret, as an object with a `name`: of variables, containers, projected,
/// csi and legacy volumes.
const REFERENCES: [&str; 5] = ["secret", "secretKeyRef", "secretRef", "nodePublishSecretRef", "imagePullSecrets"];
/// The field of secret and azureFile volumes that is the name of a Secret.
const SECRET_NAME: &str = "secretName";

/// The name of the copy of one entry of an owner's Secret: `apolo-shared-` and the first 32 hex digits of
/// SHA-256(`OWNER/OBJECT/ENTRY`).
///
/// None of the three holds a `/`, so different entries have different names.
#[must_use]
pub fn name(owner: &str, object: &str, entry: &str) -> String {
    format!("{DELIVERY_PREFIX}{}", hex_digest(format!("{owner}/{object}/{entry}").as_bytes(), 32))
}

/// The deliveries that a Pod's spec names, in whatever field.
///
/// It is not told which fields a Pod has: what is called like a reference to a Secret is one, also in a kind of volume that is
/// not known yet.
#[must_use]
pub fn named(spec: &Value) -> BTreeSet<&str> {
    let mut found = secrets_named(spec);
    found.retain(|name| name.starts_with(DELIVERY_PREFIX));
    found
}

/// The Secrets that a Pod's spec names, in whatever field.
#[must_use]
pub fn secrets_named(spec: &Value) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    find(spec, &mut found);
    found
}

fn find<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    let mut take = |name: Option<&'a Value>| found.extend(name.and_then(Value::as_str));
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| find(element, found)),
        Value::Object(fields) => {
            take(fields.get(SECRET_NAME));
            for (field, inner) in fields {
                if REFERENCES.contains(&field.as_str()) {
                    let each = inner.as_array().map_or(std::slice::from_ref(inner), Vec::as_slice);
                    each.iter().for_each(|reference| take(reference.get("name")));
                }
            }
            fields.values().for_each(|inner| find(inner, found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn deliveries_are_found_in_every_field_that_names_a_secret() {
        let name = |number: u32| format!("apolo-shared-{number}");
        let spec = json!({
            "volumes": [
                {"name": "apolo-shared-volume", "secret": {"secretName": name(1)}},
                {"projected": {"sources": [{"secret": {"name": name(2)}}, {"configMap": {"name": "apolo-shared-map"}}]}},
                {"csi": {"nodePublishSecretRef": {"name": name(3)}}},
                {"azureFile": {"secretName": name(4)}},
                {"rbd": {"secretRef": {"name": name(5)}}},
            ],
            "imagePullSecrets": [{"name": "own"}, {"name": name(6)}],
            "containers": [{"name": "apolo-shared-c", "image": "apolo-shared-image",
                "env": [{"name": "apolo-shared-e", "valueFrom": {"secretKeyRef": {"name": name(7)}}}]}],
            "initContainers": [{"envFrom": [{"secretRef": {"name": name(8)}}, {"configMapRef": {"name": "apolo-shared-m"}}]}],
            "ephemeralContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": name(9)}}}]}],
            "future": [{"secretRef": {"name": 3}}],
        });
        let names: Vec<String> = (1..=9).map(name).collect();
        assert_eq!(named(&spec).into_iter().collect::<Vec<_>>(), names);
        let all: Vec<String> = names.into_iter().chain(["own".to_owned()]).collect();
        assert_eq!(secrets_named(&spec).into_iter().collect::<Vec<_>>(), all);
    }

    #[test]
    fn a_delivery_is_named_by_what_it_is_a_copy_of() {
        // echo -n alice/db/password | sha256sum
        assert_eq!(name("alice", "db", "password"), "apolo-shared-3b62dbe51a8547de3c5687bc7785458d");
    }
}
