//! What runs: the Deployments of the webhook and the controller, and who of the controllers leads.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt};

use super::{Finding, ours};
use crate::connection::Connection;
use crate::request::Why;

/// The label that names a release.
const INSTANCE: &str = "app.kubernetes.io/instance";

pub(super) async fn deployments(connection: &Connection) -> Finding {
    const WHAT: &str = "webhook and controller";
    let found = match ours::<Deployment>(connection).await {
        Ok(found) => found,
        Err(error) => return Finding::unread(WHAT, &error),
    };
    let mut told = Vec::new();
    for deployment in &found {
        let name = deployment.name_any();
        let namespace = deployment.namespace().unwrap_or_default();
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
        if ready == 0 {
            let mend = format!("kubectl describe -n {namespace} deployment/{name}");
            return Finding::wrong(WHAT, format!("{name} has no Pod that is ready"), mend);
        }
        if ready < wanted {
            let mend = format!("kubectl describe -n {namespace} deployment/{name}");
            return Finding::doubtful(WHAT, format!("{name} has {ready} of {wanted} Pods ready"), mend);
        }
        told.push(format!("{name} has {ready}"));
    }
    if told.is_empty() {
        Finding::unseen(WHAT, "there is no Deployment of them: they run outside the cluster")
    } else {
        Finding::well(WHAT, format!("Pods that are ready: {}", told.join(", ")))
    }
}

pub(super) async fn leader(connection: &Connection) -> Finding {
    const WHAT: &str = "leader of the controllers";
    let found = match ours::<Deployment>(connection).await {
        Ok(found) => found,
        Err(error) => return Finding::unread(WHAT, &error),
    };
    let release = found.iter().find_map(|it| Some((it.namespace()?, it.labels().get(INSTANCE)?.clone())));
    let Some((namespace, release)) = release else {
        return Finding::unseen(WHAT, "where its Lease is cannot be told without a Deployment");
    };
    let leases: Api<Lease> = Api::namespaced(connection.client.clone(), &namespace);
    let name = format!("{release}-controller");
    let mend = format!("kubectl logs -n {namespace} deployment/{name}");
    match leases.get(&name).await {
        Ok(lease) if is_held(&lease, Timestamp::now()) => {
            let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
            Finding::well(WHAT, holder)
        }
        Ok(_) => Finding::wrong(WHAT, "nobody has renewed the Lease in time", mend),
        Err(error) if Why::of(&error) == Why::NotThere => Finding::wrong(WHAT, "there has been none yet", mend),
        Err(error) => Finding::unread(WHAT, &error),
    }
}

/// Whether somebody holds it at an instant.
fn is_held(lease: &Lease, now: Timestamp) -> bool {
    let held = || {
        let spec = lease.spec.as_ref()?;
        let age = now.duration_since(spec.renew_time.as_ref()?.0).as_secs();
        Some(!spec.holder_identity.as_ref()?.is_empty() && age <= i64::from(spec.lease_duration_seconds?))
    };
    held().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_lease_is_held_as_long_as_it_says() {
        let lease = |holder: &str| -> Lease {
            serde_json::from_value(json!({"spec": {
                "holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": "2026-11-26T00:00:00.000000Z",
            }}))
            .unwrap()
        };
        let at = |text: &str| text.parse().unwrap();
        assert!(is_held(&lease("one"), at("2026-11-26T00:00:15Z")));
        assert!(!is_held(&lease("one"), at("2026-11-26T00:00:16Z")));
        assert!(!is_held(&lease(""), at("2026-11-26T00:00:01Z")));
        assert!(!is_held(&Lease::default(), at("2026-11-26T00:00:01Z")));
    }
}
