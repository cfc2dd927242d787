//! Who relies on a secret: to whom it is granted, and which Pods of its namespace use it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use apolo_api::access::Access;
use apolo_api::grant::{READY, Reason, SecretGrant};
use apolo_core::delivery::secrets_named;
use apolo_core::key::Key;
use apolo_core::subject::Subject;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::connection::Connection;
use crate::request::{RequestError, Why, doing};

/// How many are asked for at a time.
const CHUNK: u32 = 500;

/// Somebody to whom a secret is granted, and the most that a grant of its namespace gives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Who.
    pub subject: Subject,
    /// What he may do with it.
    pub access: Access,
}

/// A Pod that has not ended, and the Secrets that it uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uses {
    /// The Pod.
    pub pod: String,
    secrets: Vec<String>,
}

/// The grants of a namespace that are in force.
#[derive(Clone, Debug, Default)]
pub struct Grants(Vec<SecretGrant>);

/// The grants of a namespace that are in force; none where the cluster knows no grants.
///
/// # Errors
/// Where they may not be listed.
pub async fn grants(connection: &Connection, namespace: &str) -> Result<Grants, RequestError> {
    let grants: Api<SecretGrant> = Api::namespaced(connection.client.clone(), namespace);
    let now = Timestamp::now();
    let found = listed(&grants, |grant| is_in_force(&grant, now).then_some(grant)).await;
    match found.map_err(doing(|| format!("listing the grants of namespace {namespace}"))) {
        Err(error) if error.why == Why::NoSuchKind || is_unknown(connection).await => Ok(Grants::default()),
        found => found.map(Grants),
    }
}

/// Whether the cluster knows no grants. RBAC refuses first what is asked of a kind that is not there; discovery may be read by
/// everybody who has logged in.
async fn is_unknown(connection: &Connection) -> bool {
    let version = SecretGrant::api_version(&());
    let found = connection.client.list_api_group_resources(&version).await;
    found.is_err_and(|error| Why::of(&error) == Why::NoSuchKind)
}

/// The Pods of a namespace that have not ended, and the Secrets that each names, in whatever field and container.
///
/// # Errors
/// Where they may not be listed.
pub async fn pods(connection: &Connection, namespace: &str) -> Result<Vec<Uses>, RequestError> {
    let kind = ApiResource::erase::<Pod>(&());
    let pods: Api<DynamicObject> = Api::namespaced_with(connection.client.clone(), namespace, &kind);
    listed(&pods, |pod| Uses::of(&pod)).await.map_err(doing(|| format!("listing the Pods of namespace {namespace}")))
}

impl Grants {
    /// To whom they give the secret that this Secret holds.
    #[must_use]
    pub fn holders(&self, object: &str) -> Vec<Holder> {
        let is_meant = |key: &String| Key::parse(key).is_ok_and(|key| key.object_name() == object);
        let mut most = BTreeMap::new();
        for grant in self.0.iter().filter(|grant| grant.spec.secrets.iter().any(is_meant)) {
            for subject in grant.spec.subjects.iter().filter_map(|subject| Subject::try_from(subject).ok()) {
                let access = most.entry(subject).or_insert(grant.spec.access);
                *access = grant.spec.access.max(*access);
            }
        }
        most.into_iter().map(|(subject, access)| Holder { subject, access }).collect()
    }
}

impl Uses {
    /// Whether the Pod uses this Secret.
    #[must_use]
    pub fn names(&self, object: &str) -> bool {
        self.secrets.iter().any(|secret| secret == object)
    }

    /// None of a Pod that has ended.
    fn of(pod: &DynamicObject) -> Option<Self> {
        let phase = pod.data.pointer("/status/phase").and_then(Value::as_str);
        if matches!(phase, Some("Succeeded" | "Failed")) {
            return None;
        }
        let secrets = pod.data.get("spec").map(secrets_named).unwrap_or_default();
        Some(Self { pod: pod.name_any(), secrets: secrets.into_iter().map(str::to_owned).collect() })
    }
}

/// Whether a grant gives what it says, as far as the controller has told of it, and its time has not come.
fn is_in_force(grant: &SecretGrant, now: Timestamp) -> bool {
    let conditions = grant.status.iter().flat_map(|status| &status.conditions);
    let reason = conditions.into_iter().find(|condition| condition.type_ == READY).map(|ready| ready.reason.as_str());
    let ended = [Reason::Expired, Reason::Withdrawn, Reason::AccessNotAllowed].map(|reason| reason.to_string());
    let is_over = grant.spec.expires_at.as_ref().is_some_and(|time| time.0 <= now);
    !is_over && !reason.is_some_and(|reason| ended.iter().any(|ended| ended == reason))
}

/// Lists all objects, some at a time, and keeps of each what is wanted.
async fn listed<K, T>(api: &Api<K>, wanted: impl Fn(K) -> Option<T>) -> Result<Vec<T>, kube::Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    let mut params = ListParams::default().limit(CHUNK);
    let mut found = Vec::new();
    loop {
        let chunk = api.list(&params).await?;
        found.extend(chunk.items.into_iter().filter_map(&wanted));
        params.continue_token = chunk.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn grant(spec: &Value, reason: Option<&str>) -> SecretGrant {
        let conditions: Vec<Value> = reason
            .iter()
            .map(|reason| {
                json!({"type": "Ready", "status": "Unknown", "reason": reason, "message": "",
                    "lastTransitionTime": "2026-11-26T00:00:00Z"})
            })
            .collect();
        serde_json::from_value(json!({"apiVersion": "secrets.apolo.us/v1alpha1", "kind": "SecretGrant",
            "metadata": {"name": "g"}, "spec": spec, "status": {"conditions": conditions}}))
        .unwrap()
    }

    #[test]
    fn each_subject_is_told_once_with_the_most_that_he_has() {
        let (bob, team) = (json!({"kind": "User", "name": "bob"}), json!({"kind": "Group", "name": "ml-team"}));
        let grants = Grants(vec![
            grant(&json!({"secrets": ["AWS_KEY", "db"], "access": "Use", "subjects": [bob, team]}), None),
            grant(&json!({"secrets": ["AWS_KEY"], "access": "Manage", "subjects": [bob]}), Some("Granted")),
            grant(&json!({"secrets": ["other"], "subjects": [team]}), None),
        ]);
        let told = grants.holders("aws-key-4cea0ddbcf43f8cf");
        let told: Vec<_> = told.iter().map(|holder| (holder.subject.to_string(), holder.access)).collect();
        assert_eq!(told, [("bob".to_owned(), Access::Manage), ("group:ml-team".to_owned(), Access::Use)]);
    }

    #[test]
    fn a_grant_that_has_ended_gives_nothing() {
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let until =
            |time: &str| json!({"secrets": ["db"], "subjects": [{"kind": "User", "name": "bob"}], "expiresAt": time});
        let later = until("2026-11-26T12:00:01Z");
        assert!(is_in_force(&grant(&later, None), now) && is_in_force(&grant(&later, Some("SecretNotFound")), now));
        assert!(!is_in_force(&grant(&until("2026-11-26T12:00:00Z"), None), now));
        for reason in ["Expired", "Withdrawn", "AccessNotAllowed"] {
            assert!(!is_in_force(&grant(&later, Some(reason)), now), "{reason}");
        }
    }

    #[test]
    fn a_pod_uses_a_secret_until_it_has_ended() {
        let pod = |phase: &str| -> DynamicObject {
            serde_json::from_value(json!({"metadata": {"name": "train"}, "status": {"phase": phase},
                "spec": {"initContainers": [{"envFrom": [{"secretRef": {"name": "db"}}]}]}}))
            .unwrap()
        };
        let uses = Uses::of(&pod("Pending")).unwrap();
        assert!(uses.names("db") && !uses.names("d") && uses.pod == "train");
        assert_eq!((Uses::of(&pod("Succeeded")), Uses::of(&pod("Failed"))), (None, None));
    }
}
