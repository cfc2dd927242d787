//! The two hooks for Pods. The mutating one shapes, stamps, tells mistakes and asks nobody; the validating one decides on the
//! Pod as other webhooks left it.

use std::collections::BTreeSet;

use apolo_core::access;
use apolo_core::launcher::{self, Launcher};
use apolo_core::patch::{Patch, PatchError};
use apolo_core::pod::Pod;
use apolo_core::reference::Scope;
use apolo_core::stamp::Stamp;
use apolo_core::targets::Targets;
use apolo_core::text::shortened;

use crate::Webhook;
use crate::admission::{self, Answer, Verdict};
use crate::shared;
use crate::unknown::in_time;

type AdmissionRequest<'a> = admission::AdmissionRequest<'a, Pod<'a>>;

/// Decides a request to `/pods/mutate`: a Pod on CREATE gets what it asks for, and the stamp of who launched it.
#[must_use]
pub fn mutate(asked: &AdmissionRequest<'_>, webhook: &Webhook) -> Verdict {
    let Some((pod, namespace)) = created_pod(asked) else {
        return asked.misdirected("/pods/mutate takes pods on CREATE");
    };
    let targets = match Targets::read(pod, Scope { cluster: &webhook.cluster_name, namespace: Some(namespace) }) {
        Ok(targets) => targets,
        Err(mistakes) => return Verdict::Mistaken(mistakes),
    };
    let stamp = launcher::stamp(&asked.user_info.requester(), &pod.metadata, &webhook.table);
    match Patch::of(pod, &targets, stamp.as_ref()) {
        Ok(patch) if patch.is_empty() => Verdict::Allowed,
        Ok(patch) => Verdict::Patched { operations: patch.len(), patch: patch.into_json() },
        Err(error) => unpatchable(&error),
    }
}

/// Decides a request to `/pods/validate`: a Pod on CREATE, or when a debug container comes. Whoever creates one is warned.
///
/// `named` are the deliveries that its spec names.
pub async fn validate(asked: &AdmissionRequest<'_>, named: &BTreeSet<String>, webhook: &Webhook) -> Answer {
    let (pod, namespace, stage) = match (created_pod(asked), debugged_pod(asked)) {
        (Some((pod, namespace)), _) => (pod, namespace, Stage::Created),
        (_, Some((pod, namespace))) => (pod, namespace, Stage::Debugged),
        _ => {
            return asked
                .misdirected("/pods/validate takes pods on CREATE and pods/ephemeralcontainers on UPDATE")
                .into();
        }
    };
    let stamp = match stage {
        Stage::Created => launcher::stamp(&asked.user_info.requester(), &pod.metadata, &webhook.table),
        // It is fixed since the Pod was created.
        Stage::Debugged => Stamp::read(&pod.metadata.annotations),
    };
    let targets = match Targets::read(pod, Scope { cluster: &webhook.cluster_name, namespace: Some(namespace) }) {
        Ok(targets) => targets,
        Err(mistakes) => return Verdict::Mistaken(mistakes).into(),
    };
    let submission = Submission { pod, namespace, stamp: stamp.as_ref(), stage, targets, webhook };
    Answer::new(submission.decide(named).await, || submission.warnings(&asked.user_info.username))
}

/// When a Pod is decided.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// At its creation, after all mutating webhooks.
    Created,
    /// When a debug container is added to it; what it has can no more change then.
    Debugged,
}

/// A Pod without mistakes, and the stamp that it should bear.
struct Submission<'a> {
    pod: &'a Pod<'a>,
    namespace: &'a str,
    stamp: Option<&'a Stamp>,
    stage: Stage,
    targets: Targets<'a>,
    webhook: &'a Webhook,
}

impl Submission<'_> {
    async fn decide(&self, named: &BTreeSet<String>) -> Verdict {
        let Self { pod, namespace, stamp, stage, ref targets, webhook } = *self;
        let asked_for = |name: &&String| targets.request.asked().any(|asked| asked.source.secret == name.as_str());
        let unasked: Vec<String> = named
            .iter()
            .filter(|name| !asked_for(name))
            .map(|name| format!("the Pod names {}, which its annotations do not ask for", shortened(name)))
            .collect();
        if !unasked.is_empty() {
            return Verdict::Refused(unasked.join("\n"));
        }
        match Patch::of(pod, targets, stamp) {
            Ok(patch) if stage == Stage::Created && !patch.is_empty() => {
                return Verdict::Refused(format!(
                    "the Pod lacks {patch}, which its annotations ask for: apolo's mutating webhook did not see it, or another \
                     one changed it afterwards; ask who runs the cluster to look at its mutating webhooks"
                ));
            }
            Ok(_) => {}
            Err(error) => return unpatchable(&error),
        }
        let launcher = Launcher::of(stamp, pod, namespace, &webhook.table);
        let subject = launcher.subject();
        let questions = access::questions(&targets.request, &subject, namespace);
        // A Pod that uses the secrets of its own namespace asks nobody: that is Kubernetes' own rule.
        if questions.is_empty() {
            return Verdict::Allowed;
        }
        in_time("the Pod may use secrets of other owners", async {
            let refusals: Vec<String> =
                shared::refused(&questions, &launcher, webhook).await?.iter().map(ToString::to_string).collect();
            Ok(if refusals.is_empty() { Verdict::Allowed } else { Verdict::Refused(refusals.join("\n")) })
        })
        .await
    }

    /// What whoever creates it is warned of. Of what a controller creates nobody reads any.
    fn warnings(&self, creator: &str) -> Vec<String> {
        let request = &self.targets.request;
        if self.stage != Stage::Created || request.is_empty() || self.webhook.table.is_creator(creator) {
            return Vec::new();
        }
        self.webhook.catalogs.warnings(self.namespace, |warnings| warnings.look_at(request))
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
