//! Which grant.

use std::fmt;

use apolo_api::grant::SecretGrant;
use apolo_core::names::ROLE_PREFIX;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;

/// A grant, by namespace and name; also one that is not there, or not any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantKey {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl GrantKey {
    /// The grant of this namespace and name.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The grant whose Role or RoleBinding bears this name, if a grant's can.
    #[must_use]
    pub fn of_role(namespace: &str, role: &str) -> Option<Self> {
        role.strip_prefix(ROLE_PREFIX).map(|name| Self::new(namespace, name))
    }

    /// The grant as Events name it.
    #[must_use]
    pub fn reference(&self, uid: Option<String>) -> ObjectReference {
        ObjectReference {
            api_version: Some(SecretGrant::api_version(&()).into_owned()),
            kind: Some(SecretGrant::kind(&()).into_owned()),
            namespace: Some(self.namespace.clone()),
            name: Some(self.name.clone()),
            uid,
            ..ObjectReference::default()
        }
    }
}

impl fmt::Display for GrantKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}
