//! The subjects of a grant as they stand in it, and what they are in core and in RBAC.

use apolo_core::subject::{SERVICE_ACCOUNTS_GROUP, Subject, SubjectError};
use k8s_openapi::api::rbac::v1 as rbac;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::checks;

/// The API group of users and groups in a RoleBinding.
const RBAC: &str = "rbac.authorization.k8s.io";

/// What a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum SubjectKind {
    /// A user, by the name that the API server knows.
    User,
    /// A group of users.
    Group,
    /// A service account of a namespace.
    ServiceAccount,
    /// Every service account of a namespace.
    Namespace,
}

/// A user, a group, a service account, or a namespace with all its service accounts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = checks::account_has_a_namespace(),
    validation = checks::only_an_account_has_a_namespace(),
    validation = checks::user_or_group_is_named(),
    validation = checks::account_is_named(),
    validation = checks::namespace_is_named(),
    validation = checks::is_not_everybody(),
    validation = checks::user_is_no_account(),
    validation = checks::group_is_no_namespace(),
)]
pub struct GrantSubject {
    /// What the subject is: User or Group, as the API server knows people; ServiceAccount, whom Pods run as, with its
    /// namespace; or Namespace, which is every service account of it. Whoever may create Pods in the namespace of a service
    /// account can use what is granted to it.
    pub kind: SubjectKind,
    /// The name of the user, the group, the service account or the namespace.
    #[schemars(length(max = 512))]
    pub name: String,
    /// The namespace of a service account; only, and always, for the kind ServiceAccount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 63))]
    #[x_kube(validation = checks::is_namespace())]
    pub namespace: Option<String>,
}

impl GrantSubject {
    /// The subject as RBAC knows it: a namespace is the group of its service accounts.
    #[must_use]
    pub fn in_rbac(&self) -> rbac::Subject {
        let of_group = |kind: &str, name: &str| rbac::Subject {
            api_group: Some(RBAC.into()),
            kind: kind.into(),
            name: name.into(),
            namespace: None,
        };
        match self.kind {
            SubjectKind::User => of_group("User", &self.name),
            SubjectKind::Group => of_group("Group", &self.name),
            SubjectKind::Namespace => of_group("Group", &format!("{SERVICE_ACCOUNTS_GROUP}{}", self.name)),
            SubjectKind::ServiceAccount => rbac::Subject {
                api_group: None,
                kind: "ServiceAccount".into(),
                name: self.name.clone(),
                namespace: self.namespace.clone(),
            },
        }
    }

    /// The namespace that a grant to this subject opens by itself.
    #[must_use]
    pub fn destination(&self) -> Option<&str> {
        match self.kind {
            SubjectKind::User | SubjectKind::Group => None,
            SubjectKind::ServiceAccount => self.namespace.as_deref(),
            SubjectKind::Namespace => Some(&self.name),
        }
    }
}

impl From<&Subject> for GrantSubject {
    fn from(subject: &Subject) -> Self {
        let (kind, name, namespace) = match subject {
            Subject::User(name) => (SubjectKind::User, name, None),
            Subject::Group(name) => (SubjectKind::Group, name, None),
            Subject::ServiceAccount { namespace, name } => (SubjectKind::ServiceAccount, name, Some(namespace.clone())),
            Subject::Namespace(name) => (SubjectKind::Namespace, name, None),
        };
        Self { kind, name: name.clone(), namespace }
    }
}

/// # Errors
/// Where nothing can be granted to this subject. One that the API server has stored was looked at by it already.
impl TryFrom<&GrantSubject> for Subject {
    type Error = SubjectError;

    fn try_from(subject: &GrantSubject) -> Result<Self, SubjectError> {
        let name = subject.name.clone();
        let subject = match (subject.kind, &subject.namespace) {
            (SubjectKind::User, _) => Self::User(name),
            (SubjectKind::Group, _) => Self::Group(name),
            (SubjectKind::ServiceAccount, Some(namespace)) => {
                Self::ServiceAccount { namespace: namespace.clone(), name }
            }
            (SubjectKind::ServiceAccount, None) => return Err(SubjectError::NoNamespace),
            (SubjectKind::Namespace, _) => Self::Namespace(name),
        };
        subject.check().map(|()| subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_kind_is_known_to_rbac_to_core_and_as_json() {
        let group = "rbac.authorization.k8s.io";
        for (text, written, bound, opens) in [
            (
                "bob",
                json!({"kind": "User", "name": "bob"}),
                json!({"apiGroup": group, "kind": "User", "name": "bob"}),
                None,
            ),
            (
                "group:ml-team",
                json!({"kind": "Group", "name": "ml-team"}),
                json!({"apiGroup": group, "kind": "Group", "name": "ml-team"}),
                None,
            ),
            (
                "serviceaccount:jobs/trainer",
                json!({"kind": "ServiceAccount", "name": "trainer", "namespace": "jobs"}),
                json!({"kind": "ServiceAccount", "name": "trainer", "namespace": "jobs"}),
                Some("jobs"),
            ),
            (
                "namespace:nightly",
                json!({"kind": "Namespace", "name": "nightly"}),
                json!({"apiGroup": group, "kind": "Group", "name": "system:serviceaccounts:nightly"}),
                Some("nightly"),
            ),
        ] {
            let subject = Subject::parse(text).unwrap();
            let granted = GrantSubject::from(&subject);
            assert_eq!(serde_json::to_value(&granted).unwrap(), written);
            assert_eq!(serde_json::to_value(granted.in_rbac()).unwrap(), bound);
            assert_eq!(granted.destination(), opens);
            assert_eq!(Subject::try_from(&granted), Ok(subject));
        }
    }

    #[test]
    fn what_no_schema_has_looked_at_is_refused() {
        let granted = |value| serde_json::from_value::<GrantSubject>(value).unwrap();
        for (value, error) in [
            (json!({"kind": "ServiceAccount", "name": "trainer"}), SubjectError::NoNamespace),
            (json!({"kind": "Group", "name": "system:masters"}), SubjectError::Everybody),
        ] {
            assert_eq!(Subject::try_from(&granted(value)), Err(error));
        }
    }
}
