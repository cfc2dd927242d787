//! Copies of shared secrets, which our controller alone writes.

use apolo_tests::{
    attempts::{Attempt, Form, Row, attempt},
    eventually::eventually,
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
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
    rows.extend(gone(scene).await?);
    Ok(rows)
}

/// Nobody keeps a copy that goes, nor keeps it from going: Kubernetes' own collector takes away what holds it.
async fn gone(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let controller = scene.almighty(CONTROLLER);
    let mut rows = Vec::new();
    for (name, policy) in [("apolo-shared-orphaning", "Orphan"), ("apolo-shared-foreground", "Foreground")] {
        scene.given(&controller, &secret(name)).await?;
        let copy = core(scene, "Secret", name);
        let held = json!({"metadata": {"finalizers": ["example.com/held"]}});
        rows.push(Row::new(
            format!("a copy that is held, beside one that is deleted with {policy}"),
            scene.bob.patch(&copy, Form::Merge, &held),
            COPY,
            is_gone(scene, name, scene.bob.delete(&copy, &json!({"propagationPolicy": policy}))),
        ));
    }
    let owner = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    let mut owners = Vec::new();
    for name in ["goes", "stays"] {
        let stored = scene.given(&scene.bob, &owner(name)).await?;
        owners.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": stored["metadata"]["uid"]}));
    }
    let mut owned = secret("apolo-shared-owned");
    owned["metadata"]["ownerReferences"] = json!(owners);
    scene.given(&controller, &owned).await?;
    rows.push(Row::new(
        "an owner more of a copy, beside one less",
        scene.bob.patch(
            &core(scene, "Secret", "apolo-shared-4"),
            Form::Json,
            &json!([{"op": "replace", "path": "/metadata/ownerReferences", "value": owners}]),
        ),
        COPY,
        scene.controller("generic-garbage-collector").patch(
            &core(scene, "Secret", "apolo-shared-owned"),
            Form::Merge,
            &json!({"metadata": {"ownerReferences": owners[1..]}}),
        ),
    ));
    Ok(rows)
}

/// Deletes a Secret, and waits until it is gone.
fn is_gone(scene: &Scene, name: &str, delete: Attempt) -> Attempt {
    let (secrets, name): (Api<Secret>, _) = (scene.bobs.api(), name.to_owned());
    attempt(async move {
        if let Err(refused) = delete.await? {
            return Ok(Err(refused));
        }
        let gone = eventually("the copy is gone", async || match secrets.get_metadata_opt(&name).await {
            Ok(None) => Ok(()),
            Ok(Some(held)) => Err(format!("held by {:?}", held.metadata.finalizers)),
            Err(error) => Err(error.to_string()),
        });
        Ok(gone.await.map(|()| Value::Null).map_err(|error| error.to_string()))
    })
}
