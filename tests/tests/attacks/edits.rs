//! What bob launched, and mallory changes or takes over: whoever changes what runs has launched it.

use apolo_tests::{
    attempts::{Form, Row, Somebody, done, path},
    eventually::eventually,
    objects,
};
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::{
    Api,
    api::{ListParams, ResourceExt},
};
use serde_json::{Value, json};

use super::scene::{BOBS, BY, ENV, Scene};

pub(crate) async fn rows(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let mut rows = edited(scene).await?;
    rows.push(owned(scene).await?);
    rows.extend(deleted(scene).await?);
    rows.extend(moved(scene).await?);
    rows.extend(taken_over(scene).await?);
    Ok(rows)
}

/// Without Pods, so that what is tried is all that happens.
fn asleep(mut object: Value) -> Value {
    object["spec"]["replicas"] = json!(0);
    object
}

/// Each change of a template by mallory, and the same by bob.
async fn edited(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let namespace = &scene.bobs.name;
    let template = scene.stamped(BOBS, "bob", "");
    let mut rows = Vec::new();
    for (kind, object) in [
        ("Deployment", objects::deployment("edited", &template)),
        ("StatefulSet", objects::stateful_set("edited-set", &template)),
    ] {
        scene.given(&scene.bob, &asleep(object.clone())).await?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let path = path(namespace, kind, "apps/v1", name);
        let image = |name: &str| json!({"containers": [{"name": "main", "image": format!("registry.invalid/{name}")}]});
        for (what, change) in [
            ("the image", json!({"spec": image("mallorys")})),
            ("the image, with bob's stamp", json!({"metadata": {"annotations": {BY: "bob"}}, "spec": image("others")})),
            ("the command", json!({"spec": {"containers": [{"name": "main", "command": ["sh", "-c", "env"]}]}})),
            ("a container more", json!({"spec": {"containers": [{"name": "more", "image": "registry.invalid/more"}]}})),
            ("the account", json!({"spec": {"serviceAccountName": "trainer"}})),
            ("a label", json!({"metadata": {"labels": {"more": "a"}}})),
            (
                "a variable more",
                json!({"metadata": {"annotations": {ENV: format!("{},B=secret:b", scene.item(BOBS))}}}),
            ),
        ] {
            let patch = json!({"spec": {"template": change}});
            let attack = scene.mallory.patch(&path, Form::Strategic, &patch);
            let twin = scene.bob.patch(&path, Form::Strategic, &patch);
            rows.push(Row::new(format!("{kind}: {what}"), attack, scene.refusal("mallory", BOBS), twin));
        }
    }
    Ok(rows)
}

/// The hooks leave alone what is being deleted, and what its controller writes meanwhile can be left behind for another.
async fn deleted(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let namespace = &scene.bobs.name;
    let mut set = asleep(objects::stateful_set("goes", &scene.template(BOBS)));
    set["metadata"]["finalizers"] = json!(["example.com/stay"]);
    scene.given(&scene.bob, &set).await?;
    let path = path(namespace, "StatefulSet", "apps/v1", "goes");
    done(scene.bob.delete(&path, &json!({"propagationPolicy": "Background"}))).await?;
    let image =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "registry.invalid/a"}]}}}});
    let change = |who: &Somebody| who.patch(&path, Form::Strategic, &image);
    let mut said = objects::deployment("says-so", &scene.template(BOBS));
    said["metadata"]["deletionTimestamp"] = json!("2026-11-25T00:00:00Z");
    let apply = |who: &Somebody| who.apply(namespace, &said);
    Ok(vec![
        Row::new(
            "the image of a StatefulSet that is being deleted",
            change(&scene.mallory),
            "of a Pod template name another than you",
            change(&scene.bob),
        ),
        Row::new(
            "what says of itself, as it is made, that it is being deleted",
            apply(&scene.mallory),
            scene.refusal("mallory", BOBS),
            apply(&scene.bob),
        ),
    ])
}

/// What a controller made of bob's is no less his.
async fn owned(scene: &Scene) -> anyhow::Result<Row> {
    scene.given(&scene.bob, &asleep(objects::deployment("owns", &scene.template(BOBS)))).await?;
    let sets: Api<ReplicaSet> = scene.bobs.api();
    let owned = ListParams::default().labels("app=owns");
    let name = eventually("the Deployment has a ReplicaSet", async || {
        let sets = sets.list(&owned).await.map_err(|error| error.to_string())?;
        sets.items.first().map(ResourceExt::name_any).ok_or_else(|| "none".to_owned())
    })
    .await?;
    let path = path(&scene.bobs.name, "ReplicaSet", "apps/v1", &name);
    let image = json!({"containers": [{"name": "main", "image": "registry.invalid/mallorys"}]});
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {BY: "bob"}}, "spec": image}}});
    let change = |who: &Somebody| who.patch(&path, Form::Strategic, &patch);
    let (attack, twin) = (change(&scene.mallory), change(&scene.bob));
    Ok(Row::new("the image of the ReplicaSet of bob's Deployment", attack, scene.refusal("mallory", BOBS), twin))
}

/// Where Pods run is Kueue's to decide, and else makes the launcher.
async fn moved(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let mut job = objects::job("moved", &scene.template(BOBS));
    job["spec"]["suspend"] = json!(true);
    scene.given(&scene.bob, &job).await?;
    let path = path(&scene.bobs.name, "Job", "batch/v1", "moved");
    let kueue = scene.almighty("system:serviceaccount:kueue-system:kueue-controller-manager");
    let patch = |spec: Value| json!({"spec": {"suspend": false, "template": {"spec": spec}}});
    let nodes = patch(json!({"nodeSelector": {"pool": "a"}}));
    let attack = scene.mallory.patch(&path, Form::Strategic, &nodes);
    let twin = kueue.patch(&path, Form::Strategic, &nodes);
    Ok(vec![Row::new("Job: started on other nodes", attack, scene.refusal("mallory", BOBS), twin)])
}

/// What is bob's, under a workload of mallory's, or back from what it was.
async fn taken_over(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let (namespace, mallory, bob) = (&scene.bobs.name, &scene.mallory, &scene.bob);
    let refusal = scene.refusal("mallory", BOBS);
    let template = scene.stamped(BOBS, "bob", "");

    // A Deployment adopts the ReplicaSets that it selects, and takes one with its template for its own.
    scene.given(bob, &asleep(objects::replica_set("loose", &template))).await?;
    let over = asleep(objects::deployment("loose", &template));
    let adopts = Row::new(
        "a Deployment that selects bob's ReplicaSet",
        mallory.create(namespace, &over),
        &*refusal,
        bob.create(namespace, &over),
    );
    scene.given(bob, &asleep(objects::deployment("adopts", &template))).await?;
    let under = asleep(objects::replica_set("adopts", &template));
    let adopted = Row::new(
        "a bare ReplicaSet that bob's Deployment selects",
        mallory.create(namespace, &under),
        &*refusal,
        bob.create(namespace, &under),
    );

    // Mallory may make something else of it, which asks for nothing; the way back is hers, too.
    scene.given(bob, &asleep(objects::deployment("rolled", &template))).await?;
    let path = path(namespace, "Deployment", "apps/v1", "rolled");
    let annotations =
        |env: Value, by: Value| json!({"spec": {"template": {"metadata": {"annotations": {ENV: env, BY: by}}}}});
    done(mallory.patch(&path, Form::Merge, &annotations(Value::Null, Value::Null))).await?;
    let back = annotations(json!(scene.item(BOBS)), json!("bob"));
    let rolled = Row::new(
        "a Deployment rolled back to bob's template",
        mallory.patch(&path, Form::Merge, &back),
        &*refusal,
        bob.patch(&path, Form::Merge, &back),
    );
    Ok(vec![adopts, adopted, rolled])
}
