//! What is known of one namespace, with what finds grants by what is in them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use apolo_api::grant::SecretGrant;
use apolo_api::lineage::{self, MOST_LEVELS};
use apolo_core::key::Key;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use super::Kind;
use super::catalogs::has_name_conflict;
use super::destination::Destination;
use super::secret::KnownSecret;
use crate::key::GrantKey;
use crate::owned::Owned;

/// A grant as far as it can be read.
#[derive(Clone, Debug)]
pub enum Known {
    /// All of it.
    Grant(Arc<SecretGrant>),
    /// The API server has stored what we cannot read.
    Unreadable {
        /// Whose it is.
        metadata: Box<ObjectMeta>,
        /// Why.
        error: String,
    },
}

/// What is known of a grant at one time.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The grant; none if it is not there.
    pub grant: Option<Known>,
    /// Its Role.
    pub role: Option<Owned>,
    /// Its RoleBinding.
    pub binding: Option<Owned>,
    /// The names of those of its Secrets that exist.
    pub secrets: BTreeSet<String>,
    /// The grants that came from it, from the oldest on: when each was created, and its name.
    pub derived: BTreeSet<(Option<Timestamp>, String)>,
    /// The grants that it came from, and those that they came from, as far as they are there.
    pub ancestors: Ancestors,
}

/// The grants that a grant came from, and those that they came from.
#[derive(Clone, Debug, Default)]
pub struct Ancestors {
    /// Those that can be read.
    pub readable: Vec<Arc<SecretGrant>>,
    /// The UIDs of those that cannot.
    pub unreadable: BTreeSet<String>,
}

/// What came of putting a grant.
#[derive(Debug, Default)]
pub(super) struct Put {
    /// The grants to be looked at.
    pub(super) woken: BTreeSet<GrantKey>,
    /// Whether it matters to more than the grant itself.
    pub(super) concerns_others: bool,
}

#[derive(Debug, Default)]
pub(super) struct Namespace {
    grants: BTreeMap<String, Known>,
    roles: BTreeMap<String, Owned>,
    bindings: BTreeMap<String, Owned>,
    /// By name.
    pub(super) secrets: HashMap<String, KnownSecret>,
    pub(super) destination: Destination,
    by_uid: HashMap<String, String>,
    /// The names of grants, by the name of a Secret's object.
    by_secret: HashMap<String, BTreeSet<String>>,
    /// The names of grants, by the UID of a grant that they came from.
    by_via: HashMap<String, BTreeSet<String>>,
}

impl Known {
    pub(super) fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Grant(grant) => &grant.metadata,
            Self::Unreadable { metadata, .. } => metadata,
        }
    }

    /// What of a grant matters to those that came from it, to those that it came from, and to catalogs; none where nothing does.
    fn to_others(&self) -> Option<impl PartialEq + use<'_>> {
        let Self::Grant(grant) = self else { return None };
        let marks = grant.status.as_ref().map(|status| (&status.expired, &status.withdrawn));
        let (metadata, in_conflict) = (&grant.metadata, has_name_conflict(grant));
        Some((&metadata.uid, &metadata.annotations, &metadata.deletion_timestamp, &grant.spec, marks, in_conflict))
    }
}

impl Namespace {
    /// Whether nothing is known of it.
    pub(super) fn is_empty(&self) -> bool {
        self.names().next().is_none() && self.secrets.is_empty() && self.destination.is_empty()
    }

    pub(super) fn see(&self, name: &str) -> Seen {
        let grant = self.grants.get(name).cloned();
        let mut seen =
            Seen { role: self.roles.get(name).cloned(), binding: self.bindings.get(name).cloned(), ..Seen::default() };
        if let Some(Known::Grant(grant)) = &grant {
            seen.secrets = objects(grant).filter(|object| self.secrets.contains_key(object)).collect();
            let uid = grant.metadata.uid.as_deref().unwrap_or_default();
            seen.derived = self.by_via.get(uid).into_iter().flatten().map(|name| self.dated(name)).collect();
            seen.ancestors = self.ancestors(grant);
        }
        seen.grant = grant;
        seen
    }

    pub(super) fn grant(&self, name: &str) -> Option<&Known> {
        self.grants.get(name)
    }

    /// Puts a grant in the place of what is known, or takes it away. Tells which grants this is about: itself, those that came
    /// from it, and those that it came from.
    pub(super) fn put_grant(&mut self, key: &GrantKey, known: Option<Known>) -> Put {
        let before = self.grants.get(&key.name).cloned();
        if let (Some(known), Some(before)) = (&known, &before)
            && known.version() <= before.version()
        {
            return Put::default();
        }
        let mut names = BTreeSet::from([key.name.clone()]);
        let concerns_others = before.as_ref().and_then(Known::to_others) != known.as_ref().and_then(Known::to_others);
        if let Some(before) = before {
            self.index(&key.name, &before, false);
            if concerns_others {
                names.extend(self.relatives(&before));
            }
        }
        if let Some(known) = known {
            self.index(&key.name, &known, true);
            if concerns_others {
                names.extend(self.relatives(&known));
            }
            self.grants.insert(key.name.clone(), known);
        } else {
            self.grants.remove(&key.name);
        }
        Put { woken: names.iter().map(|name| GrantKey::new(&key.namespace, name)).collect(), concerns_others }
    }

    pub(super) fn forget_grants(&mut self) {
        self.grants.clear();
        self.by_uid.clear();
        self.by_secret.clear();
        self.by_via.clear();
    }

    pub(super) fn owned(&mut self, kind: Kind) -> &mut BTreeMap<String, Owned> {
        match kind {
            Kind::Role => &mut self.roles,
            Kind::RoleBinding => &mut self.bindings,
        }
    }

    /// The versions of the Role and the RoleBinding of a grant, as far as they are there.
    pub(super) fn versions(&self, grant: &str) -> [Option<u64>; 2] {
        [&self.roles, &self.bindings].map(|owned| owned.get(grant).map(|owned| owned.version))
    }

    /// The grants that name the Secret of this name.
    pub(super) fn naming(&self, secret: &str) -> impl Iterator<Item = &str> {
        self.by_secret.get(secret).into_iter().flatten().map(String::as_str)
    }

    /// The grants.
    pub(super) fn grants(&self) -> impl Iterator<Item = &Known> {
        self.grants.values()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.grants.keys().chain(self.roles.keys()).chain(self.bindings.keys()).map(String::as_str)
    }

    pub(super) fn unreadable(&self) -> usize {
        self.grants.values().filter(|known| matches!(known, Known::Unreadable { .. })).count()
    }

    fn dated(&self, name: &str) -> (Option<Timestamp>, String) {
        let created = self.grants.get(name).and_then(|known| known.metadata().creation_timestamp.as_ref());
        (created.map(|created| created.0), name.to_owned())
    }

    pub(super) fn ancestors(&self, grant: &SecretGrant) -> Ancestors {
        let mut found: BTreeMap<String, Arc<SecretGrant>> = BTreeMap::new();
        let mut unreadable = BTreeSet::new();
        let mut level: Vec<String> = lineage::via(grant).map(|via| via.uid).collect();
        for _ in 0..MOST_LEVELS {
            let mut above = Vec::new();
            for uid in level {
                match self.by_uid.get(&uid).and_then(|name| self.grants.get(name)) {
                    Some(Known::Grant(parent)) if !found.contains_key(&uid) => {
                        found.insert(uid, Arc::clone(parent));
                        above.extend(lineage::via(parent).map(|via| via.uid));
                    }
                    Some(Known::Unreadable { .. }) => {
                        unreadable.insert(uid);
                    }
                    _ => {}
                }
            }
            level = above;
        }
        Ancestors { readable: found.into_values().collect(), unreadable }
    }

    /// The names of the grants that came from one, and of those that these came from in their turn: all of them end with it at
    /// once.
    fn descendants(&self, known: &Known) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut level = vec![known.metadata().uid.clone().unwrap_or_default()];
        for _ in 0..MOST_LEVELS {
            let names: Vec<&String> = level.iter().filter_map(|uid| self.by_via.get(uid)).flatten().collect();
            let fresh = names.into_iter().filter(|name| found.insert((*name).clone()));
            let uids = fresh.filter_map(|name| self.grants.get(name)?.metadata().uid.clone());
            level = uids.collect();
        }
        found
    }

    fn relatives(&self, known: &Known) -> BTreeSet<String> {
        let mut names = self.descendants(known);
        if let Known::Grant(grant) = known {
            names.extend(lineage::via(grant).filter_map(|via| self.by_uid.get(&via.uid)).cloned());
        }
        names
    }

    fn index(&mut self, name: &str, known: &Known, is_there: bool) {
        let uid = known.metadata().uid.clone().unwrap_or_default();
        if is_there {
            self.by_uid.insert(uid, name.to_owned());
        } else {
            self.by_uid.remove(&uid);
        }
        let Known::Grant(grant) = known else { return };
        for object in objects(grant) {
            mark(&mut self.by_secret, object, name, is_there);
        }
        for via in lineage::via(grant) {
            mark(&mut self.by_via, via.uid, name, is_there);
        }
    }
}

/// The names of the objects of a grant's secrets.
pub(super) fn objects(grant: &SecretGrant) -> impl Iterator<Item = String> {
    grant.spec.secrets.iter().filter_map(|key| Key::parse(key).ok()).map(|key| key.object_name().into_owned())
}

fn mark(index: &mut HashMap<String, BTreeSet<String>>, at: String, name: &str, is_there: bool) {
    if is_there {
        index.entry(at).or_default().insert(name.to_owned());
    } else if let Some(names) = index.get_mut(&at) {
        names.remove(name);
        if names.is_empty() {
            index.remove(&at);
        }
    }
}
