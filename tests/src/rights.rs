//! What somebody may do, as the API server says when he asks it himself.
#![allow(clippy::indexing_slicing, reason = "to set an index of a JSON object adds what is not there")]

use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};

use crate::eventually::{NotYet, eventually};

/// The verbs that RBAC knows of objects, and our two of Secrets.
pub const VERBS: [&str; 10] =
    ["use", "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "share"];

/// What verbs are about, as an access review has it: these Secrets of a namespace, or all of them if `name` is empty.
pub fn secret(namespace: &str, name: &str) -> Value {
    json!({"namespace": namespace, "resource": "secrets", "name": name})
}

/// The same of grants.
pub fn grant(namespace: &str, name: &str) -> Value {
    json!({"namespace": namespace, "group": "secrets.apolo.us", "resource": "secretgrants", "name": name})
}

/// Which of [`VERBS`] a client may do about something: each is asked.
///
/// # Errors
/// When the API server does not answer.
pub async fn verbs(client: &Client, about: &Value) -> Result<BTreeSet<&'static str>, kube::Error> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let mut allowed = BTreeSet::new();
    for verb in VERBS {
        let mut attributes = about.clone();
        attributes["verb"] = json!(verb);
        let review = json!({"spec": {"resourceAttributes": attributes}});
        let review = serde_json::from_value(review).map_err(kube::Error::SerdeError)?;
        let answer = reviews.create(&PostParams::default(), &review).await?;
        if answer.status.is_some_and(|status| status.allowed) {
            allowed.insert(verb);
        }
    }
    Ok(allowed)
}

/// Waits until a client may do exactly this: the API server hears of Roles and bindings a moment after they are written.
///
/// # Errors
/// When that does not come about by the deadline.
pub async fn come_to(client: &Client, about: &Value, wanted: &[&'static str]) -> Result<(), NotYet> {
    let wanted = BTreeSet::from_iter(wanted.iter().copied());
    eventually(&format!("exactly {wanted:?} on {about}"), async || match verbs(client, about).await {
        Ok(allowed) if allowed == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}
