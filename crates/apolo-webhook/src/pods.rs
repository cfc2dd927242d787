//! The two hooks for Pods. The mutating one shapes, tells mistakes and asks nobody; the validating one decides on the
//! Pod as other webhooks left it.

use apolo_core::access::{self, Question};
use apolo_core::launcher::launcher;
use apolo_core::patch::{Patch, PatchError};
use apolo_core::pod::Pod;
use apolo_core::reference::Scope;
use apolo_core::targets::Targets;

use crate::Webhook;
use crate::admission::{self, Verdict};

type AdmissionRequest<'a> = admission::AdmissionRequest<'a, Pod<'a>>;

/// Decides a request to `/pods/mutate`: a Pod on CREATE gets what it asks for.
#[must_use]
pub fn mutate(asked: &AdmissionRequest<'_>, webhook: &Webhook) -> Verdict {
    match created_pod(asked) {
        Some((pod, namespace)) => shape(pod, Scope { cluster: &webhook.cluster_name, namespace: Some(namespace) }),
        None => asked.misdirected("/pods/mutate takes pods on CREATE"),
    }
}

/// Decides a request to `/pods/validate`: a Pod on CREATE, or when a debug container comes.
#[must_use]
pub fn validate(asked: &AdmissionRequest<'_>, webhook: &Webhook) -> Verdict {
    let (user, cluster) = (&asked.user_info.username, &webhook.cluster_name);
    if let Some((pod, namespace)) = created_pod(asked) {
        decide(pod, user, cluster, namespace, Stage::Created)
    } else if let Some((pod, namespace)) = debugged_pod(asked) {
        decide(pod, user, cluster, namespace, Stage::Debugged)
    } else {
        asked.misdirected("/pods/validate takes pods on CREATE and pods/ephemeralcontainers on UPDATE")
    }
}

/// When a Pod is decided.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// At its creation, after all mutating webhooks.
    Created,
    /// When a debug container is added to it; what it has can no more change then.
    Debugged,
}

fn shape(pod: &Pod<'_>, scope: Scope<'_>) -> Verdict {
    let targets = match Targets::read(pod, scope) {
        Ok(targets) => targets,
        Err(mistakes) => return Verdict::Mistaken(mistakes),
    };
    match Patch::of(pod, &targets) {
        Ok(patch) if patch.is_empty() => Verdict::Allowed,
        Ok(patch) => Verdict::Patched { operations: patch.len(), patch: patch.into_json() },
        Err(error) => unpatchable(&error),
    }
}

fn decide(pod: &Pod<'_>, user: &str, cluster: &str, namespace: &str, stage: Stage) -> Verdict {
    let targets = match Targets::read(pod, Scope { cluster, namespace: Some(namespace) }) {
        Ok(targets) => targets,
        Err(mistakes) => return Verdict::Mistaken(mistakes),
    };
    let launcher = launcher(user, pod, namespace);
    let questions = access::questions(&targets.request, &launcher, namespace);
    // Nothing is shared with anybody yet: no is the answer to every question.
    if !questions.is_empty() {
        let refusals: Vec<String> = questions.iter().map(Question::to_string).collect();
        return Verdict::Refused(refusals.join("\n"));
    }
    match Patch::of(pod, &targets) {
        Ok(patch) if stage == Stage::Created && !patch.is_empty() => Verdict::Refused(format!(
            "the Pod lacks {patch}, which its annotations ask for: apolo's mutating webhook did not see it, or another \
             one changed it afterwards; ask who runs the cluster to look at its mutating webhooks"
        )),
        Ok(_) => Verdict::Allowed,
        Err(error) => unpatchable(&error),
    }
}

fn unpatchable(error: &PatchError) -> Verdict {
    Verdict::Refused(format!("what the Pod asks for cannot be added to it: {error}"))
}

fn created_pod<'a>(asked: &'a AdmissionRequest<'a>) -> Option<(&'a Pod<'a>, &'a str)> {
    is(asked, "CREATE", "")
}

fn debugged_pod<'a>(asked: &'a AdmissionRequest<'a>) -> Option<(&'a Pod<'a>, &'a str)> {
    is(asked, "UPDATE", "ephemeralcontainers")
}

/// The Pod and its namespace, if the request is that operation on that resource.
fn is<'a>(asked: &'a AdmissionRequest<'a>, operation: &str, sub_resource: &str) -> Option<(&'a Pod<'a>, &'a str)> {
    let resource = &asked.resource;
    let pods = resource.group.is_empty() && &*resource.version == "v1" && &*resource.resource == "pods";
    let right = pods && &*asked.operation == operation && asked.sub_resource.as_deref().unwrap_or("") == sub_resource;
    let namespace = asked.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    asked.object.as_ref().filter(|_| right).zip(namespace)
}
