//! Deliveries while the controller is away and after it came back, and what is told of values: nothing. Each test has a control plane
//! of its own.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use apolo_tests::{
    cluster::Cluster,
    controller::ACCOUNT,
    delivered::{KEY, Scene},
    eventually::eventually,
    objects,
    proxy::Proxy,
    webhook::RELEASE,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::StatusCode;
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    authorization::v1::SubjectAccessReview,
    core::v1::{Pod, Secret},
    events::v1::Event,
    rbac::v1::{ClusterRole, PolicyRule},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

/// A value, nowhere else.
const PLANTED: &str = "hunter2-planted-for-bob";

#[tokio::test]
async fn what_the_watches_do_not_tell_is_found() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let _webhook = cluster.install().await?;
    let mut first = cluster.start_controller("controller", &[]).await?;
    let mut body = async |alice, bobs| {
        let scene = Scene::new(alice, bobs).await?;
        scene.share("kept", &[KEY]).await?;
        scene.share("withdrawn", &["db"]).await?;
        let copies = [("stays", KEY), ("ends", "db#user"), ("loses", "db#password")];
        for (name, key) in copies {
            scene.create(&objects::pod(name, &scene.template(&[key]))).await?;
            scene.bobs.is_lifted(name).await?;
        }
        scene.bobs.copies_hold(&["alice", "hunter2", "swordfish"]).await?;
        let proxy = Proxy::start(&cluster).await?;
        let second = cluster.start_controller_behind(&proxy, "second", &[]).await?;

        proxy.hush();
        // Of what is listed page by page the first page is refused, as one is that came too late.
        proxy.refuse_once("limit=500", StatusCode::GONE);
        first.stop().await?;
        second.leads().await?;
        // Asked for while the grants are as the webhook knows them.
        scene.create(&objects::pod("comes", &scene.template(&[KEY]))).await?;
        scene.bobs.finish("ends").await?;
        scene.withdraw("withdrawn").await?;
        scene.alice.rotate(KEY, KEY, "rotated").await?;
        scene.bobs.is_lifted("comes").await?;
        scene.bobs.copies_hold(&["rotated"]).await?;
        ensure!(proxy.has_refused(), "nothing was listed page by page");
        Ok(())
    };
    cluster.with_namespace(async |alice| cluster.with_namespace(async |bobs| body(alice, bobs).await).await).await
}

#[tokio::test]
async fn what_ended_while_the_controller_was_away_is_taken_away_and_nothing_else_is_written() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let _webhook = cluster.install().await?;
    let mut controller = cluster.start_controller("controller", &[]).await?;
    cluster
        .with_namespace(async |alice| {
            cluster
                .with_namespace(async |bobs| {
                    let scene = Scene::new(alice, bobs).await?;
                    scene.share("one", &[KEY]).await?;
                    scene.share("two", &["db"]).await?;
                    scene.delivered("stays").await?;
                    scene.create(&objects::pod("ends", &scene.template(&["db#user"]))).await?;
                    scene.create(&objects::pod("loses", &scene.template(&["db#password"]))).await?;
                    for name in ["ends", "loses"] {
                        scene.bobs.is_lifted(name).await?;
                    }
                    scene.bobs.copies_hold(&["alice", "hunter2", "swordfish"]).await?;
                    let written = controller.written(&["Secret", "Pod"]).await?;
                    ensure!(written >= 6.0, "of three copies and three gates it counts {written}");
                    controller.stop().await?;
                    // Nothing is written where nothing has changed.
                    controller = cluster.start_controller("controller", &[]).await?;
                    controller.leads().await?;
                    let marker = scene.alice.secret_of("marker", &[("a", "b")]);
                    marker.await?;
                    scene.share("marker", &["marker"]).await?;
                    let written = controller.written(&["Secret", "Pod"]).await?;
                    ensure!(written == 0.0, "it wrote {written}");
                    controller.stop().await?;

                    scene.bobs.finish("ends").await?;
                    scene.withdraw("two").await?;
                    scene.alice.rotate(KEY, KEY, "rotated").await?;
                    let uid = scene.bobs.api::<Pod>().get("stays").await?.uid();
                    scene.bobs.copies_hold(&["alice", "hunter2", "swordfish"]).await?;
                    controller = cluster.start_controller("controller", &[]).await?;
                    scene.bobs.copies_hold(&["rotated"]).await?;
                    ensure!(scene.bobs.api::<Pod>().get("stays").await?.uid() == uid);
                    Ok(())
                })
                .await
        })
        .await
}

#[tokio::test]
async fn without_the_controller_kubernetes_itself_takes_a_copy_away_with_its_pods() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let _webhook = cluster.install().await?;
    let mut controller = cluster.start_controller("controller", &[]).await?;
    cluster
        .with_namespace(async |alice| {
            cluster
                .with_namespace(async |bobs| {
                    let scene = Scene::new(alice, bobs).await?;
                    scene.share("one", &[KEY]).await?;
                    scene.delivered("pod").await?;
                    controller.stop().await?;
                    scene.bobs.delete_pod("pod").await?;
                    scene.bobs.copies_hold(&[]).await?;
                    Ok(())
                })
                .await
        })
        .await
}

#[tokio::test]
async fn while_it_cannot_be_asked_who_may_no_copy_gets_a_new_value() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let _webhook = cluster.install().await?;
    let controller = cluster.start_controller("controller", &[]).await?;
    cluster
        .with_namespace(async |alice| {
            cluster
                .with_namespace(async |bobs| {
                    let scene = Scene::new(alice, bobs).await?;
                    scene.share("one", &[KEY]).await?;
                    scene.delivered("pod").await?;
                    let rights: Api<ClusterRole> = Api::all(scene.bobs.client.clone());
                    let role = format!("{RELEASE}-controller");
                    let before = rights.get(&role).await?;
                    let asks = |rule: &PolicyRule| {
                        rule.resources.iter().flatten().any(|resource| resource == "subjectaccessreviews")
                    };
                    let without: Vec<_> = before.rules.iter().flatten().filter(|rule| !asks(rule)).collect();
                    ensure!(Some(without.len()) < before.rules.as_ref().map(Vec::len), "it has no right to ask");
                    let params = PatchParams::default();
                    rights.patch(&role, &params, &Patch::Merge(json!({"rules": without}))).await?;
                    let asks: Api<SubjectAccessReview> =
                        Api::all(scene.bobs.service_account(RELEASE, ACCOUNT).await?);
                    let question: SubjectAccessReview = serde_json::from_value(json!({"spec": {"user": "bob",
                        "resourceAttributes": {"verb": "use", "resource": "secrets", "namespace": scene.alice.name}}}))?;
                    eventually("it may not ask", async || match asks.create(&PostParams::default(), &question).await {
                        Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
                        other => Err(format!("{other:?}")),
                    })
                    .await?;
                    scene.alice.rotate(KEY, KEY, "rotated").await?;
                    let failed = "apolo_controller_errors_total{kind=\"review\"}";
                    eventually("it has asked in vain, twice", async || match controller.metric(failed).await {
                        Ok(Some(2.0..)) => Ok(()),
                        other => Err(format!("{other:?}")),
                    })
                    .await?;
                    scene.bobs.copies_hold(&["hunter2"]).await?;
                    rights.patch(&role, &params, &Patch::Merge(json!({"rules": before.rules}))).await?;
                    scene.bobs.copies_hold(&["rotated"]).await?;
                    Ok(())
                })
                .await
        })
        .await
}

#[tokio::test]
async fn a_value_is_in_its_copy_and_nowhere_else() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let _webhook = cluster.install().await?;
    let controller = cluster.start_controller("controller", &["--log-level=trace"]).await?;
    cluster
        .with_namespace(async |alice| {
            cluster
                .with_namespace(async |bobs| {
                    let scene = Scene::new(alice, bobs).await?;
                    scene.alice.rotate(KEY, KEY, PLANTED).await?;
                    scene.alice.rotate("db", "password", PLANTED).await?;
                    scene.share("one", &[KEY, "db"]).await?;
                    scene.delivered("pod").await?;
                    // Missing.
                    scene.create(&objects::pod("misses", &scene.template(&["db#later"]))).await?;
                    scene.bobs.is_told("misses", "SourceMissing").await?;
                    scene.bobs.is_told("pod", "Delivered").await?;
                    scene.bobs.copies_hold(&[PLANTED]).await?;
                    // What the API server refuses of a copy comes back in words, which may hold what a webhook has seen.
                    tell_all(&scene).await?;
                    scene.create(&objects::pod("fails", &scene.template(&["db#password"]))).await?;
                    let told = scene.bobs.is_told("fails", "DeliveryRefused").await?;
                    ensure!(told.contains("(status 422); ask who runs this cluster"), "{told}");
                    scene.withdraw("one").await?;
                    scene.bobs.copies_hold(&[]).await?;

                    // In its source it is found by the same search.
                    let secrets: Api<Secret> = scene.alice.api();
                    ensure!(holds(&serde_json::to_vec(&secrets.get(KEY).await?)?), "the search finds nothing");
                    let events = scene.bobs.api::<Event>().list(&ListParams::default()).await?;
                    ensure!(!holds(&serde_json::to_vec(&events)?), "an Event holds it");
                    let pods = scene.bobs.api::<Pod>().list(&ListParams::default()).await?;
                    ensure!(!holds(&serde_json::to_vec(&pods)?), "a Pod holds it");
                    let log = controller_log(cluster.folder())?;
                    ensure!(String::from_utf8_lossy(&log).contains("a copy is written"), "the log tells nothing");
                    ensure!(!holds(&log), "the log of the controller holds it");
                    ensure!(!holds(&fs::read(cluster.webhook_log())?), "the log of the webhook holds it");
                    ensure!(!holds(controller.all_metrics().await?.as_bytes()), "a metric holds it");
                    scene.bobs.api::<Pod>().delete("pod", &DeleteParams::default()).await?;
                    Ok(())
                })
                .await
        })
        .await
}

/// Refuses from now on what bears the name of a copy in bob's namespace, and tells its value with that.
async fn tell_all(scene: &Scene) -> anyhow::Result<()> {
    let client = &scene.bobs.client;
    let (create, params) = (PostParams::default(), PostParams { dry_run: true, ..PostParams::default() });
    let name = json!({"name": "tells-all"});
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]});
    let tells = json!({"expression": "!object.metadata.name.startsWith('apolo-shared-')",
        "messageExpression": "'it holds ' + string(object.data['password'])"});
    let policy =
        json!({"metadata": name, "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [tells]}});
    let bobs = json!({"matchLabels": {"kubernetes.io/metadata.name": scene.bobs.name}});
    let binding = json!({"metadata": name, "spec": {"policyName": "tells-all", "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": bobs}}});
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    policies.create(&create, &serde_json::from_value(policy)?).await?;
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    bindings.create(&create, &serde_json::from_value(binding)?).await?;
    let as_controller: Api<Secret> =
        Api::namespaced(scene.bobs.service_account(RELEASE, ACCOUNT).await?, &scene.bobs.name);
    let copy: Secret = serde_json::from_value(
        json!({"metadata": {"name": "apolo-shared-tried"}, "stringData": {"password": PLANTED}}),
    )?;
    eventually("the refusal tells the value", async || match as_controller.create(&params, &copy).await {
        Err(error) if holds(error.to_string().as_bytes()) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    Ok(())
}

fn controller_log(folder: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(folder.join("controller.log")).context("the log of the controller")
}

/// Whether bytes hold the planted value, as it is or encoded in some way that is usual.
fn holds(bytes: &[u8]) -> bool {
    let hex: String = PLANTED.bytes().map(|byte| format!("{byte:02x}")).collect();
    // Of base64 what does not depend on where it begins in what is encoded.
    let base64 = (0..3).map(|skip| STANDARD.encode(&PLANTED.as_bytes()[skip..]).trim_end_matches('=').to_owned());
    let inner = base64.map(|text| text[4..text.len() - 4].to_owned());
    let bytes_listed = PLANTED.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>();
    let forms = [PLANTED.to_owned(), hex, bytes_listed.join(","), bytes_listed.join(", ")];
    forms.into_iter().chain(inner).any(|form| bytes.windows(form.len()).any(|window| window == form.as_bytes()))
}
