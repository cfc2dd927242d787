//! What becomes of what Pods ask for, told to them as Events: each once, until something else is told.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::PoisonError;

use k8s_openapi::api::core::v1::ObjectReference;

use super::Deliveries;
use super::ensure::{Ensured, Refusal};
use super::plan::{Asker, May};
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
        let refusals = asker.that(May::No).map(|asked| asker.party.refusal(asked, namespace));
        let note = refusals.chain(asker.party.mistakes.clone()).collect::<Vec<_>>().join("\n");
        self.tell_waiting(namespace, asker, "DeliveryRefused", "refused", &note);
    }

    /// That there is something that Pods may use, but not to be had.
    pub(super) fn tell_missing(&self, namespace: &str, asker: &Asker<'_>, ensured: &HashMap<String, Ensured>) {
        let is_missing: HashSet<&str> = asker.that(May::Missing).map(|asked| asked.copy.as_str()).collect();
        let (mut refused, mut missing) = (Vec::new(), Vec::new());
        for asked in &asker.party.asked {
            let Asked { reference, copy, entry, .. } = asked;
            match ensured.get(copy) {
                _ if is_missing.contains(copy.as_str()) => missing.push(format!("{reference} is not there yet")),
                Some(Ensured::NoSource) => missing.push(format!("{reference} is not there yet")),
                Some(Ensured::NoEntry) => missing.push(format!("{reference} has no entry \"{entry}\" yet")),
                Some(Ensured::Foreign) => refused.push(format!(
                    "Secret \"{copy}\" in namespace {namespace} is not one that apolo wrote; delete it, so that it can be: \
                     kubectl delete secret {copy} -n {namespace}"
                )),
                Some(Ensured::Refused(Refusal::Quota)) => refused.push(format!(
                    "{reference} cannot be copied to namespace {namespace}: a quota of this namespace is used up; \
                     see kubectl describe quota -n {namespace}"
                )),
                Some(Ensured::Refused(Refusal::Code(code))) => refused.push(format!(
                    "{reference} cannot be copied to namespace {namespace}: the API server refuses Secret \"{copy}\" \
                     (status {code}); ask who runs this cluster which policy or webhook does"
                )),
                Some(Ensured::There | Ensured::Leaving | Ensured::Conflict) | None => {}
            }
        }
        if !refused.is_empty() {
            self.tell_waiting(namespace, asker, "DeliveryRefused", "refused", &refused.join("\n"));
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
        let text = hash(reason, note);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let of_pods = told.entry(namespace.to_owned()).or_default();
        if of_pods.insert(pod.uid.clone(), text) == Some(text) {
            return false;
        }
        let about = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace: Some(namespace.into()),
            name: Some(name.into()),
            uid: Some(pod.uid.clone()),
            ..ObjectReference::default()
        };
        let is_told = self.events.tell(News::delivery(about, reason, note.to_owned(), warns));
        if !is_told {
            // So that it is told when the destination is looked at again.
            of_pods.remove(&pod.uid);
        }
        is_told
    }
}

/// Tells a text from others: a Pod is told for as long as it is there, so that the texts themselves would be most of what is kept of it.
fn hash(reason: &str, note: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (reason, note).hash(&mut hasher);
    hasher.finish()
}
