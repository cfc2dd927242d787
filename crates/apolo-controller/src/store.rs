//! What is known: grants, Roles and RoleBindings of ours, the metadata of Secrets, the Pods that use shared ones, and the catalogs,
//! as the watches and our own writes told them.
//!
//! An object that was written is kept at once, from the answer: when the watch tells of it, nothing has changed, and nobody has
//! to look again. Older news never replaces newer.

mod catalogs;
mod deliveries;
mod destination;
mod gone;
mod namespace;
mod pod;
mod secret;
mod secrets;
mod told;
mod woken;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use apolo_api::grant::{SecretGrant, essential};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::error_boundary::InvalidObject;

use crate::key::GrantKey;
use crate::owned::{self, Owned};
use destination::Object;
use gone::Gone;
use namespace::Namespace;

pub use catalogs::{KnownCatalog, Listing, SeenGrant, digest, has_name_conflict};
pub(crate) use deliveries::gives;
pub use deliveries::{Destination, Granting};
pub use namespace::{Ancestors, Known, Seen};
pub use pod::{Asked, KnownPod, Party, Reader, SharingPod};
pub use secret::{Kept, KnownCopy, KnownSecret};
pub use woken::Woken;

/// Role or RoleBinding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::IntoStaticStr, strum::Display)]
pub enum Kind {
    /// Which verbs on which objects.
    Role,
    /// To whom.
    RoleBinding,
}

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::VariantArray)]
pub enum Source {
    /// Grants.
    SecretGrants,
    /// Roles with our label.
    Roles,
    /// RoleBindings with our label.
    RoleBindings,
    /// The metadata of Secrets of the type Opaque, the copies among them.
    OpaqueSecrets,
    /// The metadata of other Secrets.
    OtherSecrets,
    /// Pods that use shared secrets.
    Pods,
    /// The catalogs that bear our name.
    SecretCatalogs,
    /// The metadata of namespaces.
    Namespaces,
}

impl Source {
    /// Whether what we do is for the sake of these.
    #[must_use]
    pub fn asks(self) -> bool {
        matches!(self, Self::SecretGrants | Self::Pods)
    }
}

/// What is known. Each function that changes it tells which grants are to be looked at because of that.
#[derive(Debug, Default)]
pub struct Store(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    namespaces: HashMap<String, Namespace>,
    /// By each Secret the namespaces whose Pods use it, and by how many parties of them.
    used: HashMap<Object, BTreeMap<String, usize>>,
    /// By each namespace the grants that open it.
    opened: HashMap<String, BTreeSet<GrantKey>>,
    /// By namespace.
    catalogs: HashMap<String, KnownCatalog>,
    /// The namespaces that are there and not going.
    there: HashSet<String>,
    /// Copies and catalogs that have gone a moment ago.
    gone: Gone,
    complete: HashSet<Source>,
}

impl Store {
    /// What is known of a grant, or of one that is not there.
    #[must_use]
    pub fn see(&self, key: &GrantKey) -> Seen {
        self.lock().namespaces.get(&key.namespace).map(|namespace| namespace.see(&key.name)).unwrap_or_default()
    }

    /// A grant as it is now.
    pub fn put_grant(&self, known: Known) -> Woken {
        let Some(key) = known.key() else { return Woken::default() };
        self.lock().put_grant(&key, Some(known))
    }

    /// The grant that was looked at, as the API server answered when its status was written. Itself it is to be looked at again
    /// only if it is not the one any more that was looked at: of that the watch tells nothing new.
    pub fn put_answer(&self, looked_at: &SecretGrant, answer: SecretGrant) -> Woken {
        let answer = Known::of(Ok(answer));
        let Some(key) = answer.key() else { return Woken::default() };
        // One that has gone meanwhile stays so: of that the watch has told, and tells nothing more.
        let known =
            self.lock().namespaces.get(&key.namespace).and_then(|it| it.grant(&key.name)?.metadata().uid.clone());
        if known != answer.metadata().uid {
            return Woken::default();
        }
        let is_the_same = asked(answer.metadata()) == asked(&looked_at.metadata);
        let mut woken = self.put_grant(answer);
        if is_the_same {
            woken.grants.remove(&key);
        } else {
            woken.grants.insert(key);
        }
        woken
    }

    /// A grant has gone.
    pub fn remove_grant(&self, key: &GrantKey) -> Woken {
        self.lock().put_grant(key, None)
    }

    /// A Role or RoleBinding as it is now.
    pub fn put_owned(&self, kind: Kind, key: &GrantKey, owned: Owned) -> Woken {
        let mut state = self.lock();
        let all = state.namespaces.entry(key.namespace.clone()).or_default().owned(kind);
        if all.get(&key.name).is_some_and(|known| known.version >= owned.version) {
            return Woken::default();
        }
        all.insert(key.name.clone(), owned);
        state.given(key)
    }

    /// A Role or RoleBinding has gone; a later one of its name stays.
    pub fn remove_owned(&self, kind: Kind, key: &GrantKey, uid: &str) -> Woken {
        let mut state = self.lock();
        let Some(namespace) = state.namespaces.get_mut(&key.namespace) else { return Woken::default() };
        let all = namespace.owned(kind);
        if all.get(&key.name).is_none_or(|known| known.uid != uid) {
            return Woken::default();
        }
        all.remove(&key.name);
        state.given(key)
    }

    /// The Roles or RoleBindings that are known.
    #[must_use]
    pub fn all_owned(&self, kind: Kind) -> Vec<(GrantKey, Owned)> {
        let mut state = self.lock();
        let each = state.namespaces.iter_mut().flat_map(|(name, namespace)| {
            namespace.owned(kind).iter().map(|(grant, owned)| (GrantKey::new(name, grant), owned.clone()))
        });
        each.collect()
    }

    /// All grants have been told anew: others are not there.
    pub fn replace_grants(&self, grants: Vec<Known>) {
        let mut state = self.lock();
        state.namespaces.values_mut().for_each(Namespace::forget_grants);
        state.opened.clear();
        for known in grants {
            let Some(key) = known.key() else { continue };
            state.put_grant(&key, Some(known));
        }
        state.complete.insert(Source::SecretGrants);
    }

    /// All Roles or RoleBindings have been told anew: others are not there.
    pub fn replace_owned(&self, kind: Kind, all: Vec<(GrantKey, Owned)>) {
        let mut state = self.lock();
        state.namespaces.values_mut().for_each(|namespace| namespace.owned(kind).clear());
        for (key, owned) in all {
            state.namespaces.entry(key.namespace).or_default().owned(kind).insert(key.name, owned);
        }
        state.complete.insert(if kind == Kind::Role { Source::Roles } else { Source::RoleBindings });
    }

    /// All grants that are known, and all of which there is a Role or RoleBinding.
    #[must_use]
    pub fn all(&self) -> BTreeSet<GrantKey> {
        self.lock().grants()
    }

    /// All that is known.
    #[must_use]
    pub fn everything(&self) -> Woken {
        let state = self.lock();
        let destinations = state.namespaces.iter().filter(|(_, it)| !it.destination.is_empty());
        Woken {
            destinations: destinations.map(|(name, _)| name.clone()).collect(),
            catalogs: state
                .namespaces
                .keys()
                .chain(state.opened.keys())
                .chain(state.catalogs.keys())
                .cloned()
                .collect(),
            grants: state.grants(),
        }
    }

    /// Forgets namespaces of which nothing is left.
    pub fn prune(&self) {
        let mut state = self.lock();
        let State { namespaces, there, .. } = &mut *state;
        namespaces.retain(|name, known| there.contains(name) || !known.is_empty());
    }

    /// How many grants cannot be read.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.lock().namespaces.values().map(Namespace::unreadable).sum()
    }

    /// What has not been told in full yet.
    #[must_use]
    pub fn missing(&self) -> Vec<Source> {
        let state = self.lock();
        <Source as strum::VariantArray>::VARIANTS.iter().filter(|it| !state.complete.contains(it)).copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts a grant in the place of what is known, or takes it away. Tells what this is about: itself, those that came from it and
    /// those that it came from; and where these are used, and told.
    fn put_grant(&mut self, key: &GrantKey, known: Option<Known>) -> Woken {
        if known.is_none() && !self.namespaces.contains_key(&key.namespace) {
            return Woken::default();
        }
        let namespace = self.namespaces.entry(key.namespace.clone()).or_default();
        let before = namespace.grant(&key.name).cloned();
        let put = namespace.put_grant(key, known);
        let after = namespace.grant(&key.name).cloned();
        let mut woken = Woken { grants: put.woken, ..Woken::default() };
        if put.concerns_others {
            before.iter().for_each(|before| self.open(key, before, false));
            after.iter().for_each(|after| self.open(key, after, true));
            before.iter().for_each(|before| self.concern(&key.namespace, before, &mut woken));
            for key in woken.grants.clone() {
                let known =
                    self.namespaces.get(&key.namespace).and_then(|namespace| namespace.grant(&key.name)).cloned();
                known.iter().for_each(|known| self.concern(&key.namespace, known, &mut woken));
            }
        }
        woken
    }

    /// Where the secrets of a grant are used, and where it is told of.
    fn concern(&self, owner: &str, known: &Known, woken: &mut Woken) {
        let Known::Grant(grant) = known else { return };
        woken.destinations.extend(self.users(owner, grant));
        woken.catalogs.insert(owner.to_owned());
        woken.catalogs.extend(grant.spec.destinations().into_iter().map(str::to_owned));
    }

    /// The namespaces whose Pods use the secrets of a grant.
    fn users(&self, owner: &str, grant: &SecretGrant) -> BTreeSet<String> {
        let objects = namespace::objects(grant).map(|object| (owner.to_owned(), object));
        let users = objects.filter_map(|object| self.used.get(&object));
        users.flat_map(|users| users.keys().cloned()).collect()
    }

    /// What a grant gives, or gives no more, has been written.
    fn given(&self, key: &GrantKey) -> Woken {
        let known = self.namespaces.get(&key.namespace).and_then(|namespace| namespace.grant(&key.name));
        let destinations = match known {
            Some(Known::Grant(grant)) => self.users(&key.namespace, grant),
            _ => BTreeSet::new(),
        };
        Woken { grants: BTreeSet::from([key.clone()]), destinations, ..Woken::default() }
    }

    fn open(&mut self, key: &GrantKey, known: &Known, is_there: bool) {
        let Known::Grant(grant) = known else { return };
        for destination in grant.spec.destinations() {
            let grants = self.opened.entry(destination.to_owned()).or_default();
            if is_there {
                grants.insert(key.clone());
            } else {
                grants.remove(key);
            }
            if grants.is_empty() {
                self.opened.remove(destination);
            }
        }
    }

    fn grants(&self) -> BTreeSet<GrantKey> {
        let each = self
            .namespaces
            .iter()
            .flat_map(|(name, namespace)| namespace.names().map(move |grant| GrantKey::new(name, grant)));
        each.collect()
    }
}

impl Known {
    /// What is kept of a grant; of one that cannot be read, what can.
    #[must_use]
    pub fn of(grant: Result<SecretGrant, InvalidObject>) -> Self {
        match grant {
            Ok(mut grant) => {
                grant.metadata = essential(grant.metadata);
                Self::Grant(Arc::new(grant))
            }
            Err(InvalidObject { error, metadata }) => {
                Self::Unreadable { metadata: Box::new(essential(metadata)), error }
            }
        }
    }

    pub(super) fn version(&self) -> u64 {
        owned::version(self.metadata())
    }

    fn key(&self) -> Option<GrantKey> {
        let metadata = self.metadata();
        Some(GrantKey::new(metadata.namespace.as_deref()?, metadata.name.as_deref()?))
    }
}

/// Tells a grant from itself at another time, but for its status.
fn asked(metadata: &ObjectMeta) -> impl PartialEq + use<'_> {
    (metadata.generation, &metadata.deletion_timestamp, metadata.annotations.iter().flatten().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use apolo_core::names::{GRANTED_BY, GRANTED_VIA};
    use serde_json::json;

    fn grant(name: &str, version: u32, via: &str) -> Known {
        let annotations = json!({GRANTED_VIA: via});
        let grant = serde_json::from_value(json!({
            "metadata": {
                "name": name, "namespace": "alice", "uid": name, "resourceVersion": version.to_string(),
                "annotations": annotations, "creationTimestamp": format!("2026-11-25T00:00:{version:02}Z"),
            },
            "spec": {"secrets": ["one", "AWS_KEY"], "subjects": [{"kind": "User", "name": "bob"}]},
        }))
        .unwrap();
        Known::of(Ok(grant))
    }

    fn owned(uid: &str, version: u64) -> Owned {
        Owned { uid: uid.into(), grant_uid: "a".into(), version, digest: String::new() }
    }

    fn names(woken: Woken) -> Vec<String> {
        woken.grants.into_iter().map(|key| key.name).collect()
    }

    fn secret(version: u64) -> Kept {
        Kept::Secret(KnownSecret { uid: "s".into(), version, ..KnownSecret::default() })
    }

    #[test]
    fn a_grant_wakes_itself_and_those_that_it_came_from_and_that_came_from_it() {
        let store = Store::default();
        assert_eq!(names(store.put_grant(grant("b", 1, "a bob"))), ["b"]);
        assert_eq!(names(store.put_grant(grant("a", 2, ""))), ["a", "b"]);
        assert_eq!(names(store.put_grant(grant("b", 3, ""))), ["a", "b"]);
        assert_eq!(names(store.put_grant(grant("b", 4, "a bob"))), ["a", "b"]);
        let seen = store.see(&GrantKey::new("alice", "a"));
        assert_eq!(seen.derived, BTreeSet::from([("2026-11-25T00:00:04Z".parse().ok(), "b".into())]));
        assert_eq!(store.see(&GrantKey::new("alice", "b")).ancestors.readable.len(), 1);
        assert_eq!(names(store.remove_grant(&GrantKey::new("alice", "a"))), ["a", "b"]);
        assert!(store.see(&GrantKey::new("alice", "b")).ancestors.readable.is_empty());
    }

    #[test]
    fn a_grant_that_cannot_be_read_is_told_to_those_that_came_from_it() {
        let store = Store::default();
        store.put_grant(grant("a", 1, ""));
        store.put_grant(grant("b", 2, "a bob"));
        let Known::Grant(readable) = grant("a", 3, "") else { panic!("it cannot be read") };
        let unreadable = InvalidObject { error: "why".into(), metadata: readable.metadata.clone() };
        assert_eq!(names(store.put_grant(Known::of(Err(unreadable)))), ["a", "b"]);
        let ancestors = store.see(&GrantKey::new("alice", "b")).ancestors;
        assert!(ancestors.readable.is_empty() && ancestors.unreadable == BTreeSet::from(["a".into()]));
        assert_eq!(names(store.put_grant(grant("a", 4, ""))), ["a", "b"]);
        assert!(store.see(&GrantKey::new("alice", "b")).ancestors.unreadable.is_empty());
    }

    #[test]
    fn what_is_known_already_or_is_older_wakes_nobody() {
        let store = Store::default();
        let key = GrantKey::new("alice", "a");
        store.put_grant(grant("a", 2, ""));
        assert!(store.put_grant(grant("a", 2, "")).is_empty() && store.put_grant(grant("a", 1, "")).is_empty());
        assert_eq!(names(store.put_owned(Kind::Role, &key, owned("r", 4))), ["a"]);
        assert!(store.put_owned(Kind::Role, &key, owned("r", 4)).is_empty());
        assert!(store.remove_owned(Kind::Role, &key, "another").is_empty());
        assert_eq!(names(store.remove_owned(Kind::Role, &key, "r")), ["a"]);
    }

    /// The answer to a write of its status may come before the watch tells of a change that came before that write.
    #[test]
    fn a_grant_that_was_changed_when_its_status_was_written_is_looked_at_again() {
        let key = GrantKey::new("alice", "a");
        let put = |change: &serde_json::Value| {
            let store = Store::default();
            store.put_grant(grant("a", 1, ""));
            let Some(Known::Grant(looked_at)) = store.see(&key).grant else { panic!("it is not there") };
            let mut answer = serde_json::to_value(looked_at.as_ref()).unwrap();
            answer["metadata"]["resourceVersion"] = json!("3");
            answer["status"] = json!({"observedGeneration": 1});
            for (field, value) in change.as_object().unwrap() {
                answer["metadata"][field] = value.clone();
            }
            names(store.put_answer(&looked_at, serde_json::from_value(answer).unwrap()))
        };
        assert!(put(&json!({})).is_empty() && put(&json!({"labels": {"a": "b"}})).is_empty());
        for change in [
            json!({"generation": 2}),
            json!({"deletionTimestamp": "2026-11-25T00:00:00Z"}),
            json!({"annotations": {GRANTED_VIA: "", GRANTED_BY: "bob"}}),
        ] {
            assert_eq!(put(&change), ["a"], "{change}");
        }
    }

    #[test]
    fn a_secret_wakes_the_grants_that_name_it_when_it_comes_and_when_it_goes() {
        let store = Store::default();
        store.put_grant(grant("a", 1, ""));
        let object = "aws-key-4cea0ddbcf43f8cf";
        for _ in 0..2 {
            assert_eq!(names(store.put_secret("alice", object, secret(1))), ["a"]);
            assert!(names(store.put_secret("alice", object, secret(2))).is_empty());
            assert_eq!(store.see(&GrantKey::new("alice", "a")).secrets, BTreeSet::from([object.into()]));
            assert!(store.remove_secret("alice", object, "another").is_empty());
            assert_eq!(names(store.remove_secret("alice", object, "s")), ["a"]);
        }
        assert!(names(store.put_secret("bob", object, secret(3))).is_empty());
        assert!(names(store.put_secret("alice", "AWS_KEY", secret(3))).is_empty());
    }

    #[test]
    fn it_is_complete_when_all_kinds_have_been_told() {
        let store = Store::default();
        assert_eq!(store.missing().len(), 8);
        store.replace_grants(Vec::new());
        store.replace_owned(Kind::Role, Vec::new());
        store.replace_owned(Kind::RoleBinding, Vec::new());
        store.replace_pods(Vec::new());
        store.replace_secrets(false, Vec::new());
        store.replace_catalogs(Vec::new());
        store.replace_namespaces(Vec::new());
        assert_eq!(store.missing(), [Source::OpaqueSecrets]);
        store.replace_secrets(true, vec![("alice".into(), "one".into(), secret(1))]);
        assert!(store.missing().is_empty());
    }
}
