//! Pods that name a delivery, the copy of somebody's secret, in whatever field, without asking for it.

use anyhow::Context;
use apolo_tests::{
    attempts::{Form, Row, Somebody, attempt, done, path},
    objects,
    webhook::RELEASE,
};
use serde_json::{Value, json};

use super::scene::{BOBS, ENV, Scene, core, made_by_controller};

/// A delivery that nothing of this test asks for.
const ANOTHERS: &str = "apolo-shared-1";
const UNASKED: &str = "the Pod names apolo-shared-1, which its annotations do not ask for";

pub(crate) async fn rows(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let asked = scene.given(&scene.bob, &objects::pod("asks", &scene.template(BOBS))).await?;
    let own = &asked["spec"]["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"]["name"];
    let own = own.as_str().context("no delivery")?;
    let mut rows = unannotated(scene);
    rows.extend(annotated(scene, own));
    rows.extend(debugged(scene, own).await?);
    rows.extend(through_others(scene).await?);
    rows.extend(closed(scene).await?);
    rows.extend(left_alone(scene));
    Ok(rows)
}

/// The template as a Pod that names this Secret in one field, for each field that can.
fn naming(template: &Value, secret: &str) -> Vec<(&'static str, Value)> {
    let pod = |change: &dyn Fn(&mut Value)| {
        let mut pod = objects::pod("names", template);
        change(&mut pod["spec"]);
        pod
    };
    let volume = |source: Value| {
        let mut volume = source;
        volume["name"] = json!("volume");
        pod(&|spec| spec["volumes"] = json!([volume]))
    };
    let name = json!({"name": secret});
    let env = json!([{"name": "NAMED", "valueFrom": {"secretKeyRef": {"name": secret, "key": "a"}}}]);
    let env_from = json!([{"secretRef": name}]);
    let init = |field: &str, value: &Value| {
        pod(&|spec| spec["initContainers"] = json!([{"name": "init", "image": "registry.invalid/init", field: value}]))
    };
    let iscsi = json!({"targetPortal": "a", "iqn": "iqn.2001-04.com.example:a", "lun": 0, "secretRef": name});
    vec![
        ("a secret volume", volume(json!({"secret": {"secretName": secret}}))),
        ("an optional secret volume", volume(json!({"secret": {"secretName": secret, "optional": true}}))),
        (
            "a projected volume",
            volume(json!({"projected": {"sources": [{"secret": {"name": "own"}}, {"secret": name}]}})),
        ),
        ("a csi volume", volume(json!({"csi": {"driver": "a.example.com", "nodePublishSecretRef": name}}))),
        ("an azureFile volume", volume(json!({"azureFile": {"secretName": secret, "shareName": "a"}}))),
        ("a cephfs volume", volume(json!({"cephfs": {"monitors": ["a"], "secretRef": name}}))),
        ("a cinder volume", volume(json!({"cinder": {"volumeID": "a", "secretRef": name}}))),
        ("a flexVolume", volume(json!({"flexVolume": {"driver": "a/b", "secretRef": name}}))),
        ("an iscsi volume", volume(json!({"iscsi": iscsi}))),
        ("an rbd volume", volume(json!({"rbd": {"monitors": ["a"], "image": "a", "secretRef": name}}))),
        (
            "a scaleIO volume",
            volume(json!({"scaleIO": {"gateway": "a", "system": "a", "volumeName": "a", "secretRef": name}})),
        ),
        ("a storageos volume", volume(json!({"storageos": {"volumeName": "a", "secretRef": name}}))),
        ("imagePullSecrets", pod(&|spec| spec["imagePullSecrets"] = json!([{"name": "own"}, name]))),
        ("env", pod(&|spec| spec["containers"][0]["env"] = env.clone())),
        ("envFrom", pod(&|spec| spec["containers"][0]["envFrom"] = env_from.clone())),
        ("env of an init container", init("env", &env)),
        ("envFrom of an init container", init("envFrom", &env_from)),
    ]
}

/// A row for each field, tried by somebody without keeping it.
fn in_each_field(what: &str, who: &Somebody, namespace: &str, words: &str, template: &Value, own: &str) -> Vec<Row> {
    let pairs = naming(template, ANOTHERS).into_iter().zip(naming(template, own));
    pairs
        .map(|((field, attack), (_, twin))| {
            let (attack, twin) = (who.dry_create(namespace, &attack), who.dry_create(namespace, &twin));
            Row::new(format!("{what}: {field}"), attack, words, twin)
        })
        .collect()
}

fn unannotated(scene: &Scene) -> Vec<Row> {
    let plain = objects::template(&[]);
    in_each_field("a Pod that asks for nothing", &scene.mallory, &scene.bobs.name, UNASKED, &plain, "own")
}

/// One that asks for a delivery may name that one, and no other.
fn annotated(scene: &Scene, own: &str) -> Vec<Row> {
    let asks = scene.template(BOBS);
    in_each_field("a Pod that asks for another", &scene.bob, &scene.bobs.name, UNASKED, &asks, own)
}

/// A debug container comes later.
async fn debugged(scene: &Scene, own: &str) -> anyhow::Result<Vec<Row>> {
    let almighty = scene.almighty("mallory");
    let mut rows = Vec::new();
    scene.given(&scene.mallory, &objects::pod("plain", &objects::template(&[]))).await?;
    for (pod, twins) in [("plain", "own"), ("asks", own)] {
        let path = format!("{}/ephemeralcontainers", core(scene, "Pod", pod));
        for field in ["env", "envFrom"] {
            let debug = |secret: &str| {
                let value = match field {
                    "env" => json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": "a"}}}]),
                    _ => json!([{"secretRef": {"name": secret}}]),
                };
                let name = format!("debug-{}", field.to_lowercase());
                let container = json!({"name": name, "image": "registry.invalid/debug", field: value});
                almighty.patch(&path, Form::Strategic, &json!({"spec": {"ephemeralContainers": [container]}}))
            };
            let name = format!("{field} of a debug container in the Pod that {pod}");
            rows.push(Row::new(name, debug(ANOTHERS), UNASKED, debug(twins)));
        }
    }
    Ok(rows)
}

/// What Kubernetes makes of an account, or of a template that is not held up.
async fn through_others(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let namespace = &scene.bobs.name;
    for (name, secret) in [("puller", ANOTHERS), ("own-puller", "own")] {
        let mut account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        account["imagePullSecrets"] = json!([{"name": secret}]);
        scene.bobs.create(&account).await?;
    }
    let by_account = |account: &str| {
        let mut pod = objects::pod("pulls", &objects::template(&[]));
        pod["spec"]["serviceAccountName"] = json!(account);
        scene.mallory.create(namespace, &pod)
    };
    let mut rows =
        vec![Row::new("imagePullSecrets of an account", by_account("puller"), UNASKED, by_account("own-puller"))];
    for (kind, object) in [("job", objects::job as fn(&str, &Value) -> Value), ("set", objects::replica_set)] {
        let naming = |whose: &str, secret: &str| {
            let mut template = objects::template(&[]);
            template["spec"]["containers"][0]["envFrom"] = json!([{"secretRef": {"name": secret}}]);
            object(&format!("{kind}-names-{whose}"), &template)
        };
        let (attack, twin) = (naming("anothers", ANOTHERS), naming("own", "own"));
        rows.push(Row::new(
            format!("a Pod of mallory's {}", attack["kind"]),
            made_by_controller(scene, &scene.mallory, &attack),
            UNASKED,
            made_by_controller(scene, &scene.mallory, &twin),
        ));
    }
    Ok(rows)
}

/// The hooks leave these namespaces alone, and the policy closes them.
async fn closed(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let admin = scene.almighty("admin");
    let mut asks = objects::pod("asks-here", &objects::template(&[(ENV, "A=secret:a")]));
    asks["spec"]["serviceAccountName"] = json!("default");
    let mut rows = Vec::new();
    for namespace in ["kube-system", RELEASE] {
        let words = format!("Pods in namespace {namespace} cannot ask for secrets by annotation; run them in another");
        let twin = admin.dry_create(&scene.bobs.name, &asks);
        rows.push(Row::new(format!("a Pod that asks in {namespace}"), admin.dry_create(namespace, &asks), words, twin));
        let words = format!("Pods in namespace {namespace} cannot use shared secrets; run them in another");
        let plain = objects::template(&[]);
        rows.extend(in_each_field(&format!("a Pod in {namespace}"), &admin, namespace, &words, &plain, "own"));
        let name = format!("plain-of-{}", scene.bobs.name);
        done(admin.create(namespace, &objects::pod(&name, &plain))).await?;
        let pod = path(namespace, "Pod", "v1", &name);
        let debug = |secret: &str| {
            let env_from = json!([{"secretRef": {"name": secret}}]);
            let container = json!({"name": "debug", "image": "registry.invalid/debug", "envFrom": env_from});
            let patch = json!({"spec": {"ephemeralContainers": [container]}});
            admin.patch(&format!("{pod}/ephemeralcontainers"), Form::Strategic, &patch)
        };
        rows.push(Row::new(format!("a debug container in {namespace}"), debug(ANOTHERS), words, debug("own")));
        rows.push(Row::new(
            format!("a request in {namespace} that comes later"),
            admin.patch(&pod, Form::Merge, &json!({"metadata": {"annotations": {ENV: "A=secret:a"}}})),
            "begin with secrets.apolo.us/ are fixed at its creation",
            admin.delete(&pod, &json!({"gracePeriodSeconds": 0})),
        ));
    }
    Ok(rows)
}

/// No other namespace passes for one of these, nor a Pod for one that kubelet has made by itself.
fn left_alone(scene: &Scene) -> Vec<Row> {
    const STAYS: &str = "the namespace keeps its name";
    let admin = scene.almighty("admin");
    let namespace = format!("/api/v1/namespaces/{}", scene.bobs.name);
    let label =
        |name: &str, value: &str| admin.patch(&namespace, Form::Merge, &json!({"metadata": {"labels": {name: value}}}));
    let renamed = label("kubernetes.io/metadata.name", "kube-system");
    let own_name = json!(scene.bobs.name);
    let renamed = attempt(async move {
        let stays = |stored: &Value| stored["metadata"]["labels"]["kubernetes.io/metadata.name"] == own_name;
        let outcome = renamed.await?;
        Ok(outcome.and_then(|stored| if stays(&stored) { Err(STAYS.to_owned()) } else { Ok(stored) }))
    });
    let kubelet = Somebody::with_all_rights(&scene.bobs.client, "system:node:nowhere", &["system:nodes"]);
    let on_node = |annotation: &str| {
        let mut pod = objects::pod("mirrors", &objects::template(&[(ENV, "A=secret:a"), (annotation, "1")]));
        pod["spec"]["nodeName"] = json!("nowhere");
        kubelet.dry_create(&scene.bobs.name, &pod)
    };
    let mirrors = on_node("kubernetes.io/config.mirror");
    vec![
        Row::new("a namespace that calls itself kube-system", renamed, STAYS, label("team", "blue")),
        Row::new("a mirror Pod", mirrors, "a static Pod cannot use secrets", on_node("example.com/config.mirror")),
    ]
}
