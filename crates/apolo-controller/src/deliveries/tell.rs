//! What becomes of what Pods ask for, told to them as Events: each once, until something else is told.

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;

use k8s_openapi::api::core::v1::ObjectReference;

use super::Deliveries;
use super::ensure::Ensured;
use super::plan::Asker;
use crate::events::News;
use crate::store::{Asked, Destination, KnownPod};

impl Deliveries {
    /// That a Pod has what it asked for.
    pub(super) fn tell_delivered(&self, namespace: &str, name: &str, pod: &KnownPod, asker: &Asker<'_>) {
        let references: Vec<&str> = asker.party.asked.iter().map(|asked| asked.reference.as_str()).collect();
        let note = match references.as_slice() {
            [] => "the Pod asks for nothing of others".to_owned(),
            [one] => format!("{one} is there for the Pod"),
            all => format!("{} are there for the Pod", all.join(", ")),
        };
        self.metrics.delivery("delivered");
        self.tell(namespace, (name, pod), "Delivered", &note, false);
    }

    /// That Pods may not use what they ask for.
    pub(super) fn tell_refused(&self, namespace: &str, asker: &Asker<'_>) {
        let refused = asker.party.asked.iter().zip(&asker.may).filter(|(_, may)| !**may);
        let refusals = refused.map(|(asked, _)| asker.party.refusal(asked, namespace));
        let note = refusals.chain(asker.party.mistakes.clone()).collect::<Vec<_>>().join("\n");
        self.tell_waiting(namespace, asker, "DeliveryRefused", "refused", &note);
    }

    /// That there is something that Pods may use, but not to be had.
    pub(super) fn tell_missing(&self, namespace: &str, asker: &Asker<'_>, ensured: &HashMap<String, Ensured>) {
        let of = |asked: &Asked| ensured.get(&asked.copy);
        let foreign = |asked: &&Asked| of(asked) == Some(&Ensured::Foreign);
        let foreign = asker.party.asked.iter().filter(foreign).map(|Asked { copy, .. }| {
            format!(
                "Secret \"{copy}\" in namespace {namespace} is not one that apolo wrote; delete it, so that it can be: \
                 kubectl delete secret {copy} -n {namespace}"
            )
        });
        let missing = asker.party.asked.iter().filter_map(|asked| match of(asked) {
            Some(Ensured::NoSource) => Some(format!("{} is not there yet", asked.reference)),
            Some(Ensured::NoEntry) => Some(format!("{} has no entry \"{}\" yet", asked.reference, asked.entry)),
            _ => None,
        });
        let (foreign, missing): (Vec<String>, Vec<String>) = (foreign.collect(), missing.collect());
        if !foreign.is_empty() {
            self.tell_waiting(namespace, asker, "DeliveryRefused", "refused", &foreign.join("\n"));
        } else if !missing.is_empty() {
            self.tell_waiting(namespace, asker, "SourceMissing", "missing", &missing.join("\n"));
        }
    }

    /// Forgets what was told of Pods that are there no more.
    pub(super) fn forget(&self, namespace: &str, seen: &Destination) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_pods) = told.get_mut(namespace) else { return };
        let there: HashSet<&str> = seen.parties.values().flatten().map(|(_, pod)| pod.uid.as_str()).collect();
        of_pods.retain(|uid, _| there.contains(uid.as_str()));
        if of_pods.is_empty() {
            told.remove(namespace);
        }
    }

    fn tell_waiting(&self, namespace: &str, asker: &Asker<'_>, reason: &str, outcome: &'static str, note: &str) {
        for pod in asker.waiting() {
            if self.tell(namespace, pod, reason, note, true) {
                self.metrics.delivery(outcome);
                tracing::info!(namespace, pod = pod.0, reason, why = note, "a Pod waits for its secrets");
            }
        }
    }

    /// Whether it had not been told yet.
    fn tell(&self, namespace: &str, (name, pod): (&str, &KnownPod), reason: &str, note: &str, warns: bool) -> bool {
        let text = format!("{reason}: {note}");
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let of_pods = told.entry(namespace.to_owned()).or_default();
        if of_pods.get(&pod.uid) == Some(&text) {
            return false;
        }
        of_pods.insert(pod.uid.clone(), text);
        let about = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace: Some(namespace.into()),
            name: Some(name.into()),
            uid: Some(pod.uid.clone()),
            ..ObjectReference::default()
        };
        self.events.tell(News::delivery(about, reason, note.to_owned(), warns));
        true
    }
}
