//! Which grant.

use std::fmt;

use apolo_core::names::ROLE_PREFIX;

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
}

impl fmt::Display for GrantKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}
