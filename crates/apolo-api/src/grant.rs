//! SecretGrant: these secrets, at this access, to these subjects, for use in these namespaces, until then.

mod essential;
mod status;
mod widening;

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use self::essential::essential;
pub use self::status::{READY, Reason, SecretGrantStatus};
use crate::access::Access;
use crate::checks;
use crate::subject::GrantSubject;

/// How many secrets a grant may have.
pub const MOST_SECRETS: usize = 64;
/// How many subjects a grant may have.
pub const MOST_SUBJECTS: usize = 100;

/// What is granted, to whom, where and until when.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "secrets.apolo.us",
    version = "v1alpha1",
    kind = "SecretGrant",
    namespaced,
    status = "SecretGrantStatus",
    derive = "PartialEq",
    shortname = "sgrant",
    category = "apolo-secrets",
    doc = "SecretGrant shares secrets of its namespace: it says who may do what with them, in which namespaces jobs may use them, and until when. Kubernetes' own RBAC enforces it.",
    printcolumn = r#"{"name": "Secrets", "type": "string", "jsonPath": ".spec.secrets", "description": "The keys that are granted."}"#,
    printcolumn = r#"{"name": "Access", "type": "string", "jsonPath": ".spec.access", "description": "What the subjects may do with them."}"#,
    printcolumn = r#"{"name": "Subjects", "type": "string", "jsonPath": ".spec.subjects", "description": "To whom they are granted."}"#,
    printcolumn = r#"{"name": "Namespaces", "type": "string", "jsonPath": ".spec.namespaces", "description": "Where jobs may use them."}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "description": "Whether the grant is in force."}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "description": "Why it is, or is not.", "priority": 1}"#,
    printcolumn = r#"{"name": "Expires", "type": "string", "jsonPath": ".spec.expiresAt", "description": "When it ends by itself."}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "How long it has been there."}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = checks::on_one_line)]
pub struct SecretGrantSpec {
    /// The keys of the secrets, 1 to 64, each of this grant's namespace. Whole secrets are granted: all entries of a
    /// Kubernetes Secret that has several. One that is not there yet is granted when it comes.
    #[schemars(schema_with = "checks::keys")]
    pub secrets: Vec<String>,
    /// What the subjects may do with each of the secrets. Use: run jobs that use it, which can print it. Read: get its value as
    /// well. Write: replace it as well. Manage: delete it and share it further as well. The default is Read.
    #[serde(default)]
    pub access: Access,
    /// To whom the secrets are granted, 1 to 100.
    #[schemars(length(min = 1, max = MOST_SUBJECTS))]
    #[x_kube(merge_strategy = ListMerge::Atomic, validation = checks::no_subject_stands_there_twice())]
    pub subjects: Vec<GrantSubject>,
    /// The namespaces in which jobs of the subjects may use the secrets, at most 100; whoever can read Secrets there can
    /// read the copies that such jobs get. The namespace of a service account, and a subject of the kind Namespace, need not
    /// be named. With none, the secrets can be used only with kubectl and the command apolo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "checks::namespaces")]
    pub namespaces: Vec<String>,
    /// When the grant ends by itself: a time as RFC 3339 has it, such as 2027-01-01T00:00:00Z. It stays ended until this is
    /// changed. Without it the grant ends when it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "checks::expiry")]
    pub expires_at: Option<Time>,
}

impl SecretGrantSpec {
    /// The namespaces that the grant opens: those that it names, and those that its service accounts and namespaces open by
    /// themselves.
    #[must_use]
    pub fn destinations(&self) -> BTreeSet<&str> {
        let of_subjects = self.subjects.iter().filter_map(GrantSubject::destination);
        self.namespaces.iter().map(String::as_str).chain(of_subjects).collect()
    }

    /// Whether the grant opens a namespace.
    #[must_use]
    pub fn opens(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|named| named == namespace)
            || self.subjects.iter().any(|subject| subject.destination() == Some(namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_grant_opens_what_it_names_and_where_its_accounts_are() {
        let spec: SecretGrantSpec = serde_json::from_value(json!({
            "secrets": ["secret-password"],
            "subjects": [
                {"kind": "User", "name": "bob"},
                {"kind": "Group", "name": "ml-team"},
                {"kind": "ServiceAccount", "name": "trainer", "namespace": "jobs"},
                {"kind": "Namespace", "name": "nightly"},
            ],
            "namespaces": ["bob", "jobs"],
        }))
        .unwrap();
        assert_eq!(spec.destinations(), BTreeSet::from(["bob", "jobs", "nightly"]));
        assert!(spec.destinations().into_iter().all(|namespace| spec.opens(namespace)));
        assert!(["ml-team", "alice", ""].into_iter().all(|namespace| !spec.opens(namespace)));
        assert_eq!((spec.access, spec.expires_at), (Access::Read, None));
    }

    #[test]
    fn a_grant_is_written_as_it_was_read() {
        let written = json!({
            "apiVersion": "secrets.apolo.us/v1alpha1",
            "kind": "SecretGrant",
            "metadata": {"name": "password", "namespace": "alice"},
            "spec": {
                "secrets": ["secret-password"],
                "access": "Use",
                "subjects": [{"kind": "User", "name": "bob"}],
                "expiresAt": "2027-01-01T00:00:00Z",
            },
        });
        let grant: SecretGrant = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(grant).unwrap(), written);
    }

    #[test]
    fn an_expiry_that_the_api_server_accepts_is_read() {
        for expiry in [
            "1000-01-01T00:00:00Z",
            "2028-02-29T23:59:59.123456789-23:59",
            "2027-01-01T00:00:00+23:59",
            "9998-12-31T23:59:59.999999999-23:59",
        ] {
            let spec = json!({"secrets": ["a"], "subjects": [{"kind": "User", "name": "bob"}], "expiresAt": expiry});
            let spec: SecretGrantSpec = serde_json::from_value(spec).unwrap();
            assert!(spec.expires_at.is_some(), "{expiry}");
        }
    }
}
