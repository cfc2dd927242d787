//! Other mutating webhooks beside ours: one that adds a sidecar, and one that takes away what we added.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use anyhow::Context;
use apolo_tests::{
    eventually::eventually,
    namespace::{self, with_namespace},
    objects,
    others::{LABEL, Other},
};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

/// A Pod that asks for a secret, about which another webhook is asked.
fn asking(name: &str, webhook: &str) -> Value {
    let mut pod = objects::pod(name, &objects::template(&[("secrets.apolo.us/env", "A=secret:a")]));
    pod["metadata"]["labels"][LABEL] = json!(webhook);
    pod
}

#[tokio::test]
async fn a_sidecar_that_another_webhook_adds_later_gets_nothing() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let sidecar = json!({"name": "sidecar", "image": "registry.invalid/sidecar"});
        let patch = json!([{"op": "add", "path": "/spec/containers/-", "value": sidecar}]);
        ns.other_webhooks(&[Other { name: "injector", reinvocation: "Never", patch }]).await?;
        let mut number = 0;
        let pod = eventually("the other webhook is asked", async || {
            number += 1;
            ns.create(&asking(&format!("a-pod-{number}"), "injector")).await.map_err(|error| error.to_string())?;
            let pod = ns.api::<Pod>().get(&format!("a-pod-{number}")).await.map_err(|error| error.to_string())?;
            let containers = pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
            if containers == 2 { Ok(pod) } else { Err(format!("{containers} container")) }
        })
        .await?;
        let spec = pod.spec.as_ref().context("no spec")?;
        assert_eq!(pod.annotations()["secrets.apolo.us/containers"], "main");
        assert_eq!(spec.containers[0].env.as_ref().map(Vec::len), Some(1));
        assert_eq!((&*spec.containers[1].name, &spec.containers[1].env), ("sidecar", &None));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_another_webhook_takes_away_is_put_back_or_the_pod_is_refused() -> anyhow::Result<()> {
    for (reinvocation, is_refused) in [("Never", false), ("IfNeeded", true)] {
        with_namespace(async |ns| {
            let patch = json!([
                {"op": "add", "path": "/metadata/labels/seen", "value": "yes"},
                {"op": "remove", "path": "/spec/containers/0/env"},
            ]);
            ns.other_webhooks(&[Other { name: "remover", reinvocation, patch }]).await?;
            let mut number = 0;
            eventually("the other webhook is asked", async || {
                number += 1;
                let name = format!("a-pod-{number}");
                match ns.create(&asking(&name, "remover")).await {
                    Ok(_) => {
                        let pod = ns.api::<Pod>().get(&name).await.map_err(|error| error.to_string())?;
                        let env =
                            pod.spec.as_ref().and_then(|spec| spec.containers[0].env.as_ref()).map_or(0, Vec::len);
                        let put_back = pod.labels().contains_key("seen") && env == 1 && !is_refused;
                        if put_back { Ok(()) } else { Err(format!("{env} variables")) }
                    }
                    Err(namespace::Error::Create { source: kube::Error::Api(status), .. }) => {
                        let said = status.message.contains("the Pod lacks \"/spec/containers/0/env\"");
                        if is_refused && said { Ok(()) } else { Err(status.message.clone()) }
                    }
                    Err(other) => Err(other.to_string()),
                }
            })
            .await?;
            Ok::<_, anyhow::Error>(())
        })
        .await?;
    }
    Ok(())
}
