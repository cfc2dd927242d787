//! What the API server itself holds by the chart's policies, whether or not the hooks are there: each thing that is refused
//! beside a twin that is allowed.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use anyhow::{Context, ensure};
use apolo_tests::{
    cluster::Cluster,
    command,
    eventually::within,
    namespace::{Namespace, with_namespace},
    objects,
    webhook::RELEASE,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

const ENV: &str = "secrets.apolo.us/env";
const BY: &str = "secrets.apolo.us/launched-by";
const GROUPS: &str = "secrets.apolo.us/launched-by-groups";

/// A Pod that names this Secret in one field, for each field that can.
fn naming(secret: &str) -> Vec<(&'static str, Value)> {
    let with = |pointer: &str, value: Value| {
        let mut pod = objects::pod("names", &objects::template(&[]));
        let spec = &mut pod["spec"];
        match pointer {
            "init" => {
                spec["initContainers"] = json!([{"name": "init", "image": "registry.invalid/init", "env": [value]}]);
            }
            "env" => spec["containers"][0]["env"] = json!([value]),
            "envFrom" => spec["containers"][0]["envFrom"] = json!([value]),
            "imagePullSecrets" => spec["imagePullSecrets"] = json!([value]),
            _ => {
                let mut volume = value;
                volume["name"] = json!("volume");
                spec["volumes"] = json!([volume]);
            }
        }
        pod
    };
    let name = json!({"name": secret});
    let key = json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": "a"}}});
    vec![
        ("a secret volume", with("volume", json!({"secret": {"secretName": secret}}))),
        ("a projected volume", with("volume", json!({"projected": {"sources": [{"secret": name}]}}))),
        ("a csi volume", with("volume", json!({"csi": {"driver": "a.example.com", "nodePublishSecretRef": name}}))),
        ("an azureFile volume", with("volume", json!({"azureFile": {"secretName": secret, "shareName": "a"}}))),
        ("a cephfs volume", with("volume", json!({"cephfs": {"monitors": ["a"], "secretRef": name}}))),
        ("a cinder volume", with("volume", json!({"cinder": {"volumeID": "a", "secretRef": name}}))),
        ("a flexVolume", with("volume", json!({"flexVolume": {"driver": "a/b", "secretRef": name}}))),
        (
            "an iscsi volume",
            with(
                "volume",
                json!({"iscsi": {"targetPortal": "a", "iqn": "iqn.2001-04.com.example:a", "lun": 0, "secretRef": name}}),
            ),
        ),
        ("an rbd volume", with("volume", json!({"rbd": {"monitors": ["a"], "image": "a", "secretRef": name}}))),
        (
            "a scaleIO volume",
            with("volume", json!({"scaleIO": {"gateway": "a", "system": "a", "volumeName": "a", "secretRef": name}})),
        ),
        ("a storageos volume", with("volume", json!({"storageos": {"volumeName": "a", "secretRef": name}}))),
        ("imagePullSecrets", with("imagePullSecrets", name.clone())),
        ("env", with("env", key.clone())),
        ("env of an init container", with("init", key)),
        ("envFrom", with("envFrom", json!({"secretRef": name}))),
    ]
}

/// What kubectl says when it creates an object in a namespace, without keeping it.
async fn tried(ns: &Namespace, namespace: &str, object: &Value) -> anyhow::Result<Result<(), String>> {
    let create = ns.kubectl(["create", "--dry-run=server", "--namespace", namespace, "--filename=-"]);
    let made = command::run(create, object.to_string()).await?;
    Ok(if made.status.success() { Ok(()) } else { Err(made.stderr) })
}

fn says(done: Result<(), String>, words: &str, what: &str) -> anyhow::Result<()> {
    match done {
        Ok(()) => anyhow::bail!("{what}: it was done"),
        Err(said) => {
            ensure!(said.contains(words), "{what}: {said}");
            Ok(())
        }
    }
}

#[tokio::test]
async fn a_pod_names_a_delivery_only_if_its_annotations_ask_for_it() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let words = "the Pod names apolo-shared-1, which its annotations do not ask for";
        for (field, pod) in naming("apolo-shared-1") {
            says(tried(&ns, &ns.name, &pod).await?, words, field)?;
        }
        for (field, pod) in naming("own") {
            tried(&ns, &ns.name, &pod)
                .await?
                .map_err(anyhow::Error::msg)
                .with_context(|| format!("the twin of {field}"))?;
        }
        // A debug container comes later.
        ns.create(&objects::pod("pod", &objects::template(&[]))).await?;
        let pods: Api<Pod> = ns.api();
        let debug = |secret: &str| {
            let env = json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": "a"}}}]);
            let container =
                json!({"name": format!("debug-{}", secret.len()), "image": "registry.invalid/debug", "env": env});
            Patch::Strategic(json!({"spec": {"ephemeralContainers": [container]}}))
        };
        let patch = async |secret: &str| {
            pods.patch_subresource("ephemeralcontainers", "pod", &PatchParams::default(), &debug(secret)).await
        };
        let refused = patch("apolo-shared-1").await.err().context("a debug container got in")?.to_string();
        ensure!(refused.contains(words), "{refused}");
        patch("own").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn kube_system_and_our_own_namespace_are_closed_to_pods_that_ask() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let mut asks = objects::pod("asks", &objects::template(&[(ENV, "A=secret:a")]));
        asks["spec"]["serviceAccountName"] = json!("default");
        for namespace in ["kube-system", RELEASE] {
            let words =
                format!("Pods in namespace {namespace} cannot ask for secrets by annotation; run them in another");
            says(tried(&ns, namespace, &asks).await?, &words, namespace)?;
            let words = format!("Pods in namespace {namespace} cannot use shared secrets; run them in another");
            for (field, pod) in naming("apolo-shared-1") {
                says(tried(&ns, namespace, &pod).await?, &words, field)?;
            }
            for (field, pod) in naming("own") {
                tried(&ns, namespace, &pod)
                    .await?
                    .map_err(anyhow::Error::msg)
                    .with_context(|| format!("{namespace}: {field}"))?;
            }
        }
        tried(&ns, &ns.name, &asks).await?.map_err(anyhow::Error::msg)
    })
    .await
}

#[tokio::test]
async fn what_a_pod_asks_for_and_who_launched_it_is_fixed() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.create(&objects::pod("pod", &objects::template(&[(ENV, "A=secret:a")]))).await?;
        let pods: Api<Pod> = ns.api();
        for (refused, twin) in [
            (json!({"annotations": {BY: "alice"}}), json!({"annotations": {"example.com/by": "alice"}})),
            (json!({"annotations": {GROUPS: null}}), json!({"annotations": {"example.com/by": null}})),
            (json!({"annotations": {ENV: "A=secret:b"}}), json!({"annotations": {"example.com/env": "A=secret:b"}})),
            (
                json!({"annotations": {"secrets.apolo.us/new": "a"}}),
                json!({"annotations": {"us.apolo.secrets/new": "a"}}),
            ),
            (json!({"labels": {"secrets.apolo.us/shared": "true"}}), json!({"labels": {"shared": "true"}})),
        ] {
            let patch = |metadata: &Value| Patch::Merge(json!({"metadata": metadata}));
            let says = "begin with secrets.apolo.us/ are fixed at its creation; make another Pod";
            let said = pods.patch("pod", &PatchParams::default(), &patch(&refused)).await.err().context("changed")?;
            ensure!(said.to_string().contains(says), "{refused}: {said}");
            let said = pods.patch_status("pod", &PatchParams::default(), &patch(&refused)).await.err();
            let said = said.with_context(|| format!("changed by its status: {refused}"))?;
            ensure!(said.to_string().contains(says), "{refused}: {said}");
            pods.patch("pod", &PatchParams::default(), &patch(&twin)).await?;
            pods.patch_status("pod", &PatchParams::default(), &patch(&twin)).await?;
        }
        // A binding brings annotations along.
        let binding = |annotations: Value| {
            json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "pod", "annotations": annotations},
                "target": {"apiVersion": "v1", "kind": "Node", "name": "nowhere"}})
        };
        for path in ["bindings", "pods/pod/binding"] {
            let bind = async |annotations: Value| {
                let url = format!("/api/v1/namespaces/{}/{path}", ns.name);
                let request = http::Request::post(url).header("content-type", "application/json");
                ns.client
                    .request_text(request.body(binding(annotations).to_string().into_bytes())?)
                    .await
                    .map_err(anyhow::Error::from)
            };
            let said = bind(json!({BY: "alice"})).await.err().with_context(|| format!("bound by {path}"))?.to_string();
            ensure!(
                said.contains("a binding brings no annotation or label that begins with secrets.apolo.us/"),
                "{said}"
            );
            if path == "bindings" {
                bind(json!({"example.com/by": "alice"})).await?;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_gate_of_a_delivery_is_lifted_by_nobody_else() -> anyhow::Result<()> {
    with_namespace(async |alice| {
        with_namespace(async |bobs| {
            alice.secret("a").await?;
            alice.share("shared", &json!({"secrets": ["a"], "subjects": [{"kind": "User", "name": "admin"}], "namespaces": [bobs.name]})).await?;
            let mut pod = objects::pod("pod", &objects::template(&[(ENV, &format!("A=secret:/{}/a", alice.name))]));
            pod["spec"]["schedulingGates"] = json!([{"name": "example.com/other"}]);
            within(Duration::from_secs(10), "the Pod is allowed", async || {
                bobs.create(&pod).await.map_err(|error| format!("{error:?}"))
            })
            .await?;
            let pods: Api<Pod> = bobs.api();
            let gates = async |gates: Value| {
                let patch = Patch::Merge(json!({"spec": {"schedulingGates": gates}}));
                pods.patch("pod", &PatchParams::default(), &patch).await
            };
            let ours = json!([{"name": "secrets.apolo.us/delivery"}]);
            let said = gates(json!([{"name": "example.com/other"}])).await.err().context("lifted")?.to_string();
            ensure!(said.contains("the gate secrets.apolo.us/delivery is lifted by apolo's controller"), "{said}");
            gates(ours).await?;
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn copies_and_revisions_are_written_only_by_their_controllers() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let secret = |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
        says(tried(&ns, &ns.name, &secret("apolo-shared-1")).await?, "choose another name", "a copy pre-made")?;
        tried(&ns, &ns.name, &secret("apolo-sharing-1")).await?.map_err(anyhow::Error::msg)?;
        let revision = |annotation: &str| {
            let template = json!({"metadata": {"annotations": {annotation: "alice"}}});
            json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "a"}, "revision": 1,
                "data": {"spec": {"template": template}}})
        };
        let words = "is written by the controllers of StatefulSets and DaemonSets only";
        says(tried(&ns, &ns.name, &revision(BY)).await?, words, "a revision")?;
        tried(&ns, &ns.name, &revision("example.com/by")).await?.map_err(anyhow::Error::msg)?;
        // They do write them.
        ns.create(&objects::stateful_set("set", &objects::template(&[(ENV, "A=secret:a")]))).await?;
        ns.create(&objects::daemon_set("daemons", &objects::template(&[(ENV, "A=secret:a")]))).await?;
        ns.pod_of("set").await?;
        ns.pod_of("daemons").await?;
        Ok(())
    })
    .await
}

/// The hooks are not there: what they would have written is held against who writes it.
#[tokio::test]
async fn a_stamp_names_whoever_creates_the_pod() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install_kinds().await?;
    cluster
        .with_namespace(async |ns| {
            ns.person("bob").await?;
            let bob: Client = ns.user("bob", &["dev"]).await?;
            let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "a", "uid": "1", "controller": true}]);
            let of_job = |mut pod: Value| {
                pod["metadata"]["ownerReferences"] = owner.clone();
                pod
            };
            let pod = |name: &str, annotations: &[(&str, &str)]| objects::pod(name, &objects::template(annotations));
            let asks = (ENV, "A=secret:a");
            let another = "name another than you";
            for (number, (refused, words, twin)) in [
                (pod("r0", &[asks]), "does not say who launched it", pod("t0", &[asks, (BY, "bob"), (GROUPS, "dev")])),
                (pod("r1", &[asks, (BY, "alice")]), another, pod("t1", &[asks, (BY, "bob")])),
                (pod("r2", &[(BY, "alice")]), another, pod("t2", &[("example.com/by", "alice")])),
                (
                    pod("r3", &[asks, (BY, "bob"), (GROUPS, "dev\nadmins")]),
                    another,
                    pod("t3", &[asks, (BY, "bob"), (GROUPS, "dev\nsystem:authenticated")]),
                ),
                (of_job(pod("r4", &[asks, (BY, "alice")])), another, of_job(pod("t4", &[asks, (BY, "bob")]))),
                (
                    pod("r5", &[("secrets.apolo.us/volume", ",\nsecret:a:/a")]),
                    "does not say who launched it",
                    pod("t5", &[("secrets.apolo.us/volume", " ,\n ")]),
                ),
            ]
            .into_iter()
            .enumerate()
            {
                let said =
                    ns.create_as(&bob, &refused).await.err().with_context(|| format!("row {number}: it was done"))?;
                let said = format!("{:#}", anyhow::Error::from(said));
                ensure!(said.contains(words), "row {number}: {said}");
                ns.create_as(&bob, &twin).await.with_context(|| format!("the twin of row {number}"))?;
            }
            // What was given to the controller of a Job with the template is believed of it.
            let mut job = objects::job("job", &objects::template(&[asks, (BY, "bob"), (GROUPS, "dev")]));
            job["spec"]["template"]["metadata"]["annotations"]["example.com/by"] = json!("bob");
            ns.create_as(&bob, &job).await?;
            ns.pod_of("job").await?;
            Ok(())
        })
        .await
}
