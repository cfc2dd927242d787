//! What a Pod asks for, who launched it and what waits for its delivery, changed after its admission.

use apolo_tests::{
    attempts::{Attempt, Form, Row, Somebody, attempt},
    objects,
};
use serde_json::{Value, json};

use super::scene::{BOBS, BY, ENV, GATE, GROUPS, Scene, core};

const FIXED: &str = "begin with secrets.apolo.us/ are fixed at its creation; make another Pod";
const BOUND: &str = "a binding brings no annotation or label that begins with secrets.apolo.us/";
const GATED: &str = "the gate secrets.apolo.us/delivery is lifted by apolo's controller";
const WITHOUT_EFFECT: &str = "it has no effect";

pub(crate) async fn rows(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let mut rows = changed(scene).await?;
    rows.extend(in_other_ways(scene).await?);
    rows.extend(without_effect(scene));
    rows.extend(bound(scene).await?);
    rows.extend(gates(scene).await?);
    Ok(rows)
}

/// Those who change Pods, each with all rights, so that only a policy refuses.
fn identities(scene: &Scene) -> Vec<(&'static str, Somebody)> {
    let somebody = |name: &str, groups: &[&str]| Somebody::with_all_rights(&scene.bobs.client, name, groups);
    vec![
        ("a user", somebody("mallory", &[])),
        ("kubelet", somebody("system:node:nowhere", &["system:nodes"])),
        ("the scheduler", somebody("system:kube-scheduler", &[])),
    ]
}

/// Changes of what is ours, each beside the same of what is not.
fn changes() -> Vec<(&'static str, Value, Value)> {
    vec![
        (
            "another launcher",
            json!({"annotations": {BY: "alice"}}),
            json!({"annotations": {"example.com/launched-by": "alice"}}),
        ),
        (
            "a stamp taken away",
            json!({"annotations": {GROUPS: null}}),
            json!({"annotations": {"example.com/launched-by": null}}),
        ),
        (
            "another request",
            json!({"annotations": {ENV: "A=secret:b"}}),
            json!({"annotations": {"example.com/env": "A=secret:b"}}),
        ),
        (
            "a request taken away",
            json!({"annotations": {ENV: null}}),
            json!({"annotations": {"example.com/env": null}}),
        ),
        (
            "an annotation more",
            json!({"annotations": {"secrets.apolo.us/new": "a"}}),
            json!({"annotations": {"us.apolo.secrets/new": "a"}}),
        ),
        (
            "a label taken away",
            json!({"labels": {"secrets.apolo.us/shared": null}}),
            json!({"labels": {"shared": null}}),
        ),
        ("a label more", json!({"labels": {"secrets.apolo.us/new": "a"}}), json!({"labels": {"new": "a"}})),
    ]
}

/// Every change by everybody, of the Pod and through its status.
async fn changed(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let mut fixed = objects::pod("fixed", &scene.waiting(BOBS));
    fixed["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "2m"}});
    scene.given(&scene.bob, &fixed).await?;
    let pod = core(scene, "Pod", "fixed");
    let mut rows = Vec::new();
    for (who, somebody) in identities(scene) {
        for (path, through) in [(pod.clone(), ""), (format!("{pod}/status"), ", through the status")] {
            for (what, ours, other) in changes() {
                let patch = |metadata: Value| somebody.patch(&path, Form::Merge, &json!({"metadata": metadata}));
                rows.push(Row::new(format!("{what}, by {who}{through}"), patch(ours), FIXED, patch(other)));
            }
        }
    }
    Ok(rows)
}

/// The whole Pod replaced, applied, and changed by JSON Patch.
async fn in_other_ways(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let namespace = &scene.bobs.name;
    let stored = scene.given(&scene.bob, &objects::pod("replaced", &scene.waiting(BOBS))).await?;
    let user = scene.almighty("mallory");
    let with = |name: &str| {
        let mut pod = stored.clone();
        pod["metadata"]["annotations"][name] = json!("alice");
        pod["metadata"]["resourceVersion"].take();
        user.replace(namespace, &pod)
    };
    let applied = |name: &str| {
        let metadata = json!({"name": "replaced", "annotations": {name: "alice"}});
        user.apply(namespace, &json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata}))
    };
    let path = core(scene, "Pod", "replaced");
    let added = |name: &str| {
        let pointer = format!("/metadata/annotations/{}", name.replace('/', "~1"));
        user.patch(&path, Form::Json, &json!([{"op": "add", "path": pointer, "value": "alice"}]))
    };
    let other = "example.com/launched-by";
    let new = "secrets.apolo.us/new";
    Ok(vec![
        Row::new("a Pod replaced, with another launcher", with(BY), FIXED, with(other)),
        Row::new("a Pod applied, with an annotation more", applied(new), FIXED, applied(other)),
        Row::new("another launcher by JSON Patch", added(BY), FIXED, added(other)),
    ])
}

/// Kubernetes takes of these subresources what they are for, and no metadata: said by what is stored then.
fn without_effect(scene: &Scene) -> Vec<Row> {
    let pod = core(scene, "Pod", "fixed");
    let limits = json!({"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "1m"}}}]}});
    let debug =
        |name: &str| json!({"spec": {"ephemeralContainers": [{"name": name, "image": "registry.invalid/debug"}]}});
    let mut rows = Vec::new();
    for (number, (who, somebody)) in identities(scene).into_iter().enumerate() {
        for (subresource, honest) in
            [("resize", limits.clone()), ("ephemeralcontainers", debug(&format!("debug-{number}")))]
        {
            let path = format!("{pod}/{subresource}");
            let metadata =
                json!({"annotations": {BY: "alice", ENV: null}, "labels": {"secrets.apolo.us/shared": null}});
            let mut patch = honest.clone();
            patch["metadata"] = metadata;
            let attack = unchanged(somebody.patch(&path, Form::Strategic, &patch));
            let twin = somebody.patch(&path, Form::Strategic, &honest);
            rows.push(Row::new(
                format!("another launcher, by {who}, through {subresource}"),
                attack,
                WITHOUT_EFFECT,
                twin,
            ));
        }
    }
    rows
}

/// An attempt on bob's Pod, refused also where it left what is ours as it was.
fn unchanged(tried: Attempt) -> Attempt {
    attempt(async move {
        let outcome = tried.await?;
        Ok(outcome.and_then(|stored| {
            let metadata = &stored["metadata"];
            let is_as_it_was = metadata["annotations"][BY] == "bob"
                && metadata["annotations"][ENV].is_string()
                && metadata["labels"]["secrets.apolo.us/shared"] == "true";
            if is_as_it_was { Err(WITHOUT_EFFECT.to_owned()) } else { Ok(stored) }
        }))
    })
}

/// Both forms of a binding bring annotations and labels to a Pod.
async fn bound(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (who, somebody) in identities(scene) {
        for form in ["bindings", "binding"] {
            for (what, field) in [("an annotation", "annotations"), ("a label", "labels")] {
                let name = format!("bound-{}", rows.len());
                scene.given(&scene.bob, &objects::pod(&name, &objects::template(&[(ENV, "A=secret:a")]))).await?;
                let pod = core(scene, "Pod", &name);
                let path = match form {
                    "bindings" => format!("/api/v1/namespaces/{}/bindings", scene.bobs.name),
                    _ => format!("{pod}/binding"),
                };
                let bind = |key: &str| somebody.post(&path, &binding(&name, &json!({field: {key: "a"}})));
                let title = format!("{what} with a binding, by {who}, at {form}");
                rows.push(Row::new(title, bind("secrets.apolo.us/new"), BOUND, bind("example.com/new")));
            }
        }
    }
    Ok(rows)
}

fn binding(pod: &str, metadata: &Value) -> Value {
    let mut binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": metadata,
        "target": {"apiVersion": "v1", "kind": "Node", "name": "nowhere"}});
    binding["metadata"]["name"] = json!(pod);
    binding
}

/// A Pod that waits for its delivery is let go by our controller alone.
async fn gates(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let (ours, other) = (json!({"name": GATE}), json!({"name": "example.com/other"}));
    let mut people = identities(scene);
    people.push(("the webhook", scene.almighty("system:serviceaccount:apolo-secrets:apolo-secrets-webhook")));
    let own_controller = format!("system:serviceaccount:{}:apolo-secrets-controller", scene.bobs.name);
    people.push(("a namesake of the controller", scene.almighty(&own_controller)));
    let controller = scene.almighty("system:serviceaccount:apolo-secrets:apolo-secrets-controller");
    let mut rows = Vec::new();
    for (who, somebody) in people {
        let mut pod = objects::pod(&format!("gated-{}", rows.len()), &scene.waiting(BOBS));
        pod["spec"]["schedulingGates"] = json!([other]);
        scene.given(&scene.bob, &pod).await?;
        let path = core(scene, "Pod", pod["metadata"]["name"].as_str().unwrap_or_default());
        let keep =
            |who: &Somebody, gates: Value| who.patch(&path, Form::Merge, &json!({"spec": {"schedulingGates": gates}}));
        rows.push(Row::new(
            format!("the gate lifted by {who}, the other one left"),
            keep(&somebody, json!([other])),
            GATED,
            keep(&somebody, json!([ours])),
        ));
        rows.push(Row::new(
            format!("all gates lifted by {who}"),
            keep(&somebody, json!([])),
            GATED,
            keep(&controller, json!([])),
        ));
    }
    rows.extend(around_the_gate(scene).await?);
    rows.extend(by_the_controller(scene).await?);
    Ok(rows)
}

/// Our controller may patch Pods, to lift the gate and for nothing else.
async fn by_the_controller(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    const ONLY: &str =
        "the controller changes nothing of a Pod but that it takes the gate secrets.apolo.us/delivery away";
    let controller = scene.almighty("system:serviceaccount:apolo-secrets:apolo-secrets-controller");
    let namespace = &scene.bobs.name;
    let other = json!({"name": "example.com/other"});
    let mut gated = objects::pod("of-the-controller", &scene.waiting(BOBS));
    gated["spec"]["schedulingGates"] = json!([other]);
    scene.given(&scene.bob, &gated).await?;
    let path = core(scene, "Pod", "of-the-controller");
    let mut rows = Vec::new();
    for (what, patch) in [
        ("its image", json!({"spec": {"containers": [{"name": "main", "image": "registry.invalid/other"}]}})),
        ("where it may run", json!({"spec": {"nodeSelector": {"a": "b"}}})),
        ("where it tolerates to run", json!({"spec": {"tolerations": [{"key": "a", "operator": "Exists"}]}})),
        ("how long it may run", json!({"spec": {"activeDeadlineSeconds": 9}})),
        ("a label", json!({"metadata": {"labels": {"a": "b"}}})),
        ("an annotation", json!({"metadata": {"annotations": {"a": "b"}}})),
        ("a finalizer", json!({"metadata": {"finalizers": ["example.com/held"]}})),
        (
            "the gate of another",
            json!({"spec": {"schedulingGates": [{"$patch": "delete", "name": "example.com/other"}]}}),
        ),
    ] {
        let attack = controller.patch(&path, Form::Strategic, &patch);
        let twin = scene.almighty("admin").patch(&path, Form::Strategic, &patch);
        rows.push(Row::new(format!("of a Pod {what}, by the controller"), attack, ONLY, twin));
    }
    let phase = json!({"status": {"phase": "Failed"}});
    let status = format!("{path}/status");
    rows.push(Row::new(
        "the status of a Pod, by the controller",
        controller.patch(&status, Form::Merge, &phase),
        ONLY,
        scene.almighty("admin").patch(&status, Form::Merge, &phase),
    ));
    let own = objects::pod("by-the-controller", &objects::template(&[]));
    let create = |who: &Somebody| who.dry_create(namespace, &own);
    rows.push(Row::new("a Pod made by the controller", create(&controller), ONLY, create(&scene.bob)));
    let now = json!({"gracePeriodSeconds": 0});
    let delete = |who: &Somebody| who.delete(&path, &now);
    rows.push(Row::new("a Pod deleted by the controller", delete(&controller), ONLY, delete(&scene.bob)));
    Ok(rows)
}

/// Kubernetes itself holds the gate.
async fn around_the_gate(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let template = objects::template(&[(ENV, "A=secret:a")]);
    for (name, template) in [("waits", &scene.waiting(BOBS)), ("is-free", &template)] {
        scene.given(&scene.bob, &objects::pod(name, template)).await?;
    }
    let scheduler = scene.almighty("system:kube-scheduler");
    let bind = |pod: &str| scheduler.post(&format!("{}/binding", core(scene, "Pod", pod)), &binding(pod, &json!({})));
    let mut on_a_node = objects::pod("on-a-node", &scene.waiting(BOBS));
    on_a_node["spec"]["nodeName"] = json!("nowhere");
    let path = core(scene, "Pod", "waits");
    let others = json!({"spec": {"schedulingGates": [{"name": "example.com/delivery"}]}});
    let again = json!({"spec": {"schedulingGates": [{"name": GATE}]}});
    Ok(vec![
        Row::new("a Pod that waits is bound", bind("waits"), "schedulingGates", bind("is-free")),
        Row::new(
            "a Pod that is on a node from its creation, where kubelet waits",
            scene.mallory.create(&scene.bobs.name, &on_a_node),
            scene.refusal("mallory", BOBS),
            scene.bob.create(&scene.bobs.name, &on_a_node),
        ),
        Row::new(
            "the gate replaced by another",
            scene.bob.patch(&path, Form::Merge, &others),
            "schedulingGates",
            scene.bob.patch(&path, Form::Merge, &again),
        ),
    ])
}
