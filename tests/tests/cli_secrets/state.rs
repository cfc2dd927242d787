//! What is in a namespace, to compare it with what is there later.

use std::collections::BTreeMap;

use apolo_tests::namespace::Namespace;
use k8s_openapi::api::core::v1::Secret;
use kube::{ResourceExt, api::ListParams};
use serde_json::{Value, json};

/// The Secrets of a namespace, by name: all that they hold, with their versions.
pub(super) async fn secrets(ns: &Namespace) -> anyhow::Result<BTreeMap<String, Value>> {
    let secrets = ns.api::<Secret>().list(&ListParams::default()).await?;
    let secrets = secrets.into_iter().map(|secret| Ok((secret.name_any(), serde_json::to_value(secret)?)));
    secrets.collect::<Result<_, serde_json::Error>>().map_err(Into::into)
}

/// What a Secret holds under a name.
pub(super) async fn entry(ns: &Namespace, object: &str, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let secret = ns.api::<Secret>().get_opt(object).await?;
    Ok(secret.and_then(|secret| secret.data?.remove(name)).map(|value| value.0))
}

/// Gives somebody these verbs on Secrets, those of these names or all, and on nothing else.
pub(super) async fn allow(ns: &Namespace, name: &str, verbs: &[&str], names: &[&str]) -> anyhow::Result<()> {
    let role = format!("secrets-{name}");
    ns.create(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": role},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": verbs, "resourceNames": names}]}))
        .await?;
    ns.create(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}]}))
        .await?;
    let client = ns.user(name, &[]).await?;
    for verb in verbs {
        let question = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": ns.name, "verb": verb, "resource": "secrets",
                "name": names.first()}}});
        let question: k8s_openapi::api::authorization::v1::SelfSubjectAccessReview = serde_json::from_value(question)?;
        let reviews: kube::Api<k8s_openapi::api::authorization::v1::SelfSubjectAccessReview> =
            kube::Api::all(client.clone());
        apolo_tests::eventually::eventually(&format!("{name} may {verb}"), async || {
            let review = reviews.create(&kube::api::PostParams::default(), &question).await;
            let review = review.map_err(|error| error.to_string())?;
            review.status.filter(|status| status.allowed).map(drop).ok_or_else(|| String::from("not allowed"))
        })
        .await?;
    }
    Ok(())
}
