//! How a Job has ended. Pure.

use std::fmt;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};

use super::seen::Seen;

/// How a Job has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Its container has ended with this exit code; why it was killed, where that is told.
    Exited {
        /// The code.
        code: i32,
        /// Such as `out of memory`.
        killed: Option<String>,
    },
    /// Its container could not be begun, in the words of the node.
    NotStarted(String),
    /// Its time was over.
    TimeOver,
    /// Its node has put its Pod out, or not taken it, in its words.
    Evicted(String),
    /// Somebody has deleted its Pod; who, where that is told.
    PodDeleted(Option<String>),
    /// Somebody has deleted it.
    Deleted,
    /// It is told that it has succeeded, and no more may be seen.
    Succeeded,
    /// It is told that it has failed, in these words, and no more may be seen.
    Failed(String),
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code, killed: None } => write!(formatter, "it has ended with exit code {code}"),
            Self::Exited { code, killed: Some(why) } => {
                write!(formatter, "it was killed, {why}, and has ended with exit code {code}")
            }
            Self::NotStarted(why) => write!(formatter, "its container cannot be started: {why}"),
            Self::TimeOver => formatter.write_str("its time is over, and it was stopped"),
            Self::Evicted(why) => write!(formatter, "its node does not keep its Pod: {why}"),
            Self::PodDeleted(None) => formatter.write_str("its Pod was deleted"),
            Self::PodDeleted(Some(why)) => write!(formatter, "its Pod was deleted: {why}"),
            Self::Deleted => formatter.write_str("it was deleted"),
            Self::Succeeded => formatter.write_str("it has succeeded"),
            Self::Failed(why) => write!(formatter, "it has failed: {why}"),
        }
    }
}

/// How it has ended, if it has, by what was seen of it.
///
/// A Pod that is being deleted may say that its container was killed before the Job says why: then the Job's word is waited for.
pub(super) fn of(seen: &Seen) -> Option<End> {
    if seen.is_deleted {
        return Some(End::Deleted);
    }
    let failed = seen.job_condition("Failed");
    if failed.is_some_and(|(reason, _)| reason == "DeadlineExceeded") {
        return Some(End::TimeOver);
    }
    let is_marked = seen.job_condition("FailureTarget").is_some_and(|(reason, _)| reason == "DeadlineExceeded");
    match &seen.pod {
        Some(_) if is_marked => None,
        Some(pod) if !seen.is_pod_leaving() => of_pod(seen, pod),
        Some(pod) if failed.is_some() => Some(End::PodDeleted(disrupted(pod))),
        Some(_) if seen.job_condition("Complete").is_some() => Some(of_terminated(seen).unwrap_or(End::Succeeded)),
        Some(_) => None,
        // The Pod is told of a moment later than the Job, or never.
        None if !seen.is_blind && failed.is_none_or(|(reason, _)| reason == "BackoffLimitExceeded") => None,
        None if seen.job_condition("Complete").is_some() => Some(End::Succeeded),
        None => failed.map(|(_, message)| End::Failed(message.to_owned())),
    }
}

fn of_pod(seen: &Seen, pod: &Pod) -> Option<End> {
    let status = pod.status.as_ref()?;
    if let Some(reason) = status.reason.as_deref().filter(|_| status.phase.as_deref() == Some("Failed")) {
        let why = status.message.as_deref().map(str::trim).filter(|message| !message.is_empty()).unwrap_or(reason);
        return Some(End::Evicted(why.to_owned()));
    }
    of_terminated(seen)
}

fn of_terminated(seen: &Seen) -> Option<End> {
    Some(ended(seen.container_state()?.terminated.as_ref()?))
}

fn ended(terminated: &ContainerStateTerminated) -> End {
    let message = terminated.message.as_deref().unwrap_or_default().trim();
    match terminated.reason.as_deref() {
        Some("StartError" | "ContainerCannotRun") => End::NotStarted(message.to_owned()),
        Some("OOMKilled") => End::Exited { code: terminated.exit_code, killed: Some("out of memory".to_owned()) },
        _ => End::Exited { code: terminated.exit_code, killed: None },
    }
}

/// Why Kubernetes itself has deleted a Pod.
///
/// Source: <https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions>
fn disrupted(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "DisruptionTarget")?.message.clone()
}

#[cfg(test)]
mod tests {
    use super::super::watched::Change;
    use super::*;
    use serde_json::{Value, json};

    fn seen(conditions: &Value, pod: &Value) -> Seen {
        let job = json!({"metadata": {"uid": "j"}, "status": {"conditions": conditions}});
        let mut seen = Seen::of(serde_json::from_value(job).unwrap());
        if !pod.is_null() {
            let mut whole = json!({"metadata": {"uid": "p", "ownerReferences": [{"uid": "j", "apiVersion": "", "kind": "", "name": ""}]}});
            json_patch::merge(&mut whole, pod);
            seen.take_pods(Change::There(serde_json::from_value(whole).unwrap()));
        }
        seen
    }

    fn terminated(state: &Value) -> Value {
        json!({"containerStatuses": [{"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": state}}]})
    }

    #[test]
    fn an_end_is_told_apart_from_others() {
        let condition = |kind: &str, reason: &str| json!([{"type": kind, "status": "True", "reason": reason}]);
        let leaving =
            |status: Value| json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": status});
        let killed = || terminated(&json!({"exitCode": 137}));
        let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"});
        for (conditions, pod, end) in [
            (json!([]), json!(null), None),
            (json!([]), json!({"status": killed()}), Some(End::Exited { code: 137, killed: None })),
            (
                json!([]),
                json!({"status": terminated(&json!({"exitCode": 128, "reason": "StartError", "message": "no \"x\""}))}),
                Some(End::NotStarted("no \"x\"".into())),
            ),
            (
                json!([]),
                json!({"status": terminated(&json!({"exitCode": 137, "reason": "OOMKilled"}))}),
                Some(End::Exited { code: 137, killed: Some("out of memory".into()) }),
            ),
            (json!([]), leaving(killed()), None),
            (condition("FailureTarget", "DeadlineExceeded"), leaving(killed()), None),
            (condition("Failed", "DeadlineExceeded"), leaving(killed()), Some(End::TimeOver)),
            (condition("Failed", "BackoffLimitExceeded"), leaving(killed()), Some(End::PodDeleted(None))),
            (condition("Failed", "DeadlineExceeded"), json!(null), Some(End::TimeOver)),
            (json!([]), json!({"status": evicted}), Some(End::Evicted("low on memory".into()))),
            (condition("Complete", ""), json!(null), None),
        ] {
            assert_eq!(of(&seen(&conditions, &pod)), end);
        }
    }

    #[test]
    fn where_the_pod_may_not_be_seen_the_job_tells() {
        let blind = |conditions: &Value| {
            let mut seen = seen(conditions, &json!(null));
            seen.is_blind = true;
            of(&seen)
        };
        assert_eq!(blind(&json!([{"type": "Complete", "status": "True"}])), Some(End::Succeeded));
        let failed = json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}]);
        assert_eq!(blind(&failed), Some(End::Failed("m".into())));
    }
}
