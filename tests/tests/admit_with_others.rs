//! Other mutating webhooks beside ours: one that adds a sidecar, and one that takes away what we added.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{net::TcpListener, sync::Arc, time::Duration, time::SystemTime};

use anyhow::Context;
use apolo_tests::{
    command,
    eventually::eventually,
    namespace::{self, Namespace, with_namespace},
    objects,
};
use axum::{Json, Router, routing::post};
use axum_server::tls_rustls::RustlsConfig;
use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};

/// A webhook of somebody else that answers every review with one patch, in this namespace only.
async fn other_webhook(ns: &Namespace, name: &str, reinvocation: &str, patch: Value) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let url = format!("https://{}/", listener.local_addr()?);
    let pair = ns.authority().server(&["127.0.0.1"], SystemTime::now() + Duration::from_secs(3600))?;
    let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).collect::<Result<_, _>>()?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?)?;
    let answer = move |Json(review): Json<Value>| async move {
        Json(json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": {
            "uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch",
            "patch": STANDARD.encode(patch.to_string()),
        }}))
    };
    let server = axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(config)))?;
    tokio::spawn(server.serve(Router::new().route("/", post(answer)).into_make_service()));

    // Webhooks are asked in the order of their configurations' names: this one after ours.
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": format!("z-{name}-{}", ns.name)},
        "webhooks": [{
            "name": "z.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "reinvocationPolicy": reinvocation,
            "clientConfig": {"url": url, "caBundle": STANDARD.encode(&ns.authority().pair().certificate)},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ns.name}},
        }],
    });
    let applied = command::run(ns.kubectl(["apply", "--filename=-"]), configuration.to_string()).await?;
    anyhow::ensure!(applied.status.success(), "{}", applied.stderr);
    Ok(())
}

fn asking(name: &str) -> Value {
    objects::pod(name, &objects::template(&[("secrets.apolo.us/env", "A=secret:a")]))
}

#[tokio::test]
async fn a_sidecar_that_another_webhook_adds_later_gets_nothing() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let sidecar = json!({"name": "sidecar", "image": "registry.invalid/sidecar"});
        let patch = json!([{"op": "add", "path": "/spec/containers/-", "value": sidecar}]);
        other_webhook(&ns, "injector", "Never", patch).await?;
        let mut number = 0;
        let pod = eventually("the other webhook is asked", async || {
            number += 1;
            ns.create(&asking(&format!("a-pod-{number}"))).await.map_err(|error| error.to_string())?;
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
            other_webhook(&ns, "remover", reinvocation, patch).await?;
            let mut number = 0;
            eventually("the other webhook is asked", async || {
                number += 1;
                let name = format!("a-pod-{number}");
                match ns.create(&asking(&name)).await {
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
