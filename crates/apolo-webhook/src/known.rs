//! The grants that the webhook knows, from a watch of all of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use apolo_api::access::Access;
use apolo_api::grant::SecretGrant;
use apolo_api::lineage::is_live;
use apolo_core::names::GRANTED_VIA;
use apolo_core::requester::Requester;
use apolo_core::subject::Subject;
use apolo_runtime::watch::{News, follow};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
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
    grants: HashMap<String, Arc<SecretGrant>>,
    by_key: HashMap<String, BTreeSet<String>>,
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

/// What is kept of a grant: what decides. All else of its metadata may be many times larger, such as kubectl's own copy of it.
#[expect(clippy::unnecessary_wraps, reason = "each object is kept")]
fn kept(DeserializeGuard(grant): Guarded) -> Option<Guarded> {
    Some(DeserializeGuard(grant.map(|mut grant| {
        grant.metadata = essential(grant.metadata);
        grant
    })))
}

fn essential(metadata: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        annotations: metadata.annotations.map(|all| all.into_iter().filter(|(name, _)| name == GRANTED_VIA).collect()),
        deletion_timestamp: metadata.deletion_timestamp,
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        ..ObjectMeta::default()
    }
}

impl Known {
    /// Watches for as long as it is polled.
    pub async fn watch(&self, client: Client) {
        follow(Api::<Guarded>::all(client), Config::default(), kept, |news| match news {
            News::Put(DeserializeGuard(grant)) => self.put(grant),
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
        of_owner.into_iter().flat_map(|owner| owner.naming(wanted.key)).any(|grant| {
            let spec = &grant.spec;
            spec.destinations().contains(wanted.namespace)
                && is_live(grant, max_access, now)
                && spec.subjects.iter().filter_map(|it| Subject::try_from(it).ok()).any(|it| requester.is(&it))
        })
    }

    /// The grants of a namespace that name a key.
    #[must_use]
    pub fn naming(&self, owner: &str, key: &str) -> Vec<Arc<SecretGrant>> {
        let told = self.0.read().unwrap_or_else(PoisonError::into_inner);
        told.owners.get(owner).into_iter().flat_map(|owner| owner.naming(key)).cloned().collect()
    }

    fn put(&self, grant: Result<SecretGrant, InvalidObject>) {
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

    fn replace(&self, all: Vec<Guarded>) {
        let mut fresh = Told { is_complete: true, owners: HashMap::new() };
        all.into_iter().filter_map(|DeserializeGuard(grant)| grant.ok()).for_each(|grant| fresh.put(grant));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }
}

impl Told {
    fn put(&mut self, grant: SecretGrant) {
        let (namespace, name) = (grant.namespace().unwrap_or_default(), grant.name_any());
        let owner = self.owners.entry(namespace).or_default();
        owner.remove(&name);
        for key in &grant.spec.secrets {
            owner.by_key.entry(key.clone()).or_default().insert(name.clone());
        }
        owner.grants.insert(name, Arc::new(grant));
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
    fn naming(&self, key: &str) -> impl Iterator<Item = &Arc<SecretGrant>> {
        self.by_key.get(key).into_iter().flatten().filter_map(|name| self.grants.get(name))
    }

    fn remove(&mut self, name: &str) {
        let Some(grant) = self.grants.remove(name) else { return };
        for key in &grant.spec.secrets {
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
            known.put(Ok(grant(&fields)));
            let wanted = Use { owner: "alice", key: "a", namespace: "jobs" };
            assert_eq!(known.grants(wanted, &bob, Access::Write, now), allows, "{fields}");
            known.remove("alice", "one");
            assert!(!known.grants(wanted, &bob, Access::Write, now));
        }
    }

    #[test]
    fn all_that_is_told_replaces_what_was_known() {
        let known = Known::default();
        known.put(Ok(grant(&json!({}))));
        assert!(!known.is_complete());
        known.replace(vec![DeserializeGuard(Ok(grant(&json!({"/metadata/namespace": "carol"}))))]);
        assert!(known.is_complete());
        let bob = Requester { name: "bob".into(), ..Requester::default() };
        let may =
            |owner| known.grants(Use { owner, key: "a", namespace: "jobs" }, &bob, Access::Use, Timestamp::UNIX_EPOCH);
        assert!(may("carol") && !may("alice"));
    }
}
