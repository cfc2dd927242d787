//! What is known of the Pods that use shared secrets, and of what is delivered to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use apolo_api::access::Access;
use apolo_api::grant::SecretGrant;
use apolo_api::lineage::{self, Descent};
use apolo_api::subject::{GrantSubject, SubjectKind};
use apolo_core::requester::Requester;
use apolo_core::subject::Subject;
use k8s_openapi::jiff::Timestamp;

use super::destination::Uses;
use super::namespace::{Ancestors, Known, Namespace};
use super::pod::{Asked, KnownPod, Party};
use super::secret::{KnownCopy, KnownSecret};
use super::{Source, State, Store, Woken};
use crate::key::GrantKey;

/// A namespace whose Pods use shared secrets, at one time.
#[derive(Debug, Default)]
pub struct Destination {
    /// The Pods by name, as those who ask for the same.
    pub parties: HashMap<Arc<Party>, Vec<(String, KnownPod)>>,
    /// The copies, by name, and what else bears such a name.
    pub copies: BTreeMap<String, KnownCopy>,
    /// The Secrets that they ask for, as far as they exist, by `OWNER/OBJECT/ENTRY`.
    pub sources: HashMap<String, KnownSecret>,
}

/// A grant by which somebody may use a secret, if it is in force and RBAC agrees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granting {
    /// The grant.
    pub grant: GrantKey,
    /// Whom it has among its subjects.
    pub to: Requester,
}

impl Store {
    /// A Pod as it is now.
    pub fn put_pod(&self, namespace: &str, name: &str, pod: KnownPod) -> Woken {
        self.lock().put_pod(namespace, name, pod)
    }

    /// A Pod as the API server answered a write to it: news only of one that has not gone meanwhile, which the watch tells.
    pub fn put_answered_pod(&self, namespace: &str, name: &str, pod: KnownPod) {
        let mut state = self.lock();
        let known = state.namespaces.get(namespace).and_then(|known| known.destination.pod(name));
        if known.is_some_and(|known| known.uid == pod.uid) {
            state.put_pod(namespace, name, pod);
        }
    }

    /// A Pod has gone; a later one of its name stays.
    pub fn remove_pod(&self, namespace: &str, name: &str, uid: &str) -> Woken {
        let mut state = self.lock();
        let Some(known) = state.namespaces.get_mut(namespace) else { return Woken::default() };
        let Some(uses) = known.destination.remove_pod(name, uid) else { return Woken::default() };
        state.index_uses(namespace, uses);
        Woken { destinations: BTreeSet::from([namespace.to_owned()]), ..Woken::default() }
    }

    /// All Pods have been told anew, by namespace and name: others are not there.
    pub fn replace_pods(&self, all: Vec<(String, String, KnownPod)>) {
        let mut state = self.lock();
        state.namespaces.values_mut().for_each(|namespace| drop(namespace.destination.forget_pods()));
        state.used.clear();
        for (namespace, name, pod) in all {
            state.put_pod(&namespace, &name, pod);
        }
        state.complete.insert(Source::Pods);
    }

    /// Where the secrets of a grant are used.
    #[must_use]
    pub fn users(&self, key: &GrantKey) -> Woken {
        Woken { grants: BTreeSet::new(), ..self.lock().given(key) }
    }

    /// A copy, or what else bears its name.
    #[must_use]
    pub fn copy(&self, namespace: &str, name: &str) -> Option<KnownCopy> {
        self.lock().namespaces.get(namespace)?.destination.copies.get(name).cloned()
    }

    /// A Secret of an owner.
    #[must_use]
    pub fn secret(&self, namespace: &str, name: &str) -> Option<KnownSecret> {
        self.lock().namespaces.get(namespace)?.secrets.get(name).cloned()
    }

    /// The copies that are known, by namespace and name.
    #[must_use]
    pub fn all_copies(&self) -> Vec<(String, String, KnownCopy)> {
        let state = self.lock();
        let each = state.namespaces.iter().flat_map(|(namespace, known)| {
            known.destination.copies.iter().map(|(name, copy)| (namespace.clone(), name.clone(), copy.clone()))
        });
        each.collect()
    }

    /// What is known of a namespace as a destination.
    #[must_use]
    pub fn destination(&self, namespace: &str) -> Destination {
        let state = self.lock();
        let Some(known) = state.namespaces.get(namespace) else { return Destination::default() };
        let mut seen = Destination { copies: known.destination.copies.clone(), ..Destination::default() };
        for (name, pod) in known.destination.pods() {
            seen.parties.entry(Arc::clone(&pod.party)).or_default().push((name.clone(), pod.clone()));
        }
        for asked in seen.parties.keys().flat_map(|party| &party.asked) {
            let secret = state.namespaces.get(&asked.owner).and_then(|owner| owner.secrets.get(&asked.object));
            if let Some(secret) = secret {
                seen.sources.insert(asked.source(), secret.clone());
            }
        }
        seen
    }

    /// The first grants, so many at most, as they are known, by which any of these may use a secret in a namespace.
    #[must_use]
    pub fn granting(
        &self,
        asked: &Asked,
        namespace: &str,
        identities: &[Requester],
        (max_access, now): (Access, Timestamp),
        most: usize,
    ) -> Vec<Granting> {
        let state = self.lock();
        let Some(owner) = state.namespaces.get(&asked.owner) else { return Vec::new() };
        let mut found = Vec::new();
        for name in owner.naming(&asked.object) {
            let Some(Known::Grant(grant)) = owner.grant(name) else { continue };
            let stands = || owner.stands(grant, max_access, now);
            for to in identities.iter().filter(|to| gives(grant, asked, namespace, to, max_access, now)) {
                if stands() {
                    found.push(Granting { grant: GrantKey::new(&asked.owner, name), to: to.clone() });
                }
            }
            if found.len() >= most {
                break;
            }
        }
        found
    }

    /// Equal while what these grants give is the same, and written as it was.
    #[must_use]
    pub fn rights(&self, granting: &[Granting]) -> u64 {
        let state = self.lock();
        let mut hasher = DefaultHasher::new();
        for Granting { grant: GrantKey { namespace, name }, to } in granting {
            let of_namespace = state.namespaces.get(namespace);
            let versions = of_namespace.map(|known| (known.grant(name).map(Known::version), known.versions(name)));
            (namespace, name, &to.name, versions).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The grants that a grant came from, and that these came from, as far as they are known.
    #[must_use]
    pub fn ancestors(&self, namespace: &str, grant: &SecretGrant) -> Ancestors {
        self.lock().namespaces.get(namespace).map(|known| known.ancestors(grant)).unwrap_or_default()
    }
}

/// Whether a grant, provided that it stands, lets somebody use a secret in a namespace.
#[must_use]
pub(crate) fn gives(
    grant: &SecretGrant,
    asked: &Asked,
    namespace: &str,
    to: &Requester,
    max_access: Access,
    now: Timestamp,
) -> bool {
    // What costs least comes first: an owner may have thousands of grants of many subjects and namespaces.
    let mut named = grant.spec.subjects.iter().filter(|it| may_be(it, to));
    lineage::is_live(grant, max_access, now)
        && grant.spec.secrets.contains(&asked.key)
        && grant.spec.opens(namespace)
        && named.any(|it| Subject::try_from(it).is_ok_and(|subject| to.is(&subject)))
}

/// Whether the name of a subject is one by which somebody may be among it.
fn may_be(subject: &GrantSubject, to: &Requester) -> bool {
    match subject.kind {
        SubjectKind::User => to.name == subject.name,
        SubjectKind::ServiceAccount => to.name.ends_with(&subject.name),
        SubjectKind::Group | SubjectKind::Namespace => to.groups.iter().any(|group| group.ends_with(&subject.name)),
    }
}

impl Namespace {
    /// Whether a grant stands, by those that it came from.
    pub(super) fn stands(&self, grant: &SecretGrant, max_access: Access, now: Timestamp) -> bool {
        if lineage::stands_by_itself(grant) {
            return true;
        }
        let Ancestors { readable, unreadable } = self.ancestors(grant);
        let grants =
            readable.iter().filter_map(|grant| Some((grant.metadata.uid.as_deref()?, grant.as_ref()))).collect();
        lineage::descent(grant, &grants, &unreadable, max_access, now) == Descent::Stands
    }
}

impl State {
    fn put_pod(&mut self, namespace: &str, name: &str, pod: KnownPod) -> Woken {
        let destination = &mut self.namespaces.entry(namespace.to_owned()).or_default().destination;
        let before = destination.pod(name).map(stage);
        let is_news = before != Some(stage(&pod));
        let Some(uses) = destination.put_pod(name, pod) else { return Woken::default() };
        self.index_uses(namespace, uses);
        let destinations = BTreeSet::from([namespace.to_owned()]);
        if is_news { Woken { destinations, ..Woken::default() } } else { Woken::default() }
    }

    fn index_uses(&mut self, namespace: &str, Uses { come, gone }: Uses) {
        for object in come {
            *self.used.entry(object).or_default().entry(namespace.to_owned()).or_default() += 1;
        }
        for object in gone {
            let Some(users) = self.used.get_mut(&object) else { continue };
            if let Some(count) = users.get_mut(namespace) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    users.remove(namespace);
                }
            }
            if users.is_empty() {
                self.used.remove(&object);
            }
        }
    }
}

/// What of a Pod matters to what is delivered: all else changes often, such as its conditions.
fn stage(pod: &KnownPod) -> (String, [bool; 4]) {
    (pod.uid.clone(), [pod.is_gated, pod.is_leaving, pod.is_pending, pod.is_finished])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn store(grants: &[(&str, Value)]) -> Store {
        let store = Store::default();
        for (number, (name, fields)) in grants.iter().enumerate() {
            let mut spec = json!({
                "secrets": ["a"], "subjects": [{"kind": "User", "name": "bob"}], "namespaces": ["jobs"],
            });
            for (field, value) in fields.as_object().unwrap() {
                spec.as_object_mut().unwrap().insert(field.clone(), value.clone());
            }
            let metadata =
                json!({"name": name, "namespace": "alice", "uid": name, "resourceVersion": number.to_string()});
            let grant = json!({"metadata": metadata, "spec": spec});
            drop(store.put_grant(Known::of(Ok(serde_json::from_value(grant).unwrap()))));
        }
        store
    }

    fn names(store: &Store, most: usize) -> Vec<String> {
        let asked = Asked {
            reference: "secret:/alice/a".into(),
            owner: "alice".into(),
            key: "a".into(),
            object: "a".into(),
            entry: "a".into(),
            copy: "apolo-shared-a".into(),
        };
        let groups = vec!["ml-team".into()];
        let bob = Requester { name: "bob".into(), uid: String::new(), groups, extra: BTreeMap::new() };
        let terms = (Access::Write, "2026-11-26T00:00:00Z".parse().unwrap());
        let granting = store.granting(&asked, "jobs", &[bob], terms, most);
        granting.into_iter().map(|granting| granting.grant.name).collect()
    }

    #[test]
    fn what_gives_a_secret_names_it_and_its_user_and_opens_the_namespace_and_is_in_force() {
        let group = json!([{"kind": "Group", "name": "ml-team"}, {"kind": "Namespace", "name": "jobs"}]);
        let given = store(&[
            ("plain", json!({})),
            ("by-group", json!({"subjects": group, "namespaces": []})),
            ("of-others", json!({"subjects": [{"kind": "User", "name": "carol"}]})),
            ("of-another", json!({"secrets": ["b"]})),
            ("elsewhere", json!({"namespaces": ["night"]})),
            ("expired", json!({"expiresAt": "2026-11-25T00:00:00Z"})),
            ("too-much", json!({"access": "Manage"})),
        ]);
        assert_eq!(names(&given, usize::MAX), ["by-group", "plain"]);
    }

    #[test]
    fn of_many_that_give_the_same_no_more_are_looked_for_than_are_asked_for() {
        let many: Vec<String> = (0..20).map(|number| format!("grant-{number:02}")).collect();
        let given = store(&many.iter().map(|name| (name.as_str(), json!({}))).collect::<Vec<_>>());
        assert_eq!(names(&given, 3), ["grant-00", "grant-01", "grant-02"]);
        assert_eq!(names(&given, usize::MAX), many);
    }
}
