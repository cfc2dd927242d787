//! The grants that the webhook knows, from a watch of all of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use apolo_api::access::Access;
use apolo_api::grant::{SecretGrant, essential};
use apolo_api::lineage::{self, Via, is_live};
use apolo_core::requester::Requester;
use apolo_core::subject::Subject;
use apolo_runtime::watch::{News, follow};
use apolo_runtime::watched::Watched;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::watcher::Config;
use kube::{Api, Client, ResourceExt};

type Guarded = DeserializeGuard<SecretGrant>;

/// All grants of the cluster that can be read, by namespace and name.
#[derive(Debug, Default)]
pub struct Known(RwLock<Told>);

#[derive(Debug, Default)]
struct Told {
    is_complete: bool,
    owners: HashMap<String, Owner>,
}

/// The grants of a namespace, and by each key the names of those that name it.
#[derive(Debug, Default)]
struct Owner {
    grants: HashMap<String, Arc<KnownGrant>>,
    by_key: HashMap<String, BTreeSet<String>>,
}

/// A grant, read as far as requests need it: there are many more of these than changes of grants.
#[derive(Clone, Debug)]
pub struct KnownGrant {
    /// What decides, but for what is beside it.
    pub grant: SecretGrant,
    /// The namespaces that it opens, sorted.
    pub destinations: Vec<String>,
    /// The subjects, sorted.
    pub subjects: Vec<Subject>,
    /// The grants that let its author share; see [`lineage::via`].
    pub via: Vec<Via>,
}

impl KnownGrant {
    /// What is kept of a grant.
    #[must_use]
    pub fn of(mut grant: SecretGrant) -> Self {
        grant.metadata = essential(grant.metadata);
        let destinations = grant.spec.destinations().into_iter().map(str::to_owned).collect();
        grant.spec.namespaces = Vec::new();
        let subjects = std::mem::take(&mut grant.spec.subjects);
        let mut subjects: Vec<Subject> = subjects.iter().filter_map(|it| Subject::try_from(it).ok()).collect();
        subjects.sort();
        Self { via: lineage::via(&grant).collect(), destinations, subjects, grant }
    }

    /// The UID, or nothing.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.grant.metadata.uid.as_deref().unwrap_or_default()
    }
}

/// A use of a secret that a grant may allow.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// The namespace that owns it.
    pub owner: &'a str,
    /// Its key.
    pub key: &'a str,
    /// Where it is to be used.
    pub namespace: &'a str,
}

impl Known {
    /// Watches for as long as it is polled. Grants of owners elsewhere than where we act are not there for us.
    pub async fn watch(&self, client: Client, watched: &Watched) {
        let kept = |grant: Guarded| {
            if !watched.includes(&grant.namespace().unwrap_or_default()) {
                return None;
            }
            Some(grant.0.map(KnownGrant::of))
        };
        follow(Api::<Guarded>::all(client), Config::default(), kept, |news| match news {
            News::Put(grant) => self.put(grant),
            News::Removed(grant) => self.remove(&grant.namespace().unwrap_or_default(), &grant.name_any()),
            News::All(all) => self.replace(all),
            News::Broke(error) => tracing::warn!(why = %error, "the watch of grants broke; it is begun again"),
        })
        .await;
    }

    /// Whether all that was there at the beginning has been told.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_complete
    }

    /// Whether a live grant names the secret, opens the namespace, and has the requester among its subjects.
    #[must_use]
    pub fn grants(&self, wanted: Use<'_>, requester: &Requester, max_access: Access, now: Timestamp) -> bool {
        let told = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let of_owner = told.owners.get(wanted.owner);
        of_owner.into_iter().flat_map(|owner| owner.naming(wanted.key)).any(|known| {
            known.destinations.binary_search_by(|it| it.as_str().cmp(wanted.namespace)).is_ok()
                && is_live(&known.grant, max_access, now)
                && known.subjects.iter().any(|it| requester.is(it))
        })
    }

    /// The grants of a namespace that name a key.
    #[must_use]
    pub fn naming(&self, owner: &str, key: &str) -> Vec<Arc<KnownGrant>> {
        let told = self.0.read().unwrap_or_else(PoisonError::into_inner);
        told.owners.get(owner).into_iter().flat_map(|owner| owner.naming(key)).cloned().collect()
    }

    fn put(&self, grant: Result<KnownGrant, InvalidObject>) {
        let mut told = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match grant {
            Ok(grant) => told.put(grant),
            // One that cannot be read grants nothing.
            Err(unreadable) => told.remove(
                &unreadable.metadata.namespace.unwrap_or_default(),
                &unreadable.metadata.name.unwrap_or_default(),
            ),
        }
    }

    fn remove(&self, namespace: &str, name: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(namespace, name);
    }

    fn replace(&self, all: Vec<Result<KnownGrant, InvalidObject>>) {
        let mut fresh = Told { is_complete: true, owners: HashMap::new() };
        all.into_iter().flatten().for_each(|grant| fresh.put(grant));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }
}

impl Told {
    fn put(&mut self, known: KnownGrant) {
        let (namespace, name) = (known.grant.namespace().unwrap_or_default(), known.grant.name_any());
        let owner = self.owners.entry(namespace).or_default();
        owner.remove(&name);
        for key in &known.grant.spec.secrets {
            owner.by_key.entry(key.clone()).or_default().insert(name.clone());
        }
        owner.grants.insert(name, Arc::new(known));
    }

    fn remove(&mut self, namespace: &str, name: &str) {
        if let Some(owner) = self.owners.get_mut(namespace) {
            owner.remove(name);
            if owner.grants.is_empty() {
                self.owners.remove(namespace);
            }
        }
    }
}

impl Owner {
    fn naming(&self, key: &str) -> impl Iterator<Item = &Arc<KnownGrant>> {
        self.by_key.get(key).into_iter().flatten().filter_map(|name| self.grants.get(name))
    }

    fn remove(&mut self, name: &str) {
        let Some(known) = self.grants.remove(name) else { return };
        for key in &known.grant.spec.secrets {
            let Some(names) = self.by_key.get_mut(key) else { continue };
            names.remove(name);
            if names.is_empty() {
                self.by_key.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn grant(fields: &Value) -> SecretGrant {
        let mut grant = json!({
            "metadata": {"name": "one", "namespace": "alice"},
            "spec": {"secrets": ["a"], "access": "Use", "subjects": [{"kind": "User", "name": "bob"}], "namespaces": ["jobs"]},
        });
        for (pointer, value) in fields.as_object().unwrap() {
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            grant.pointer_mut(parent).unwrap()[field] = value.clone();
        }
        serde_json::from_value(grant).unwrap()
    }

    #[test]
    fn a_grant_allows_a_use_that_it_names_where_it_opens_to_whom_it_has_while_it_lives() {
        let bob = Requester { name: "bob".into(), groups: vec!["dev".into()], ..Requester::default() };
        let now = "2026-11-25T00:00:00Z".parse().unwrap();
        for (fields, allows) in [
            (json!({}), true),
            (json!({"/spec/secrets": ["b"]}), false),
            (json!({"/spec/namespaces": ["bob"]}), false),
            (json!({"/spec/namespaces": []}), false),
            (json!({"/spec/subjects": [{"kind": "Group", "name": "dev"}]}), true),
            (json!({"/spec/subjects": [{"kind": "Group", "name": "bob"}]}), false),
            (json!({"/spec/subjects": [{"kind": "Namespace", "name": "jobs"}], "/spec/namespaces": []}), false),
            (json!({"/spec/expiresAt": "2026-11-25T00:00:01Z"}), true),
            (json!({"/spec/expiresAt": "2026-11-25T00:00:00Z"}), false),
            (json!({"/spec/access": "Manage"}), false),
            (json!({"/metadata/deletionTimestamp": "2026-11-25T00:00:00Z"}), false),
            (
                json!({"/metadata/annotations": {"secrets.apolo.us/granted-via": "x"}, "/status": {"withdrawn": "x"}}),
                false,
            ),
        ] {
            let known = Known::default();
            known.put(Ok(KnownGrant::of(grant(&fields))));
            let wanted = Use { owner: "alice", key: "a", namespace: "jobs" };
            assert_eq!(known.grants(wanted, &bob, Access::Write, now), allows, "{fields}");
            known.remove("alice", "one");
            assert!(!known.grants(wanted, &bob, Access::Write, now));
        }
    }

    #[test]
    fn all_that_is_told_replaces_what_was_known() {
        let known = Known::default();
        known.put(Ok(KnownGrant::of(grant(&json!({})))));
        assert!(!known.is_complete());
        known.replace(vec![Ok(KnownGrant::of(grant(&json!({"/metadata/namespace": "carol"}))))]);
        assert!(known.is_complete());
        let bob = Requester { name: "bob".into(), ..Requester::default() };
        let may =
            |owner| known.grants(Use { owner, key: "a", namespace: "jobs" }, &bob, Access::Use, Timestamp::UNIX_EPOCH);
        assert!(may("carol") && !may("alice"));
    }
}
