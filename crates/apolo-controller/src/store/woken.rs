//! What is to be looked at because something has changed.

use std::collections::BTreeSet;

use crate::key::GrantKey;

/// Grants and namespaces that are to be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Woken {
    /// Grants.
    pub grants: BTreeSet<GrantKey>,
    /// Namespaces whose Pods use shared secrets, for what is delivered there.
    pub destinations: BTreeSet<String>,
    /// Namespaces, for their catalogs.
    pub catalogs: BTreeSet<String>,
}

impl Woken {
    /// The catalog of a namespace.
    #[must_use]
    pub fn catalog(namespace: &str) -> Self {
        Self { catalogs: BTreeSet::from([namespace.to_owned()]), ..Self::default() }
    }

    /// All of another as well.
    pub fn extend(&mut self, other: Self) {
        self.grants.extend(other.grants);
        self.destinations.extend(other.destinations);
        self.catalogs.extend(other.catalogs);
    }

    /// Whether nothing is to be looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
