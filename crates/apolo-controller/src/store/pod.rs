//! What is kept of a Pod that uses shared secrets: what it asks for, for whom it is decided, and how far it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apolo_core::access::Question;
use apolo_core::launcher::Launcher;
use apolo_core::mistake::Mistakes;
use apolo_core::names::{DELIVERY_GATE, PREFIX};
use apolo_core::pod;
use apolo_core::reference::{Reference, Scope};
use apolo_core::request::Request;
use apolo_core::requester::Requester;
use apolo_core::stamp::Stamp;
use apolo_core::subject::Subject;
use apolo_core::workload::Table;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::owned;

/// As much of a Pod as is looked at.
#[derive(Clone, Debug, Default, Resource, Serialize, Deserialize)]
#[resource(inherit = Pod)]
pub struct SharingPod {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    service_account_name: Option<String>,
    scheduling_gates: Vec<Gate>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Gate {
    name: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Status {
    phase: Option<String>,
}

/// A Pod that uses shared secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPod {
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion, as a number: they grow.
    pub version: u64,
    /// Whether it waits for its secrets.
    pub is_gated: bool,
    /// Whether it is being deleted.
    pub is_leaving: bool,
    /// Whether it does not run yet.
    pub is_pending: bool,
    /// Whether its containers have ended, and none starts again.
    pub is_finished: bool,
    /// What it asks for, with all others that ask for the same.
    pub party: Arc<Party>,
}

/// What Pods ask for, and for whom it is decided. Equal for all Pods of a workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Party {
    /// What they ask for of other owners, each entry once.
    pub asked: Vec<Asked>,
    /// Those by whom they may come to it: whoever submitted them, and their account.
    pub identities: Vec<Requester>,
    /// The one whom a refusal names.
    pub subject: Subject,
    /// What is wrong with what they ask for, where it cannot be read.
    pub mistakes: Option<String>,
}

/// An entry of a Secret of another owner, and the copy of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asked {
    /// The reference, as it was written.
    pub reference: String,
    /// The owner.
    pub owner: String,
    /// The key.
    pub key: String,
    /// The name of the Secret.
    pub object: String,
    /// The entry of its data.
    pub entry: String,
    /// The name of the copy.
    pub copy: String,
}

impl Asked {
    /// What the copy says that it is a copy of.
    #[must_use]
    pub fn source(&self) -> String {
        format!("{}/{}/{}", self.owner, self.object, self.entry)
    }
}

impl Party {
    /// The words that refuse something to the Pods of this party in a namespace.
    #[must_use]
    pub fn refusal(&self, asked: &Asked, namespace: &str) -> String {
        match Reference::parse(&asked.reference) {
            Ok(reference) => {
                Question { launcher: &self.subject, reference, owner: &asked.owner, namespace }.to_string()
            }
            Err(error) => error.to_string(),
        }
    }
}

/// What is needed to read a Pod as the webhook did.
#[derive(Clone, Debug)]
pub struct Reader {
    /// What this cluster is called in references.
    pub cluster_name: String,
    /// The workloads whose controllers lend nothing to those whose Pods they make.
    pub table: Table,
}

impl Reader {
    /// What is kept of a Pod: its namespace, its name, and the rest.
    #[must_use]
    pub fn read(&self, pod: SharingPod) -> Option<(String, String, KnownPod)> {
        let namespace = pod.metadata.namespace.clone()?;
        let party = Arc::new(self.party(&pod, &namespace));
        let SharingPod { metadata, spec, status } = pod;
        let phase = status.phase.as_deref();
        let known = KnownPod {
            version: owned::version(&metadata),
            uid: metadata.uid?,
            is_gated: spec.scheduling_gates.iter().any(|gate| gate.name == DELIVERY_GATE),
            is_leaving: metadata.deletion_timestamp.is_some(),
            is_pending: phase.is_none_or(|phase| phase == "Pending"),
            is_finished: phase.is_some_and(|phase| ["Succeeded", "Failed"].contains(&phase)),
            party,
        };
        Some((namespace, metadata.name?, known))
    }

    fn party(&self, pod: &SharingPod, namespace: &str) -> Party {
        let annotations = pod.metadata.annotations.iter().flatten();
        let ours: BTreeMap<_, _> = annotations.filter(|(name, _)| name.starts_with(PREFIX)).collect();
        let account = &pod.spec.service_account_name;
        let text = json!({"metadata": {"annotations": ours}, "spec": {"serviceAccountName": account}}).to_string();
        match serde_json::from_str::<pod::Pod<'_>>(&text) {
            Ok(mut read) => {
                // Its containers are not looked at: the webhook did.
                read.is_partial = true;
                self.of_request(&read, namespace)
            }
            Err(_) => Party::unreadable("its annotations cannot be read".to_owned()),
        }
    }

    fn of_request(&self, pod: &pod::Pod<'_>, namespace: &str) -> Party {
        let mut mistakes = Mistakes::default();
        let scope = Scope { cluster: &self.cluster_name, namespace: Some(namespace) };
        let request = Request::read(pod, scope, &mut mistakes);
        if !mistakes.is_empty() {
            return Party::unreadable(mistakes.to_string());
        }
        let shared = request.asked().filter_map(|asked| {
            let source = &asked.source;
            Some(Asked {
                reference: asked.reference.to_string(),
                owner: source.owner?.to_owned(),
                key: source.key.as_str().to_owned(),
                object: source.key.object_name().into_owned(),
                entry: source.entry.to_owned(),
                copy: source.secret.clone().into_owned(),
            })
        });
        let mut asked: Vec<Asked> = shared.collect();
        let mut copies = BTreeSet::new();
        asked.retain(|asked| copies.insert(asked.copy.clone()));
        // It is fixed since the Pod was created.
        let stamp = Stamp::read(&pod.metadata.annotations);
        let launcher = Launcher::of(stamp.as_ref(), pod, namespace, &self.table);
        let identities = launcher.identities().cloned().collect();
        Party { asked, identities, subject: launcher.subject(), mistakes: None }
    }
}

impl Party {
    fn unreadable(mistakes: String) -> Self {
        let subject = Subject::User(String::new());
        Self { asked: Vec::new(), identities: Vec::new(), subject, mistakes: Some(mistakes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn read(fields: &Value) -> KnownPod {
        let mut pod = json!({
            "metadata": {"name": "one", "namespace": "bob", "uid": "u", "resourceVersion": "4", "annotations": {
                "secrets.apolo.us/volume": "secret:/alice/aws-key:/a, secret:own:/b, secret:/alice/db#password:/c",
                "secrets.apolo.us/env": "A=secret://default/alice/aws-key, B=secret:/alice/db#password",
                "secrets.apolo.us/launched-by": "bob",
                "secrets.apolo.us/launched-by-groups": "dev",
                "example.com/other": "a",
            }},
            "spec": {"serviceAccountName": "trainer", "schedulingGates": [{"name": "secrets.apolo.us/delivery"}]},
            "status": {"phase": "Pending"},
        });
        for (pointer, value) in fields.as_object().unwrap() {
            *pod.pointer_mut(pointer).unwrap() = value.clone();
        }
        let reader = Reader { cluster_name: "default".into(), table: Table::shipped().unwrap() };
        let (namespace, name, known) = reader.read(serde_json::from_value(pod).unwrap()).unwrap();
        assert_eq!((namespace.as_str(), name.as_str()), ("bob", "one"));
        known
    }

    #[test]
    fn of_a_pod_it_is_kept_what_it_asks_for_of_others_and_for_whom() {
        let pod = read(&json!({}));
        let sources: Vec<String> = pod.party.asked.iter().map(Asked::source).collect();
        assert_eq!(sources, ["alice/aws-key/aws-key", "alice/db/password"]);
        let names: Vec<&str> = pod.party.identities.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["bob", "system:serviceaccount:bob:trainer"]);
        assert!(pod.is_gated && !pod.is_finished && !pod.is_leaving && pod.version == 4);
        let refusal = pod.party.refusal(&pod.party.asked[1], "bob");
        assert!(
            refusal.starts_with("bob may not use secret:/alice/db in namespace bob: there is none, or"),
            "{refusal}"
        );
    }

    #[test]
    fn pods_of_one_workload_are_one_party() {
        let (one, other) = (read(&json!({})), read(&json!({"/metadata/uid": "v", "/status/phase": "Succeeded"})));
        assert_eq!(one.party, other.party);
        assert!(!one.is_finished && other.is_finished);
        let third = read(&json!({"/metadata/annotations/secrets.apolo.us~1launched-by": "carol"}));
        assert_ne!(one.party, third.party);
    }

    #[test]
    fn what_cannot_be_read_is_told_and_asks_for_nothing() {
        let pod = read(&json!({"/metadata/annotations/secrets.apolo.us~1env": "A=secret://other/alice/a"}));
        let mistakes = pod.party.mistakes.as_deref().unwrap();
        assert!(mistakes.contains("cluster \"other\" is not this one"), "{mistakes}");
        assert!(pod.party.asked.is_empty());
    }
}
