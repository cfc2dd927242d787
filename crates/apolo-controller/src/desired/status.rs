//! The status of a grant, from how it stands.

use apolo_api::grant::{READY, Reason, SecretGrant, SecretGrantStatus};
use apolo_core::names::GRANTED_VIA;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// How many names a message tells.
const MOST_NAMES: usize = 8;

/// Why a grant is in force, or is not.
pub(super) struct Standing {
    pub(super) reason: Reason,
    /// What the reason's sentence does not say; may be empty.
    pub(super) details: String,
    /// Whether it stays so until it is granted anew.
    pub(super) is_for_good: bool,
}

impl Standing {
    pub(super) fn of(reason: Reason) -> Self {
        Self { reason, details: String::new(), is_for_good: false }
    }
}

/// The names, quoted; of many only the first.
pub(super) fn listed(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(MOST_NAMES).map(|name| format!("\"{name}\"")).collect();
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

pub(super) fn status(
    grant: &SecretGrant,
    standing: &Standing,
    cluster_name: &str,
    now: Timestamp,
) -> SecretGrantStatus {
    let in_force = matches!(standing.reason, Reason::Granted | Reason::SecretNotFound);
    let owner = grant.namespace().unwrap_or_default();
    let uri = |key: &String| format!("secret://{cluster_name}/{owner}/{key}");
    SecretGrantStatus {
        observed_generation: grant.metadata.generation,
        conditions: vec![ready(grant, standing, now)],
        uris: if in_force { grant.spec.secrets.iter().map(uri).collect() } else { Vec::new() },
        expired: (standing.reason == Reason::Expired)
            .then(|| grant.spec.expires_at.as_ref().map(whole_seconds))
            .flatten(),
        withdrawn: standing.is_for_good.then(|| grant.annotations().get(GRANTED_VIA).cloned()).flatten(),
    }
}

/// As it is stored, so that what is stored is what should be.
fn whole_seconds(time: &Time) -> Time {
    Time(Timestamp::from_second(time.0.as_second()).unwrap_or(time.0))
}

fn ready(grant: &SecretGrant, Standing { reason, details, .. }: &Standing, now: Timestamp) -> Condition {
    let status = if reason.is_ready() { "True" } else { "False" };
    let conditions = grant.status.iter().flat_map(|status| &status.conditions);
    let before = conditions.filter(|condition| condition.type_ == READY).find(|it| it.status == status);
    let sentence = reason.sentence();
    Condition {
        type_: READY.into(),
        status: status.into(),
        reason: reason.to_string(),
        message: if details.is_empty() { sentence.into() } else { format!("{sentence}: {details}") },
        observed_generation: grant.metadata.generation,
        last_transition_time: before.map_or(Time(now), |condition| condition.last_transition_time.clone()),
    }
}
