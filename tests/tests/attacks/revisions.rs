//! Revisions of StatefulSets and DaemonSets, whose Pods bear the stamp that stands in one: only their controllers write them.

use anyhow::Context;
use apolo_tests::{
    attempts::{Form, Row, path},
    objects,
};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::{
    Api,
    api::{ListParams, ResourceExt},
};
use serde_json::{Value, json};

use super::scene::{BY, ENV, Scene};

const REVISION: &str = "is written by the controllers of StatefulSets and DaemonSets only";
const OTHER: &str = "example.com/launched-by";
const LAID_OVER: &str = "a ControllerRevision that is laid over the template of a StatefulSet";

pub(crate) async fn rows(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let mut rows = created(scene);
    rows.extend(written_otherwise(scene));
    rows.extend(laid_over(scene));
    rows.push(selected(scene).await?);
    rows.push(changed(scene).await?);
    Ok(rows)
}

fn revision(data: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "a"}, "revision": 1, "data": data})
}

fn template(annotation: &str) -> Value {
    json!({"metadata": {"annotations": {annotation: "alice"}}})
}

fn created(scene: &Scene) -> Vec<Row> {
    let of = |annotation: &str| revision(&json!({"spec": {"template": template(annotation)}}));
    ["mallory", "system:serviceaccount:kube-system:deployment-controller", "system:kube-controller-manager"]
        .map(|name| {
            let who = scene.almighty(name);
            let create = |annotation: &str| who.dry_create(&scene.bobs.name, &of(annotation));
            Row::new(format!("a revision that bears a stamp, by {name}"), create(BY), REVISION, create(OTHER))
        })
        .into()
}

/// Kubernetes reads the fields of a revision without regard to case, as Unicode has it.
fn written_otherwise(scene: &Scene) -> Vec<Row> {
    let mallory = scene.almighty("mallory");
    let annotations = |field: &str, name: &str| json!({field: {name: "alice"}});
    let create = |data: &Value| mallory.dry_create(&scene.bobs.name, &revision(data));
    let all = |name: &str| {
        [
            json!({"Spec": {"template": template(name)}}),
            json!({"spec": {"Template": template(name)}}),
            json!({"spec": {"template": {"Metadata": annotations("annotations", name)}}}),
            json!({"spec": {"template": {"metadata": annotations("Annotations", name)}}}),
            json!({"spec": {"template": {"metadata": annotations("annotation\u{17f}", name)}}}),
        ]
    };
    all(BY)
        .iter()
        .zip(&all(OTHER))
        .map(|(attack, twin)| {
            let name = format!("a revision that bears a stamp, written as {attack}");
            Row::new(name, create(attack), REVISION, create(twin))
        })
        .collect()
}

fn labelled(data: &Value) -> Value {
    let mut revision = revision(data);
    revision["metadata"]["labels"] = json!({"app": "bobs"});
    revision
}

/// What a StatefulSet goes back to is laid over what it is now: where its template is not replaced whole, bob's stamp stays beside what
/// somebody else says.
fn laid_over(scene: &Scene) -> Vec<Row> {
    let mallory = scene.almighty("mallory");
    let create = |data: &Value| mallory.dry_create(&scene.bobs.name, &labelled(data));
    let runs = json!({"spec": {"containers": [{"name": "main", "image": "registry.invalid/mallorys"}]}});
    let claims = json!([{"metadata": {"name": "code"}}]);
    let whole = json!({"$patch": "replace", "spec": runs["spec"]});
    let of_bobs = &scene.bobs.name;
    [
        ("what runs", json!({"spec": {"template": runs}}), json!({"spec": {"template": whole}})),
        ("what runs, as Spec", json!({"Spec": {"template": whole}}), json!({"spec": {"template": whole}})),
        ("what runs, as \u{17f}pec", json!({"\u{17f}pec": {"template": runs}}), json!({"spec": {"template": whole}})),
        ("what runs, as Template", json!({"spec": {"Template": whole}}), json!({"spec": {"template": whole}})),
        ("another patch", json!({"spec": {"template": {"$patch": "merge"}}}), json!({"spec": {"template": whole}})),
        (
            "its claims",
            json!({"spec": {"volumeClaimTemplates": claims}}),
            json!({"spec": {"template": whole, "volumeClaimTemplates": claims}}),
        ),
        (
            "its claims, as \u{17f}",
            json!({"spec": {"volumeClaimTemplate\u{17f}": claims}}),
            json!({"spec": {"of": claims}}),
        ),
        (
            "its namespace",
            json!({"metadata": {"namespace": "mallorys"}}),
            json!({"metadata": {"namespace": of_bobs}, "spec": {"cpu": 1}}),
        ),
    ]
    .map(|(what, attack, twin)| {
        Row::new(format!("a revision that says no more than {what}"), create(&attack), LAID_OVER, create(&twin))
    })
    .into()
}

/// Without labels nothing goes back to a revision, and some other project's are so.
async fn selected(scene: &Scene) -> anyhow::Result<Row> {
    let mallory = scene.almighty("mallory");
    let mut other = revision(&json!({"spec": {"template": {"spec": {"domain": {}}}}}));
    other["metadata"]["name"] = json!("of-a-virtual-machine");
    let stored = scene.given(&mallory, &other).await?;
    let name = stored["metadata"]["name"].as_str().unwrap_or_default();
    let path = path(&scene.bobs.name, "ControllerRevision", "apps/v1", name);
    let change = |field: &str| mallory.patch(&path, Form::Merge, &json!({"metadata": {field: {"app": "bobs"}}}));
    Ok(Row::new("a revision that comes to be selected", change("labels"), LAID_OVER, change("annotations")))
}

/// One that is there; and its controller does write those that bear a stamp.
async fn changed(scene: &Scene) -> anyhow::Result<Row> {
    let asks = objects::template(&[(ENV, "A=secret:a")]);
    scene.given(&scene.bob, &objects::stateful_set("set", &asks)).await?;
    scene.given(&scene.bob, &objects::daemon_set("daemons", &asks)).await?;
    scene.bobs.pod_of("set").await?;
    scene.bobs.pod_of("daemons").await?;
    let revisions: Api<ControllerRevision> = scene.bobs.api();
    let stored = revisions.list(&ListParams::default().labels("app=set")).await?;
    let name = stored.items.first().context("the StatefulSet has no revision")?.name_any();
    let path = path(&scene.bobs.name, "ControllerRevision", "apps/v1", &name);
    let mallory = scene.almighty("mallory");
    let data = json!({"data": {"spec": {"template": template(BY)}}});
    let twin = json!({"metadata": {"annotations": {OTHER: "alice"}}});
    // Kubernetes itself keeps the data of a revision as it is.
    Ok(Row::new(
        "a revision changed into one of alice's",
        mallory.patch(&path, Form::Merge, &data),
        "field is immutable",
        mallory.patch(&path, Form::Merge, &twin),
    ))
}
