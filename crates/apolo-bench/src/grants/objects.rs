//! A grant, and what becomes of it, as JSON.

use serde_json::{Value, json};

/// The version of our kinds.
pub(crate) const VERSION: &str = "secrets.apolo.us/v1alpha1";
/// Who is granted something.
pub(super) const PERSON: &str = "bob";
/// Who is granted the same, and keeps it when it is taken from the other.
pub(super) const OTHER: &str = "carl";

/// What the Roles and RoleBindings that the benchmark writes bear, with a value as long as a UID.
pub(super) const BARE_LABEL: &str = "secrets.example.us/grant-uid";

const RBAC: &str = "rbac.authorization.k8s.io";

/// The name of the Role and RoleBinding of a grant.
pub(super) fn role_name(grant: &str) -> String {
    format!("secretgrant:{grant}")
}

/// The name of the same written by the benchmark, as long: the API server keeps the other for the controller.
pub(super) fn bare_name(grant: &str) -> String {
    format!("bare-grants:{grant}")
}

/// A grant of one secret to these people, for reading.
pub(super) fn grant(name: &str, secret: &str, people: &[&str]) -> Value {
    let subjects: Vec<Value> = people.iter().map(|name| json!({"kind": "User", "name": name})).collect();
    json!({
        "apiVersion": VERSION, "kind": "SecretGrant", "metadata": {"name": name},
        "spec": {"secrets": [secret], "access": "Read", "subjects": subjects},
    })
}

/// As the controller makes it of a grant of this UID: its Role, RoleBinding and status, each as it is applied. Without a UID
/// nothing owns them, so that the garbage collector leaves them alone.
pub(super) fn made(name: &str, uid: Option<&str>, secret: &str) -> [Value; 3] {
    let owner = json!({"apiVersion": VERSION, "kind": "SecretGrant", "name": name, "uid": uid, "controller": true});
    let metadata = json!({
        "name": bare_name(name), "labels": {BARE_LABEL: uid.unwrap_or("none")},
        "ownerReferences": uid.map_or_else(Vec::new, |_| vec![owner]),
    });
    let rule = json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret], "verbs": ["use", "get"]});
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Granted", "message": "RBAC gives the subjects this access",
        "observedGeneration": 1, "lastTransitionTime": "2026-11-25T00:00:00Z",
    });
    [
        json!({"apiVersion": format!("{RBAC}/v1"), "kind": "Role", "metadata": metadata, "rules": [rule]}),
        json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": bare_name(name)},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": PERSON}],
        }),
        json!({
            "apiVersion": VERSION, "kind": "SecretGrant", "metadata": {"name": name},
            "status": {
                "observedGeneration": 1, "conditions": [ready], "uris": [format!("secret://default/alice/{secret}")],
            },
        }),
    ]
}
