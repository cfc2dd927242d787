//! A Pod that asks for a secret, in a dry run: it must come back with it.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::Finding;
use crate::connection::Connection;
use crate::request::Why;

/// The key that it asks for; whether there is such a secret does not matter.
const KEY: &str = "apolo-check";

pub(super) async fn is_rewritten(connection: &Connection) -> Finding {
    const WHAT: &str = "a Pod that asks for a secret (dry run)";
    let namespace = &connection.namespace;
    let pods: Api<Pod> = Api::namespaced(connection.client.clone(), namespace);
    let pod: Pod = match serde_json::from_value(asking()) {
        Ok(pod) => pod,
        Err(error) => return Finding::unseen(WHAT, error.to_string()),
    };
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    match pods.create(&dry, &pod).await {
        Ok(answered) if has_its_secret(&answered) => {
            Finding::well(WHAT, format!("it gets it, in namespace {namespace}"))
        }
        Ok(_) => Finding::wrong(
            WHAT,
            format!("no hook looked at it in namespace {namespace}"),
            "choose another with -n: watchNamespaces of the chart may leave this one out",
        ),
        Err(error) => match Why::of(&error) {
            Why::NotAllowed(_) => Finding::unseen(
                WHAT,
                format!("you may not create Pods in namespace {namespace}: choose another with -n"),
            ),
            Why::Refused(words) => Finding::wrong(WHAT, words, "choose another namespace with -n"),
            why => {
                Finding::wrong(WHAT, why.to_string(), "kubectl logs -n apolo-secrets deployment/apolo-secrets-webhook")
            }
        },
    }
}

/// Whatever else a namespace asks of its Pods, this one has it.
fn asking() -> Value {
    json!({
        "metadata": {
            "generateName": "apolo-check-",
            "annotations": {"secrets.apolo.us/env": format!("APOLO_CHECK=secret:{KEY}")},
        },
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "main",
                "image": "registry.k8s.io/pause",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1m", "memory": "1Mi"}},
            }],
        },
    })
}

fn has_its_secret(pod: &Pod) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut variables = containers.flat_map(|container| container.env.iter().flatten());
    variables.any(|variable| {
        let secret = variable.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
        secret.is_some_and(|secret| secret.key == KEY && secret.name == KEY)
    })
}
