//! What decides of a grant's metadata.

use apolo_core::names::{GRANTED_BY, GRANTED_VIA};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Of a grant's metadata what decides: which object it is, since when and until when, and the annotations that we write. All else may be
/// many times larger than the grant, such as kubectl's own copy of it, so that whoever keeps many grants in memory keeps only this.
#[must_use]
pub fn essential(metadata: ObjectMeta) -> ObjectMeta {
    let is_ours = |name: &str| [GRANTED_BY, GRANTED_VIA].contains(&name);
    ObjectMeta {
        annotations: metadata.annotations.map(|all| all.into_iter().filter(|(name, _)| is_ours(name)).collect()),
        creation_timestamp: metadata.creation_timestamp,
        deletion_timestamp: metadata.deletion_timestamp,
        generation: metadata.generation,
        name: metadata.name,
        namespace: metadata.namespace,
        resource_version: metadata.resource_version,
        uid: metadata.uid,
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_decides_is_left() {
        let left = json!({
            "name": "a", "namespace": "alice", "uid": "7", "resourceVersion": "3", "generation": 2,
            "creationTimestamp": "2026-11-25T00:00:00Z", "deletionTimestamp": "2026-11-26T00:00:00Z",
            "annotations": {GRANTED_BY: "bob", GRANTED_VIA: "8 bob"},
        });
        let mut whole = left.clone();
        whole["annotations"]["secrets.apolo.us/note"] = json!("as large as it likes");
        whole["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = json!("{}");
        whole["labels"] = json!({"a": "b"});
        whole["finalizers"] = json!(["example.com/a"]);
        whole["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "9"}]);
        whole["managedFields"] = json!([{"manager": "kubectl"}]);
        let metadata = essential(serde_json::from_value(whole).unwrap());
        assert_eq!(serde_json::to_value(metadata).unwrap(), left);
    }
}
