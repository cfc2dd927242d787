//! The hooks and the policies: whether they are there, and can be believed.

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::ResourceExt;

use super::{Finding, ours};
use crate::connection::Connection;

/// What makes what is missing again.
const UPGRADE: &str = "helm upgrade apolo-secrets charts/apolo-secrets --namespace apolo-secrets --reuse-values";

pub(super) async fn mutating(connection: &Connection) -> Finding {
    const WHAT: &str = "mutating hooks";
    match ours::<MutatingWebhookConfiguration>(connection).await {
        Ok(found) => {
            let hooks = found.into_iter().flat_map(|it| it.webhooks.unwrap_or_default());
            seen(WHAT, hooks.map(|hook| (hook.name, hook.client_config)))
        }
        Err(error) => Finding::unread(WHAT, &error),
    }
}

pub(super) async fn validating(connection: &Connection) -> Finding {
    const WHAT: &str = "validating hooks";
    match ours::<ValidatingWebhookConfiguration>(connection).await {
        Ok(found) => {
            let hooks = found.into_iter().flat_map(|it| it.webhooks.unwrap_or_default());
            seen(WHAT, hooks.map(|hook| (hook.name, hook.client_config)))
        }
        Err(error) => Finding::unread(WHAT, &error),
    }
}

fn seen(what: &'static str, hooks: impl Iterator<Item = (String, WebhookClientConfig)>) -> Finding {
    let mut count = 0;
    for (name, client) in hooks {
        count += 1;
        if client.ca_bundle.is_none_or(|ByteString(bundle)| bundle.is_empty()) {
            let told = format!("{name} has no caBundle, so the API server cannot believe the webhook");
            return Finding::wrong(
                what,
                told,
                "the controller writes it: kubectl logs -n apolo-secrets deployment/apolo-secrets-controller",
            );
        }
    }
    match count {
        0 => Finding::wrong(what, "there is none", UPGRADE),
        count => Finding::well(what, format!("{count} of them, each with a CA")),
    }
}

pub(super) async fn policies(connection: &Connection) -> Finding {
    const WHAT: &str = "policies";
    let (policies, bindings) = futures_util::future::join(
        ours::<ValidatingAdmissionPolicy>(connection),
        ours::<ValidatingAdmissionPolicyBinding>(connection),
    )
    .await;
    let (policies, bindings) = match (policies, bindings) {
        (Ok(policies), Ok(bindings)) => (policies, bindings),
        (Err(error), _) | (_, Err(error)) => return Finding::unread(WHAT, &error),
    };
    let bound: BTreeSet<String> = bindings.into_iter().filter_map(|binding| binding.spec?.policy_name).collect();
    if let Some(unbound) = policies.iter().map(ResourceExt::name_any).find(|name| !bound.contains(name)) {
        return Finding::wrong(WHAT, format!("nothing binds {unbound}, so it decides nothing"), UPGRADE);
    }
    match policies.len() {
        0 => Finding::wrong(WHAT, "there is none", UPGRADE),
        count => Finding::well(WHAT, format!("{count} of them, each bound")),
    }
}
