//! Mutating webhooks of others, asked after ours: what they leave is what is decided on.

use apolo_tests::{
    attempts::{Attempt, Row, Somebody, attempt},
    eventually::eventually,
    objects,
    others::{LABEL, Other},
};
use serde_json::{Value, json};

use super::scene::{BOBS, BY, ENV, HERS, Scene, TRAINERS, VOLUME};

const LACKS: &str =
    "which its annotations ask for: apolo's mutating webhook did not see it, or another one changed it afterwards";

pub(crate) async fn rows(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    scene.bobs.other_webhooks(&others(scene)).await?;
    let asked = objects::pod("probe", &objects::template(&[]));
    let probe = labelled(&asked, "seen");
    eventually("the other webhooks are asked", async || {
        let made = scene.mallory.dry_create(&scene.bobs.name, &probe).await.map_err(|error| format!("{error:#}"))??;
        if made["metadata"]["labels"]["seen"] == "yes" { Ok(()) } else { Err("not seen".to_owned()) }
    })
    .await?;
    let mut rows = taken_away(scene);
    rows.extend(changed(scene));
    rows.push(sidecar(scene));
    Ok(rows)
}

/// Each is asked about the Pods with its name only, and again when ours has changed what it left.
fn others(scene: &Scene) -> Vec<Other> {
    let other = |name, patch| Other { name, reinvocation: "IfNeeded", patch };
    let add = |path: &str, value: Value| json!({"op": "add", "path": path, "value": value});
    let annotate =
        |name: &str, value: &str| add(&format!("/metadata/annotations/{}", name.replace('/', "~1")), json!(value));
    let mount = json!([{"name": "apolo-secrets", "mountPath": "/elsewhere", "readOnly": true}]);
    let account =
        |name: &str| json!([add("/spec/serviceAccountName", json!(name)), add("/spec/serviceAccount", json!(name))]);
    let requests = format!("{},OTHER=secret:/{}/{HERS}", scene.item(BOBS), scene.alice.name);
    let volume = json!([{"name": "volume", "secret": {"secretName": "apolo-shared-1"}}]);
    vec![
        other("seen", json!([add("/metadata/labels/seen", json!("yes"))])),
        other("no-volumes", json!([add("/spec/volumes", json!([]))])),
        other("no-files", json!([add("/spec/volumes", json!([])), add("/spec/containers/0/volumeMounts", json!([]))])),
        other("no-mounts", json!([add("/spec/containers/0/volumeMounts", json!([]))])),
        other("other-mounts", json!([add("/spec/containers/0/volumeMounts", mount)])),
        other("no-variables", json!([add("/spec/containers/0/env", json!([]))])),
        other("no-gates", json!([add("/spec/schedulingGates", json!([]))])),
        other("no-label", json!([add("/metadata/labels/secrets.apolo.us~1shared", json!("false"))])),
        other("bobs-stamp", json!([annotate(BY, "bob")])),
        other("other-request", json!([annotate(ENV, &requests)])),
        other("account-away", account("default")),
        other("account-given", account("trainer")),
        other("names-delivery", json!([add("/spec/volumes", volume)])),
        Other {
            name: "sidecar",
            reinvocation: "Never",
            patch: json!([add("/spec/containers/-", json!({"name": "sidecar", "image": "registry.invalid/sidecar"}))]),
        },
    ]
}

fn labelled(pod: &Value, webhook: &str) -> Value {
    let mut pod = pod.clone();
    pod["metadata"]["labels"][LABEL] = json!(webhook);
    pod
}

/// A Pod about which another webhook is asked, and the same about which one is that does no harm.
fn row(scene: &Scene, webhook: &str, who: &Somebody, pod: &Value, words: &str) -> Row {
    let create = |webhook: &str| who.dry_create(&scene.bobs.name, &labelled(pod, webhook));
    Row::new(format!("another webhook: {webhook}"), create(webhook), words, create("seen"))
}

/// What ours adds is there in the end, or the Pod is not.
fn taken_away(scene: &Scene) -> Vec<Row> {
    let item = format!("secret:/{}/{BOBS}:/etc/password", scene.alice.name);
    let files = without_token(objects::pod("files", &objects::template(&[(VOLUME, &item)])));
    let variables = objects::pod("variables", &scene.template(BOBS));
    [
        // Kubernetes itself looks whether the volume of a mount is there.
        ("no-volumes", &files, "Not found: \"apolo-secrets\""),
        ("no-files", &files, LACKS),
        ("no-mounts", &files, LACKS),
        ("other-mounts", &files, LACKS),
        ("no-variables", &variables, LACKS),
        ("no-gates", &variables, LACKS),
        ("no-label", &variables, LACKS),
    ]
    .map(|(webhook, pod, words)| row(scene, webhook, &scene.bob, pod, words))
    .into()
}

/// A Pod with no volume but those that it asks for.
fn without_token(mut pod: Value) -> Value {
    pod["spec"]["automountServiceAccountToken"] = json!(false);
    pod
}

/// Whose Pod it is in the end, and what it asks for then, is what counts.
fn changed(scene: &Scene) -> Vec<Row> {
    let pod = objects::pod("changed", &scene.template(BOBS));
    let mut trainers = objects::pod("trains-elsewhere", &scene.template(TRAINERS));
    trainers["spec"]["serviceAccountName"] = json!("trainer");
    let mut not_trainers = trainers.clone();
    not_trainers["spec"]["serviceAccountName"] = json!("default");
    let named = row(
        scene,
        "names-delivery",
        &scene.mallory,
        &without_token(objects::pod("asks-nothing", &objects::template(&[]))),
        "the Pod names apolo-shared-1, which its annotations do not ask for",
    );
    let mallory = |pod: &Value, webhook: &str| scene.mallory.dry_create(&scene.bobs.name, &labelled(pod, webhook));
    vec![
        named,
        row(scene, "other-request", &scene.bob, &pod, &scene.refusal("bob", HERS)),
        row(scene, "account-away", &scene.mallory, &trainers, &scene.refusal("mallory", TRAINERS)),
        Row::new(
            "another webhook gives the account that may, beside none",
            mallory(&not_trainers, "seen"),
            scene.refusal("mallory", TRAINERS),
            mallory(&not_trainers, "account-given"),
        ),
        Row::new(
            "another webhook writes bob's stamp",
            mallory(&pod, "bobs-stamp"),
            "name another than you; leave them out",
            scene.bob.dry_create(&scene.bobs.name, &labelled(&pod, "bobs-stamp")),
        ),
    ]
}

/// A container that comes after ours was asked gets nothing.
fn sidecar(scene: &Scene) -> Row {
    let mut with = objects::pod("with-sidecar", &scene.template(BOBS));
    let create = |pod: &Value, webhook: &str| scene.bob.dry_create(&scene.bobs.name, &labelled(pod, webhook));
    let added = create(&with, "sidecar");
    let sidecar = json!({"name": "sidecar", "image": "registry.invalid/sidecar"});
    with["spec"]["containers"].as_array_mut().into_iter().for_each(|it| it.push(sidecar.clone()));
    Row::new(
        "a sidecar that another webhook adds",
        has_variable(added),
        "the sidecar has no variable",
        has_variable(create(&with, "seen")),
    )
}

fn has_variable(created: Attempt) -> Attempt {
    attempt(async move {
        let outcome = created.await?;
        Ok(outcome.and_then(|pod| {
            let sidecar = &pod["spec"]["containers"][1];
            let is_there = sidecar["name"] == "sidecar";
            match (is_there, sidecar["env"].is_null()) {
                (true, false) => Ok(pod),
                (true, true) => Err("the sidecar has no variable".to_owned()),
                (false, _) => Err("there is no sidecar".to_owned()),
            }
        }))
    })
}
