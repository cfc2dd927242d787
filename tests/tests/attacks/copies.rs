//! Copies of shared secrets, which our controller alone writes.

use apolo_tests::attempts::{Form, Row};
use serde_json::{Value, json};

use super::scene::{Scene, core};

const CONTROLLER: &str = "system:serviceaccount:apolo-secrets:apolo-secrets-controller";
const COPY: &str = "which apolo's controller writes; choose another name";

pub(crate) async fn rows(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let mut rows = made(scene);
    rows.extend(changed(scene).await?);
    Ok(rows)
}

fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"a": "of-mallory"}})
}

/// A Pod that waits would take what has the name of its delivery.
fn made(scene: &Scene) -> Vec<Row> {
    let namespace = &scene.bobs.name;
    let (bob, controller) = (&scene.bob, scene.almighty(CONTROLLER));
    let generated = |prefix: &str| {
        let mut secret = secret("a");
        secret["metadata"] = json!({"generateName": prefix});
        bob.create(namespace, &secret)
    };
    let mut typed = secret("apolo-shared-2");
    typed["type"] = json!("kubernetes.io/basic-auth");
    typed["stringData"] = json!({"username": "a", "password": "b"});
    let mut rows = vec![
        Row::new(
            "a copy pre-made",
            bob.create(namespace, &secret("apolo-shared-2")),
            COPY,
            bob.create(namespace, &secret("apolo-sharing-2")),
        ),
        Row::new(
            "a copy pre-made, named by the API server",
            generated("apolo-shared-"),
            COPY,
            generated("apolo-sharing-"),
        ),
        Row::new(
            "a copy pre-made by applying it",
            bob.apply(namespace, &secret("apolo-shared-2")),
            COPY,
            bob.apply(namespace, &secret("apolo-sharing-3")),
        ),
        Row::new(
            "a copy pre-made, of another type",
            bob.create(namespace, &typed),
            COPY,
            controller.dry_create(namespace, &typed),
        ),
    ];
    for (number, account) in [
        "system:serviceaccount:apolo-secrets:apolo-secrets-webhook".to_owned(),
        format!("system:serviceaccount:{namespace}:apolo-secrets-controller"),
        "system:serviceaccount:kube-system:generic-garbage-collector".to_owned(),
        "admin".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let secret = secret(&format!("apolo-shared-by-{number}"));
        let attack = scene.almighty(&account).create(namespace, &secret);
        rows.push(Row::new(
            format!("a copy pre-made by {account}"),
            attack,
            COPY,
            controller.create(namespace, &secret),
        ));
    }
    rows
}

/// A copy that is there.
async fn changed(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let (bob, controller) = (&scene.bob, scene.almighty(CONTROLLER));
    for name in ["apolo-shared-3", "apolo-shared-4", "apolo-shared-5"] {
        scene.given(&controller, &secret(name)).await?;
    }
    let copy = core(scene, "Secret", "apolo-shared-3");
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}});
    let config = scene.given(bob, &config).await?;
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": config["metadata"]["uid"]}]);
    let mut rows = Vec::new();
    for (what, patch) in [
        ("the value", json!({"stringData": {"a": "another"}})),
        ("an entry more", json!({"stringData": {"b": "another"}})),
        ("an entry taken away", json!({"data": {"a": null}})),
        ("a label", json!({"metadata": {"labels": {"secrets.apolo.us/managed": "true"}}})),
        ("an annotation", json!({"metadata": {"annotations": {"secrets.apolo.us/key": "a"}}})),
        ("an owner more", json!({"metadata": {"ownerReferences": owner}})),
        ("a finalizer more", json!({"metadata": {"finalizers": ["example.com/held"]}})),
        ("that it is immutable", json!({"immutable": true})),
    ] {
        let twin = if patch["metadata"].is_null() { copy.clone() } else { core(scene, "Secret", "apolo-shared-4") };
        let (attack, twin) = (bob.patch(&copy, Form::Merge, &patch), controller.patch(&twin, Form::Merge, &patch));
        rows.push(Row::new(format!("of a copy {what}"), attack, COPY, twin));
    }
    let mut other = secret("apolo-shared-5");
    other["stringData"]["a"] = json!("another");
    let namespace = &scene.bobs.name;
    let (attack, twin) = (bob.replace(namespace, &other), controller.replace(namespace, &other));
    rows.push(Row::new("a copy replaced", attack, COPY, twin));
    Ok(rows)
}
