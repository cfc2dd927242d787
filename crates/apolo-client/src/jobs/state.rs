//! In which state a Job is, in words, until its container has ended. Pure.

use std::fmt;

use apolo_core::mistake::Mistakes;
use apolo_core::names;
use apolo_core::pod::Pod as Asking;
use apolo_core::reference::Scope;
use apolo_core::request::Request;
use k8s_openapi::api::core::v1::{ContainerStateWaiting, Event};

use super::seen::Seen;
use crate::request;

/// In which state a Job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// A queue of the cluster holds it back.
    Suspended,
    /// It has no Pod yet; why not, where that is told.
    NoPod(Option<String>),
    /// Its Pod may not be seen.
    Unseen,
    /// Its Pod waits for secrets of other owners; what is told of them.
    Delivery(Option<String>),
    /// Its Pod waits for somebody else's gates.
    Gates(Vec<String>),
    /// Its Pod has no node yet; why not, where that is told.
    NoNode(Option<String>),
    /// Its image is pulled.
    Pulling(String),
    /// Its image cannot be had.
    Image {
        /// The image.
        image: String,
        /// Why, in kubelet's words.
        why: String,
        /// Whether trying again is of no use.
        is_final: bool,
    },
    /// Secrets that it asks for are not there.
    Secrets {
        /// What is told, a reference each.
        missing: Vec<String>,
        /// What mends it.
        mend: Option<String>,
    },
    /// Its container is about to begin; what is in the way, where that is told.
    Starting(Option<String>),
    /// Its container runs.
    Running,
    /// It is being stopped, because its time is over.
    TimeOver,
    /// It is being stopped.
    Leaving,
}

impl State {
    /// Whether it needs somebody to do something, or may.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::NoPod(why) | Self::Delivery(why) | Self::NoNode(why) | Self::Starting(why) => why.is_some(),
            Self::Unseen | Self::Image { .. } | Self::Secrets { .. } => true,
            Self::Suspended | Self::Gates(_) | Self::Pulling(_) | Self::Running | Self::TimeOver | Self::Leaving => {
                false
            }
        }
    }

    /// What mends it, where that is known.
    #[must_use]
    pub fn mend(&self) -> Option<&str> {
        match self {
            Self::Secrets { mend, .. } => mend.as_deref(),
            _ => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |formatter: &mut fmt::Formatter<'_>, what: &str, why: &Option<String>| match why {
            None => formatter.write_str(what),
            Some(why) => write!(formatter, "{what}: {why}"),
        };
        match self {
            Self::Suspended => formatter.write_str("waiting in a queue: the Job is suspended"),
            Self::NoPod(why) => told(formatter, "waiting for a Pod", why),
            Self::Unseen => formatter.write_str("you may not see its Pod: only what it prints and how it ends is told"),
            Self::Delivery(why) => told(formatter, "waiting for a shared secret", why),
            Self::Gates(gates) => write!(formatter, "waiting for {}", gates.join(", ")),
            Self::NoNode(why) => told(formatter, "waiting for a node", why),
            Self::Pulling(image) => write!(formatter, "pulling image {image}"),
            Self::Image { image, why, .. } => write!(formatter, "image {image} cannot be had: {why}"),
            Self::Secrets { missing, .. } => write!(formatter, "waiting for a secret: {}", missing.join("; ")),
            Self::Starting(why) => told(formatter, "starting", why),
            Self::Running => formatter.write_str("running"),
            Self::TimeOver => formatter.write_str("its time is over; it is being stopped"),
            Self::Leaving => formatter.write_str("it is being stopped"),
        }
    }
}

/// In which state a Job is, by what was seen of it.
pub(super) fn of(seen: &Seen, cluster: &str) -> State {
    let is_over = ["Failed", "FailureTarget"].iter().filter_map(|kind| seen.job_condition(kind));
    if is_over.into_iter().any(|(reason, _)| reason == "DeadlineExceeded") {
        return State::TimeOver;
    }
    let Some(pod) = &seen.pod else {
        if seen.is_unseen {
            return State::Unseen;
        }
        let is_suspended = seen.job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true));
        return if is_suspended { State::Suspended } else { State::NoPod(not_created(seen)) };
    };
    if seen.is_pod_leaving() {
        return State::Leaving;
    }
    if seen.has_begun() {
        return State::Running;
    }
    let spec = pod.spec.as_ref();
    let gates: Vec<&str> =
        spec.iter().flat_map(|spec| spec.scheduling_gates.iter().flatten()).map(|it| &*it.name).collect();
    if gates.contains(&names::DELIVERY_GATE) {
        return State::Delivery(seen.pod_event(&["DeliveryRefused", "SourceMissing"]).map(words));
    }
    if !gates.is_empty() {
        return State::Gates(gates.into_iter().map(str::to_owned).collect());
    }
    if spec.is_none_or(|spec| spec.node_name.as_ref().is_none_or(String::is_empty)) {
        return State::NoNode(unschedulable(seen));
    }
    match seen.container_state().and_then(|state| state.waiting.as_ref()) {
        Some(waiting) => waits(seen, waiting, cluster),
        None => State::Starting(None),
    }
}

/// Why the Job has no Pod: a quota, or a hook's refusal.
fn not_created(seen: &Seen) -> Option<String> {
    let told = words(seen.job_event(&["FailedCreate"])?);
    let told = told.strip_prefix("Error creating: ").unwrap_or(&told);
    Some(request::told(told))
}

fn unschedulable(seen: &Seen) -> Option<String> {
    let conditions = seen.pod.as_ref()?.status.as_ref()?.conditions.as_ref()?;
    let condition =
        conditions.iter().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    condition.message.as_deref().map(first_sentence)
}

/// The scheduler tells in more sentences what it has thought of.
fn first_sentence(text: &str) -> String {
    text.split(". ").next().unwrap_or(text).trim_end_matches('.').to_owned()
}

/// A container that waits on its node.
fn waits(seen: &Seen, waiting: &ContainerStateWaiting, cluster: &str) -> State {
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let message = waiting.message.as_deref().unwrap_or_default();
    match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => {
            State::Image { image: image(seen), why: why_no_image(message), is_final: false }
        }
        "InvalidImageName" | "ErrImageNeverPull" => {
            State::Image { image: image(seen), why: why_no_image(message), is_final: true }
        }
        "CreateContainerConfigError" | "CreateContainerError" => missing(seen, message, cluster),
        _ => match seen.pod_event(&["FailedMount", "Pulling", "Pulled", "FailedCreatePodSandBox"]) {
            Some(event) if event.reason.as_deref() == Some("Pulling") => State::Pulling(image(seen)),
            Some(event) if event.reason.as_deref() != Some("Pulled") => missing(seen, &words(event), cluster),
            _ => State::Starting(None),
        },
    }
}

fn image(seen: &Seen) -> String {
    seen.container().map(|status| status.image.clone()).unwrap_or_default()
}

/// Kubelet tells the same twice, the second time as what it waits after.
fn why_no_image(message: &str) -> String {
    let why = match message.strip_prefix("Back-off pulling image ") {
        Some(behind) => behind.split_once(": ").map_or(message, |(_, why)| why),
        None => message,
    };
    why.strip_prefix("ErrImagePull: ").unwrap_or(why).trim().to_owned()
}

/// Which of the secrets that the Pod asks for are not there, where kubelet's words are about that.
fn missing(seen: &Seen, message: &str, cluster: &str) -> State {
    let template = seen.job.spec.as_ref().map(|spec| &spec.template);
    let template = serde_json::to_string(&template).unwrap_or_default();
    let pod: Asking<'_> = serde_json::from_str(&template).unwrap_or_default();
    let scope = Scope { cluster, namespace: seen.job.metadata.namespace.as_deref() };
    let request = Request::read(&pod, scope, &mut Mistakes::default());
    let mut missing: Vec<String> = Vec::new();
    let mut mend = None;
    for asked in request.asked() {
        let (reference, object, entry) = (asked.reference, &asked.source.secret, asked.source.entry);
        let told = if message.contains(&format!("secret \"{object}\" not found")) {
            format!("{reference} is not there")
        } else if lacks_entry(message, object, entry) {
            format!("{reference} has no entry \"{entry}\"")
        } else {
            continue;
        };
        let own = asked.source.owner.is_none().then(|| format!("apolo secret add {}", asked.source.key));
        mend = mend.or(own);
        if !missing.contains(&told) {
            missing.push(told);
        }
    }
    if missing.is_empty() { State::Starting(Some(message.to_owned())) } else { State::Secrets { missing, mend } }
}

/// In kubelet's words about a variable, or about a file.
fn lacks_entry(message: &str, object: &str, entry: &str) -> bool {
    let of_variable = message.contains(&format!("couldn't find key {entry} in Secret"))
        && message.trim_end().ends_with(&format!("/{object}"));
    let of_file = message.trim_end().ends_with(&format!("references non-existent secret key: {entry}"));
    of_variable || of_file
}

fn words(event: &Event) -> String {
    event.message.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::watched::Change;
    use super::*;
    use serde_json::{Value, json};

    fn job() -> Value {
        json!({
            "metadata": {"name": "train", "namespace": "bob", "uid": "j"},
            "spec": {"template": {"metadata": {"annotations": {
                "secrets.apolo.us/env": "A=secret:a\nB=secret:db#password",
                "secrets.apolo.us/volume": "secret:/alice/key:/key",
            }}}},
        })
    }

    fn seen(pod: &Value, events: &[(&str, &str, &str)]) -> Seen {
        let mut seen = Seen::of(serde_json::from_value(job()).unwrap());
        if !pod.is_null() {
            let mut whole = json!({"metadata": {"uid": "p", "ownerReferences": [{"uid": "j", "apiVersion": "", "kind": "", "name": ""}]}});
            json_patch::merge(&mut whole, pod);
            seen.take_pods(Change::There(serde_json::from_value(whole).unwrap()));
        }
        for (number, (about, reason, message)) in events.iter().enumerate() {
            let event = json!({
                "metadata": {"uid": number.to_string()},
                "involvedObject": {"uid": about},
                "reason": reason,
                "message": message,
                "lastTimestamp": format!("2026-01-01T00:00:{number:02}Z"),
            });
            seen.take_events(Change::There(serde_json::from_value(event).unwrap()));
        }
        seen
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({
            "spec": {"nodeName": "n", "containers": []},
            "status": {"containerStatuses": [{
                "name": "main", "image": "ubuntu:24.04", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": reason, "message": message}},
            }]},
        })
    }

    #[test]
    fn what_it_waits_for_is_told_in_words() {
        let gate = |name: &str| json!({"spec": {"containers": [], "schedulingGates": [{"name": name}]}});
        let back_off = "Back-off pulling image \"ubuntu:24.04\": ErrImagePull: no such host";
        let unscheduled = json!({"spec": {"containers": []}, "status": {"conditions": [{"type": "PodScheduled", "status": "False",
            "message": "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1"}]}});
        let mount = |why: &str| format!("MountVolume.SetUp failed for volume \"apolo-secrets\" : {why}");
        let not_found = mount("secret \"a\" not found");
        let no_entry = mount("references non-existent secret key: password");
        let creating = || waiting("ContainerCreating", "");
        for (pod, events, told) in [
            (json!(null), vec![], "waiting for a Pod"),
            (
                json!(null),
                vec![("j", "FailedCreate", "Error creating: pods \"train-\" is forbidden: exceeded quota: q")],
                "waiting for a Pod: pods \"train-\" is forbidden: exceeded quota: q",
            ),
            (
                json!(null),
                vec![(
                    "j",
                    "FailedCreate",
                    "Error creating: admission webhook \"pods.secrets.apolo.us\" denied the request: bob may not",
                )],
                "waiting for a Pod: bob may not",
            ),
            (gate("secrets.apolo.us/delivery"), vec![], "waiting for a shared secret"),
            (
                gate("secrets.apolo.us/delivery"),
                vec![("p", "SourceMissing", "secret:/alice/key is not there yet")],
                "waiting for a shared secret: secret:/alice/key is not there yet",
            ),
            (gate("example.com/quota"), vec![], "waiting for example.com/quota"),
            (json!({"spec": {"containers": []}}), vec![], "waiting for a node"),
            (unscheduled, vec![], "waiting for a node: 0/1 nodes are available: 1 Insufficient cpu"),
            (creating(), vec![("p", "Pulling", "Pulling image")], "pulling image ubuntu:24.04"),
            (creating(), vec![("p", "Pulling", "Pulling image"), ("p", "Pulled", "")], "starting"),
            (creating(), vec![("other", "Pulling", "Pulling image")], "starting"),
            (waiting("ErrImagePull", "no such host"), vec![], "image ubuntu:24.04 cannot be had: no such host"),
            (waiting("ImagePullBackOff", back_off), vec![], "image ubuntu:24.04 cannot be had: no such host"),
            (
                waiting("CreateContainerConfigError", "secret \"a\" not found"),
                vec![],
                "waiting for a secret: secret:a is not there",
            ),
            (
                waiting("CreateContainerConfigError", "couldn't find key password in Secret bob/db"),
                vec![],
                "waiting for a secret: secret:db#password has no entry \"password\"",
            ),
            (creating(), vec![("p", "FailedMount", &not_found)], "waiting for a secret: secret:a is not there"),
            (
                creating(),
                vec![("p", "FailedMount", &no_entry)],
                "waiting for a secret: secret:db#password has no entry \"password\"",
            ),
            (creating(), vec![("p", "FailedMount", "timed out")], "starting: timed out"),
        ] {
            assert_eq!(of(&seen(&pod, &events), "default").to_string(), told);
        }
    }

    #[test]
    fn what_mends_a_missing_secret_is_told_only_of_the_own_namespace() {
        let state = of(&seen(&waiting("CreateContainerConfigError", "secret \"a\" not found"), &[]), "default");
        assert_eq!(state.mend(), Some("apolo secret add a"));
        let copy = apolo_core::delivery::name("alice", "key", "key");
        let state =
            of(&seen(&waiting("CreateContainerConfigError", &format!("secret \"{copy}\" not found")), &[]), "default");
        assert_eq!(state.to_string(), "waiting for a secret: secret:/alice/key is not there");
        assert_eq!(state.mend(), None);
    }
}
