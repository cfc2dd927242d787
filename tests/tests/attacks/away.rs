//! While the webhook is away: what asks for secrets is refused, and nothing else is held up.

use apolo_tests::{
    attempts::{Attempt, Form, Row, Somebody, attempt, path},
    eventually::eventually,
    objects,
};
use k8s_openapi::api::core::v1;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use super::scene::{ENV, Scene, core};

const ASKS: (&str, &str) = (ENV, "A=secret:a");
const NAMESPACE: &str = "goes-with-the-webhook-away";

/// What is there when the webhook goes.
pub(crate) async fn prepare(scene: &Scene) -> anyhow::Result<()> {
    let asking = objects::template(&[ASKS]);
    let held = |mut object: Value| {
        object["metadata"]["finalizers"] = json!(["example.com/held"]);
        object
    };
    let with = |mut object: Value, field: &str, value: Value| {
        object["spec"][field] = value;
        object
    };
    for object in [
        held(objects::pod("held", &asking)),
        objects::pod("goes", &asking),
        objects::pod("plain", &objects::template(&[])),
        held(with(objects::job("held", &asking), "suspend", json!(true))),
        with(objects::job("waits", &asking), "suspend", json!(true)),
        with(objects::deployment("scaled", &asking), "replicas", json!(0)),
        with(objects::stateful_set("goes-slowly", &asking), "replicas", json!(0)),
        with(objects::cron_job("stops", &asking), "schedule", json!("@yearly")),
    ] {
        scene.given(&scene.bob, &object).await?;
    }
    let namespace: v1::Namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
    Api::all(scene.bobs.client.clone()).create(&PostParams::default(), &namespace).await?;
    let admin = scene.almighty("admin");
    for object in [objects::job("a", &asking), objects::deployment("a", &asking), objects::stateful_set("a", &asking)] {
        eventually("the namespace has what asks for secrets", async || match admin.create(NAMESPACE, &object).await {
            Ok(outcome) => outcome.map(drop),
            Err(error) => Err(format!("{error:#}")),
        })
        .await?;
    }
    Ok(())
}

/// Each row: what is refused since nobody can say whether it may be, and beside it what is no business of ours.
pub(crate) fn while_it_is_away(scene: &Scene) -> Vec<Row> {
    [pods(scene), submissions(scene), templates(scene)].into_iter().flatten().collect()
}

fn merge(scene: &Scene, path: &str, patch: &Value) -> Attempt {
    scene.almighty("admin").patch(path, Form::Merge, patch)
}

fn asking(name: &str) -> Value {
    objects::template(&[ASKS, ("example.com/of", name)])
}

fn pods(scene: &Scene) -> Vec<Row> {
    let admin = scene.almighty("admin");
    let new = |pod: &Value| admin.create(&scene.bobs.name, pod);
    let asks = |name: &str| new(&objects::pod(name, &asking(name)));
    let names = |secret: &str| {
        let mut pod = objects::pod("names", &objects::template(&[]));
        pod["spec"]["volumes"] = json!([{"name": "a", "secret": {"secretName": secret}}]);
        new(&pod)
    };
    let debug = |pod: &str| {
        let container = json!({"name": "debug", "image": "registry.invalid/debug"});
        let path = format!("{}/ephemeralcontainers", core(scene, "Pod", pod));
        admin.patch(&path, Form::Strategic, &json!({"spec": {"ephemeralContainers": [container]}}))
    };
    let held = core(scene, "Pod", "held");
    let kubelet = Somebody::with_all_rights(&scene.bobs.client, "system:node:nowhere", &["system:nodes"]);
    let status = json!({"status": {"conditions": [{"type": "example.com/a", "status": "True"}]}});
    let status = kubelet.patch(&format!("{held}/status"), Form::Strategic, &status);
    let free = merge(scene, &held, &json!({"metadata": {"finalizers": null}}));
    let gone = admin.delete(&core(scene, "Pod", "goes"), &json!({}));
    [
        ("a debug container of a Pod that asks, beside one of a Pod that does not", debug("held"), debug("plain")),
        ("a Pod that names a delivery, beside one that names another Secret", names("apolo-shared-1"), names("own")),
        ("a Pod, beside a status", asks("a"), status),
        ("a Pod, beside a finalizer", asks("b"), free),
        ("a Pod, beside a deletion", asks("c"), gone),
    ]
    .map(|(name, attack, twin)| Row::new(name, attack, "failed calling webhook \"pods.secrets.apolo.us\"", twin))
    .into()
}

/// Workloads that are submitted, beside what happens to those that are there.
fn submissions(scene: &Scene) -> Vec<Row> {
    let (namespace, admin) = (&scene.bobs.name, scene.almighty("admin"));
    let job = |name: &str| path(namespace, "Job", "batch/v1", name);
    let scaled = path(namespace, "Deployment", "apps/v1", "scaled");
    let slowly = path(namespace, "StatefulSet", "apps/v1", "goes-slowly");
    let free = merge(scene, &job("held"), &json!({"metadata": {"finalizers": null}}));
    let on = merge(scene, &job("waits"), &json!({"spec": {"suspend": false}}));
    let stops = path(namespace, "CronJob", "batch/v1", "stops");
    let stops = merge(scene, &stops, &json!({"spec": {"suspend": true}}));
    let scale = merge(scene, &format!("{scaled}/scale"), &json!({"spec": {"replicas": 1}}));
    let status = json!({"status": {"collisionCount": 1}});
    let controller = scene.controller("deployment-controller");
    let status = controller.patch(&format!("{scaled}/status"), Form::Merge, &status);
    let gone = admin.delete(&slowly, &json!({"propagationPolicy": "Foreground"}));
    [
        ("a Job, beside a finalizer", objects::job("a", &asking("a")), free),
        ("a Job, beside one that goes on", objects::job("b", &asking("b")), on),
        ("a CronJob, beside one that stops", objects::cron_job("a", &asking("a")), stops),
        ("a Deployment, beside its scale", objects::deployment("a", &asking("a")), scale),
        ("a ReplicaSet, beside a status", objects::replica_set("a", &asking("a")), status),
        ("a StatefulSet, beside a deletion", objects::stateful_set("a", &asking("a")), gone),
        ("a DaemonSet, beside a namespace that goes", objects::daemon_set("a", &asking("a")), namespace_goes(scene)),
    ]
    .map(|(name, object, twin)| Row::new(name, admin.create(namespace, &object), "failed calling webhook \"", twin))
    .into()
}

/// Changes of a Deployment that asks: of its template, and of all else.
fn templates(scene: &Scene) -> Vec<Row> {
    let path = path(&scene.bobs.name, "Deployment", "apps/v1", "scaled");
    let image = json!({"spec": {"containers": [{"name": "main", "image": "registry.invalid/a"}]}});
    let template = |template: Value| json!({"spec": {"template": template}});
    let annotation = |name: &str| json!({"metadata": {"annotations": {name: "A=secret:a"}}});
    [
        (
            "a template's request",
            template(json!({"metadata": {"annotations": {ENV: "A=secret:b"}}})),
            json!({"metadata": {"labels": {"team": "blue"}}}),
        ),
        ("a template's image", template(image), json!({"spec": {"revisionHistoryLimit": 1}})),
        ("an annotation of ours above it", annotation(ENV), annotation("example.com/env")),
    ]
    .map(|(name, attack, twin)| {
        let (attack, twin) = (merge(scene, &path, &attack), merge(scene, &path, &twin));
        Row::new(name, attack, "failed calling webhook \"deployments.apps.secrets.apolo.us\"", twin)
    })
    .into()
}

/// Deletes a namespace with workloads that ask, and waits until it is gone.
fn namespace_goes(scene: &Scene) -> Attempt {
    let namespaces: Api<v1::Namespace> = Api::all(scene.bobs.client.clone());
    let delete = scene.almighty("admin").delete(&format!("/api/v1/namespaces/{NAMESPACE}"), &json!({}));
    attempt(async move {
        if let Err(refused) = delete.await? {
            return Ok(Err(refused));
        }
        let gone = eventually("the namespace is gone", async || match namespaces.get_opt(NAMESPACE).await {
            Ok(None) => Ok(()),
            Ok(Some(namespace)) => Err(format!("{:?}", namespace.status)),
            Err(error) => Err(error.to_string()),
        });
        Ok(gone.await.map(|()| Value::Null).map_err(|error| error.to_string()))
    })
}
