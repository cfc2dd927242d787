//! What is known of the catalogs, and of what they are to tell.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use apolo_api::access::Access;
use apolo_api::catalog::{SecretCatalog, SecretCatalogStatus};
use apolo_api::grant::{READY, Reason, SecretGrant};
use apolo_core::key::hex_digest;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use super::namespace::{self, Known, Namespace};
use super::secret::KnownSecret;
use super::{Source, Store, Woken};
use crate::owned;

/// The catalog of a namespace: no more of it than tells whether it is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCatalog {
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion, as a number.
    pub version: u64,
    /// Of its status; empty where that cannot be read.
    pub digest: String,
    /// Whether it is being deleted.
    pub is_leaving: bool,
}

/// What is known at one time that the catalog of a namespace is to tell, and the catalog itself.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Whether the namespace is there, and not going.
    pub is_there: bool,
    /// The catalog; none if it is not there.
    pub catalog: Option<KnownCatalog>,
    /// The Secrets of the namespace, by name.
    pub secrets: HashMap<String, KnownSecret>,
    /// The grants of the namespace.
    pub own: Vec<SeenGrant>,
    /// The grants of other namespaces that open this one.
    pub shared: Vec<SeenGrant>,
}

/// A grant, and what of it is not in itself.
#[derive(Clone, Debug)]
pub struct SeenGrant {
    /// The grant.
    pub grant: Arc<SecretGrant>,
    /// Whether that by which its author could share is still there.
    pub stands: bool,
    /// The names of those of its Secrets that exist.
    pub there: BTreeSet<String>,
}

impl KnownCatalog {
    /// What is kept of a catalog.
    #[must_use]
    pub fn of(catalog: &SecretCatalog) -> Self {
        let (told, _) = catalog.status.as_ref().map_or_else(|| digest(&SecretCatalogStatus::default()), digest);
        Self::with(&catalog.metadata, told)
    }

    /// What is kept of one whose status cannot be read.
    #[must_use]
    pub fn unreadable(metadata: &ObjectMeta) -> Self {
        Self::with(metadata, String::new())
    }

    fn with(metadata: &ObjectMeta, digest: String) -> Self {
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            version: owned::version(metadata),
            digest,
            is_leaving: metadata.deletion_timestamp.is_some(),
        }
    }
}

/// Equal to that of another status exactly if both tell the same; and how many bytes it has as JSON.
#[must_use]
pub fn digest(status: &SecretCatalogStatus) -> (String, usize) {
    serde_json::to_vec(status).map(|json| (hex_digest(&json, 32), json.len())).unwrap_or_default()
}

impl Store {
    /// A catalog as it is now.
    pub fn put_catalog(&self, namespace: &str, catalog: KnownCatalog) -> Woken {
        let mut state = self.lock();
        if state.catalogs.get(namespace).is_some_and(|known| known.version >= catalog.version) {
            return Woken::default();
        }
        state.catalogs.insert(namespace.to_owned(), catalog);
        Woken::catalog(namespace)
    }

    /// A catalog as the API server answered a write of it: news only of one that has not gone meanwhile, which the watch tells.
    pub fn put_answered_catalog(&self, namespace: &str, catalog: KnownCatalog) -> Woken {
        if self.lock().gone.has(&catalog.uid) {
            return Woken::default();
        }
        self.put_catalog(namespace, catalog)
    }

    /// A catalog has gone; a later one of its namespace stays.
    pub fn remove_catalog(&self, namespace: &str, uid: &str) -> Woken {
        let mut state = self.lock();
        state.gone.add(uid);
        if state.catalogs.get(namespace).is_none_or(|known| known.uid != uid) {
            return Woken::default();
        }
        state.catalogs.remove(namespace);
        Woken::catalog(namespace)
    }

    /// All catalogs have been told anew, by namespace: others are not there.
    pub fn replace_catalogs(&self, all: Vec<(String, KnownCatalog)>) {
        let mut state = self.lock();
        state.catalogs = all.into_iter().collect();
        state.complete.insert(Source::SecretCatalogs);
    }

    /// A namespace is there, or is not there any more: it has gone, or is going.
    pub fn put_namespace(&self, namespace: &str, is_there: bool) -> Woken {
        let mut state = self.lock();
        let is_news = match is_there {
            true => state.there.insert(namespace.to_owned()),
            false => state.there.remove(namespace),
        };
        if is_news { Woken::catalog(namespace) } else { Woken::default() }
    }

    /// All namespaces have been told anew, and whether they are there to stay: others are not there.
    pub fn replace_namespaces(&self, all: Vec<(String, bool)>) {
        let mut state = self.lock();
        state.there = all.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect();
        state.complete.insert(Source::Namespaces);
    }

    /// What is known that matters to the catalog of a namespace.
    #[must_use]
    pub fn listing(&self, namespace: &str, max_access: Access, now: Timestamp) -> Listing {
        let state = self.lock();
        let known = state.namespaces.get(namespace);
        let own = known.into_iter().flat_map(|known| known.grants().map(move |grant| (known, grant)));
        let opening = state.opened.get(namespace).into_iter().flatten().filter(|key| key.namespace != namespace);
        let shared = opening.filter_map(|key| {
            let owner = state.namespaces.get(&key.namespace)?;
            Some((owner, owner.grant(&key.name)?))
        });
        let seen = |(owner, grant): (&Namespace, &Known)| owner.seen(grant, max_access, now);
        Listing {
            is_there: state.there.contains(namespace),
            catalog: state.catalogs.get(namespace).cloned(),
            secrets: known.map(|known| known.secrets.clone()).unwrap_or_default(),
            own: own.filter_map(seen).collect(),
            shared: shared.filter_map(seen).collect(),
        }
    }
}

impl Namespace {
    fn seen(&self, grant: &Known, max_access: Access, now: Timestamp) -> Option<SeenGrant> {
        let Known::Grant(grant) = grant else { return None };
        let there = namespace::objects(grant).filter(|object| self.secrets.contains_key(object)).collect();
        Some(SeenGrant { grant: Arc::clone(grant), stands: self.stands(grant, max_access, now), there })
    }
}

impl Known {
    /// The namespaces that a grant opens.
    pub(super) fn destinations(&self) -> BTreeSet<&str> {
        match self {
            Self::Grant(grant) => grant.spec.destinations(),
            Self::Unreadable { .. } => BTreeSet::new(),
        }
    }
}

/// Whether a grant gives nothing because its Role or RoleBinding is somebody else's, as its status says.
#[must_use]
pub fn has_name_conflict(grant: &SecretGrant) -> bool {
    let conditions = grant.status.iter().flat_map(|status| &status.conditions);
    conditions.filter(|it| it.type_ == READY).any(|it| it.reason == Reason::NameConflict.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::GrantKey;
    use crate::store::{Kept, KnownCopy};
    use serde_json::{Value, json};

    fn put_grant(store: &Store, version: u32, fields: &Value, status: &Value) -> BTreeSet<String> {
        let mut grant = json!({
            "metadata": {"name": "a", "namespace": "alice", "uid": "a", "resourceVersion": version.to_string()},
            "spec": {"secrets": ["one"], "subjects": [{"kind": "User", "name": "bob"}]},
            "status": status,
        });
        for (field, value) in fields.as_object().unwrap() {
            grant["spec"][field] = value.clone();
        }
        store.put_grant(Known::of(Ok(serde_json::from_value(grant).unwrap()))).catalogs
    }

    fn catalog(uid: &str, version: u64, digest: &str) -> KnownCatalog {
        KnownCatalog { uid: uid.into(), version, digest: digest.into(), is_leaving: false }
    }

    fn secret(version: u64) -> Kept {
        Kept::Secret(KnownSecret { uid: "s".into(), version, ..KnownSecret::default() })
    }

    #[test]
    fn a_grant_wakes_the_catalogs_of_its_owner_and_of_where_it_was_open_and_is() {
        let store = Store::default();
        let both = |names: &[&str]| BTreeSet::from_iter(names.iter().map(|&name| name.to_owned()));
        let none = json!(null);
        assert_eq!(put_grant(&store, 1, &json!({"namespaces": ["bob"]}), &none), both(&["alice", "bob"]));
        assert_eq!(put_grant(&store, 2, &json!({"namespaces": ["jobs"]}), &none), both(&["alice", "bob", "jobs"]));
        let at = json!({"namespaces": ["jobs"], "expiresAt": "2026-11-25T00:00:00Z"});
        put_grant(&store, 3, &at, &none);
        let expired = json!({"expired": "2026-11-25T00:00:00Z"});
        assert_eq!(put_grant(&store, 4, &at, &expired), both(&["alice", "jobs"]));
        assert_eq!(put_grant(&store, 5, &at, &expired), both(&[]));
        let conflict = json!({"expired": "2026-11-25T00:00:00Z", "conditions": [{"type": "Ready", "status": "False",
            "reason": "NameConflict", "message": "", "lastTransitionTime": "2026-11-25T00:00:00Z"}]});
        assert_eq!(put_grant(&store, 6, &at, &conflict), both(&["alice", "jobs"]));
        assert_eq!(store.remove_grant(&GrantKey::new("alice", "a")).catalogs, both(&["alice", "jobs"]));
    }

    #[test]
    fn a_secret_wakes_the_catalogs_of_where_it_is_shared_when_it_comes_and_when_it_goes() {
        let store = Store::default();
        put_grant(&store, 1, &json!({"namespaces": ["bob"]}), &json!(null));
        let catalogs = |woken: Woken| woken.catalogs.into_iter().collect::<Vec<_>>();
        assert_eq!(catalogs(store.put_secret("alice", "one", secret(1))), ["alice", "bob"]);
        assert_eq!(catalogs(store.put_secret("alice", "one", secret(2))), ["alice"]);
        assert_eq!(catalogs(store.remove_secret("alice", "one", "s")), ["alice", "bob"]);
        assert_eq!(catalogs(store.put_secret("alice", "two", secret(3))), ["alice"]);
    }

    #[test]
    fn a_catalog_wakes_its_namespace_when_it_has_changed_and_not_when_it_is_known() {
        let store = Store::default();
        assert_eq!(store.put_catalog("alice", catalog("a", 1, "")), Woken::catalog("alice"));
        assert_eq!(store.put_catalog("alice", catalog("a", 1, "")), Woken::default());
        assert_eq!(store.put_catalog("alice", catalog("a", 2, "edited")), Woken::catalog("alice"));
        assert_eq!(store.remove_catalog("alice", "another"), Woken::default());
        assert!(store.everything().catalogs.contains("alice"));
        assert_eq!(store.remove_catalog("alice", "a"), Woken::catalog("alice"));
        store.replace_catalogs(vec![("bob".into(), catalog("b", 3, ""))]);
        let all = store.everything().catalogs;
        assert!(all.contains("bob") && !all.contains("alice"));
    }

    #[test]
    fn an_answer_that_comes_after_its_object_has_gone_brings_nothing_back() {
        let store = Store::default();
        store.put_answered_catalog("alice", catalog("a", 1, ""));
        store.remove_catalog("alice", "a");
        assert_eq!(store.put_answered_catalog("alice", catalog("a", 2, "")), Woken::default());
        assert!(!store.everything().catalogs.contains("alice"));
        let copy = |uid: &str| Kept::Copy(KnownCopy { uid: uid.into(), version: 1, ..KnownCopy::default() });
        // The watch may tell of both its coming and its going before the answer comes.
        store.remove_secret("bob", "apolo-shared-1", "c");
        store.put_answered_copy("bob", "apolo-shared-1", copy("c"));
        assert!(store.copy("bob", "apolo-shared-1").is_none());
        store.put_answered_copy("bob", "apolo-shared-1", copy("d"));
        assert!(store.copy("bob", "apolo-shared-1").is_some());
    }

    #[test]
    fn a_namespace_of_which_nothing_is_left_is_forgotten() {
        let store = Store::default();
        store.put_namespace("alice", true);
        for namespace in ["alice", "bob", "carol"] {
            store.put_secret(namespace, "one", secret(1));
        }
        store.remove_secret("alice", "one", "s");
        store.remove_secret("bob", "one", "s");
        store.prune();
        let left: BTreeSet<String> = store.lock().namespaces.keys().cloned().collect();
        assert_eq!(left, BTreeSet::from(["alice".into(), "carol".into()]));
    }

    #[test]
    fn a_namespace_wakes_its_catalog_when_it_comes_and_when_it_begins_to_go() {
        let store = Store::default();
        assert_eq!(store.put_namespace("alice", true), Woken::catalog("alice"));
        assert_eq!(store.put_namespace("alice", true), Woken::default());
        let is_there = || store.listing("alice", Access::Manage, Timestamp::UNIX_EPOCH).is_there;
        assert!(is_there());
        assert_eq!(store.put_namespace("alice", false), Woken::catalog("alice"));
        assert!(!is_there());
        store.replace_namespaces(vec![("alice".into(), true), ("bob".into(), false)]);
        assert!(is_there() && !store.listing("bob", Access::Manage, Timestamp::UNIX_EPOCH).is_there);
    }

    #[test]
    fn what_is_listed_is_what_is_here_and_what_other_namespaces_open_this_one_for() {
        let store = Store::default();
        put_grant(&store, 1, &json!({"namespaces": ["alice", "bob"], "secrets": ["one", "two"]}), &json!(null));
        store.put_secret("alice", "one", secret(2));
        let listing = |namespace| store.listing(namespace, Access::Manage, Timestamp::UNIX_EPOCH);
        let (alices, bobs) = (listing("alice"), listing("bob"));
        assert_eq!((alices.own.len(), alices.shared.len(), alices.secrets.len()), (1, 0, 1));
        assert_eq!((bobs.own.len(), bobs.shared.len(), bobs.secrets.len()), (0, 1, 0));
        let seen = bobs.shared.first().unwrap();
        assert!(seen.stands && seen.there == BTreeSet::from(["one".into()]));
    }
}
