//! What a namespace shares: its grants, a line for each of their secrets.

use apolo_api::access::Access;
use apolo_api::grant::{READY, Reason, SecretGrant};
use apolo_api::lineage;
use apolo_core::names::GRANTED_BY;
use apolo_core::subject::Subject;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::connection::Connection;
use crate::namespaces::{self, Seen};
use crate::request::{RequestError, doing};
use crate::service::ServiceError;

/// How many are asked for at a time, as kubectl does.
const CHUNK: u32 = 500;

/// A secret that a grant shares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SharedGrant {
    /// The key.
    pub key: String,
    /// The name of the grant.
    pub grant: String,
    /// What the subjects may do with it.
    pub access: Access,
    /// With whom it is shared.
    pub subjects: Vec<Subject>,
    /// The namespaces where their jobs may use it.
    pub namespaces: Vec<String>,
    /// Who granted it.
    pub by: Option<Subject>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Whether it is in force.
    pub state: State,
}

/// Whether a secret is shared by a grant now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display)]
pub enum State {
    /// It is.
    #[strum(to_string = "in force")]
    InForce,
    /// Nobody has looked at the grant yet.
    #[strum(to_string = "not yet in force")]
    NotYet,
    /// There is no such secret.
    #[strum(to_string = "secret not there")]
    SecretNotThere,
    /// It has ended.
    #[strum(to_string = "expired")]
    Expired,
    /// Whoever granted it may not share it any more.
    #[strum(to_string = "withdrawn")]
    Withdrawn,
    /// The cluster does not allow that much.
    #[strum(to_string = "not allowed")]
    NotAllowed,
    /// Something else bears the name of what the controller would make.
    #[strum(to_string = "name taken")]
    NameTaken,
}

/// Lists what a namespace shares, by key.
///
/// # Errors
/// Where the grants may not be listed, or there are none of that kind.
pub async fn list(connection: &Connection, namespace: &str) -> Result<Vec<SharedGrant>, ServiceError> {
    let now = Timestamp::now();
    let grants = match all(connection, namespace).await {
        Ok(grants) => grants,
        Err(error) => return Err(ServiceError::within(namespace, error, connection).await),
    };
    if grants.is_empty() && namespaces::look(connection, namespace).await == Seen::NotThere {
        return Err(ServiceError::NoNamespace(namespace.to_owned()));
    }
    let mut shared: Vec<SharedGrant> = grants.iter().flat_map(|grant| SharedGrant::of(grant, now)).collect();
    shared.sort_unstable();
    Ok(shared)
}

/// All grants of a namespace.
pub(super) async fn all(connection: &Connection, namespace: &str) -> Result<Vec<SecretGrant>, RequestError> {
    let grants = super::api(connection, namespace);
    let mut params = ListParams::default().limit(CHUNK);
    let mut found = Vec::new();
    loop {
        let chunk = grants.list(&params).await;
        let chunk = chunk.map_err(doing(|| format!("listing the grants of namespace {namespace}")))?;
        found.extend(chunk.items);
        params.continue_token = chunk.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(found);
        }
    }
}

impl SharedGrant {
    /// What a grant shares, a secret each.
    #[must_use]
    pub fn of(grant: &SecretGrant, now: Timestamp) -> Vec<Self> {
        let spec = &grant.spec;
        let subjects: Vec<Subject> =
            spec.subjects.iter().filter_map(|subject| Subject::try_from(subject).ok()).collect();
        let of_secret = |key: &String| Self {
            key: key.clone(),
            grant: grant.name_any(),
            access: spec.access,
            subjects: subjects.clone(),
            namespaces: spec.destinations().into_iter().map(str::to_owned).collect(),
            by: grant.annotations().get(GRANTED_BY).map(|by| Subject::of_user_name(by)),
            expires_at: spec.expires_at.as_ref().map(|time| time.0),
            state: State::of(grant, key, now),
        };
        spec.secrets.iter().map(of_secret).collect()
    }
}

impl State {
    /// How a grant stands for one of its secrets.
    fn of(grant: &SecretGrant, key: &str, now: Timestamp) -> Self {
        if lineage::has_expired(grant, now) {
            return Self::Expired;
        }
        let status = grant.status.as_ref();
        let ready = status.and_then(|it| it.conditions.iter().find(|condition| condition.type_ == READY));
        let is_of_now = status.is_some_and(|it| it.observed_generation == grant.metadata.generation);
        let Some(ready) = ready.filter(|_| is_of_now) else { return Self::NotYet };
        match ready.reason.parse() {
            Ok(Reason::Granted) => Self::InForce,
            // Those that are not there are named.
            Ok(Reason::SecretNotFound)
                if grant.spec.secrets.len() == 1 || ready.message.contains(&format!("{key:?}")) =>
            {
                Self::SecretNotThere
            }
            Ok(Reason::SecretNotFound) => Self::InForce,
            Ok(Reason::Expired) => Self::Expired,
            Ok(Reason::Withdrawn) => Self::Withdrawn,
            Ok(Reason::AccessNotAllowed) => Self::NotAllowed,
            Ok(Reason::NameConflict) => Self::NameTaken,
            Err(_) => Self::NotYet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn grant(reason: &str, message: &str) -> SecretGrant {
        serde_json::from_value(json!({
            "metadata": {"name": "team", "namespace": "alice", "generation": 1,
                "annotations": {"secrets.apolo.us/granted-by": "system:serviceaccount:ci:deployer"}},
            "spec": {"secrets": ["aws-key", "db"], "namespaces": ["bob"], "expiresAt": "2027-01-01T00:00:00Z",
                "subjects": [{"kind": "User", "name": "bob"}, {"kind": "Namespace", "name": "nightly"}]},
            "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "False", "reason": reason,
                "message": message, "lastTransitionTime": "2026-11-26T00:00:00Z"}]},
        }))
        .unwrap()
    }

    fn states(grant: &SecretGrant) -> Vec<String> {
        let now = "2026-11-26T12:00:00Z".parse().unwrap();
        SharedGrant::of(grant, now).into_iter().map(|shared| shared.state.to_string()).collect()
    }

    #[test]
    fn each_secret_of_a_grant_is_told_by_itself() {
        let shared = SharedGrant::of(&grant("Granted", ""), "2026-11-26T12:00:00Z".parse().unwrap());
        assert_eq!(shared.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(), ["aws-key", "db"]);
        assert_eq!(shared[0].by.as_ref().unwrap().to_string(), "serviceaccount:ci/deployer");
        assert_eq!(
            (shared[0].namespaces.as_slice(), shared[0].access),
            (&["bob".into(), "nightly".into()][..], Access::Read)
        );
    }

    #[test]
    fn a_state_is_that_of_the_secret() {
        assert_eq!(states(&grant("Granted", "")), ["in force", "in force"]);
        assert_eq!(states(&grant("SecretNotFound", "not there: \"db\"")), ["in force", "secret not there"]);
        assert_eq!(states(&grant("Withdrawn", "")), ["withdrawn", "withdrawn"]);
        let mut older = grant("Granted", "");
        older.metadata.generation = Some(2);
        assert_eq!(states(&older), ["not yet in force", "not yet in force"]);
        older.spec.expires_at = serde_json::from_value(json!("2026-11-26T12:00:00Z")).unwrap();
        assert_eq!(states(&older), ["expired", "expired"]);
    }
}
