//! The Pods that are created: those of the folder `pods`, and ones of any size.

use anyhow::{Context, ensure};
use apolo_tests::control_plane::ControlPlane;
use serde_json::{Map, Value, json};

/// What the typical Pod asks for.
const VOLUME: &str = "secrets.apolo.us/volume";
const ENV: &str = "secrets.apolo.us/env";
/// Whose scheduler nobody is, so that nobody looks at the Pods.
const NOBODY: &str = "nobody";

/// The Pod in a file of the folder `pods`.
pub(super) fn of_file(control_plane: &ControlPlane, name: &str) -> anyhow::Result<Value> {
    let file = format!("--filename={}/pods/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let read = control_plane.kubectl(["create", "--dry-run=client", "--output=json", &file]).output();
    let read = read.context("running kubectl")?;
    ensure!(read.status.success(), "kubectl cannot read {name}: {}", String::from_utf8_lossy(&read.stderr));
    let mut pod: Value = serde_json::from_slice(&read.stdout)?;
    if let Some(metadata) = field(&mut pod, "/metadata") {
        metadata.remove("namespace");
    }
    Ok(unscheduled(pod))
}

/// The same Pod with one of its variables from a secret of somebody else.
pub(super) fn sharing(pod: &Value, secret: &str) -> anyhow::Result<Value> {
    let mut pod = pod.clone();
    let annotations = field(&mut pod, "/metadata/annotations").context("a Pod without annotations")?;
    let asked = annotations.get(ENV).and_then(Value::as_str).context("a Pod without variables")?;
    let (kept, _) = asked.trim_end().rsplit_once('\n').context("a Pod with one variable")?;
    let asked = format!("{kept}\nSHARED=secret:{secret}\n");
    annotations.insert(ENV.to_owned(), json!(asked));
    Ok(pod)
}

/// A Pod of one container that asks for each of these secrets as a variable.
pub(super) fn with_variables(secrets: impl Iterator<Item = String>) -> Value {
    let asked: Vec<String> =
        secrets.enumerate().map(|(number, secret)| format!("VARIABLE_{number}=secret:{secret}")).collect();
    with(1, &json!({ENV: asked.join("\n")}))
}

/// A Pod of so many containers that asks for three files and two variables.
pub(super) fn with_containers(count: usize) -> Value {
    let volume = "secret:a:/var/secrets/a\nsecret:b:/var/secrets/b\nsecret:c:/var/secrets/c";
    with(count, &json!({VOLUME: volume, ENV: "D=secret:d\nE=secret:e"}))
}

fn with(containers: usize, annotations: &Value) -> Value {
    let container = |number: usize| {
        json!({
            "name": format!("container-{number}"), "image": "registry.invalid/ml/trainer:1.9.0", "args": ["--data", "/data"],
            "env": [{"name": "LOG_LEVEL", "value": "info"}],
        })
    };
    let containers: Vec<Value> = (0..containers).map(container).collect();
    unscheduled(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"annotations": annotations},
        "spec": {"restartPolicy": "Never", "containers": containers},
    }))
}

fn unscheduled(mut pod: Value) -> Value {
    if let Some(spec) = field(&mut pod, "/spec") {
        spec.insert("schedulerName".to_owned(), json!(NOBODY));
    }
    pod
}

/// The same Pod that asks for what another one does.
pub(super) fn asking_as(pod: &Value, other: &Value) -> Value {
    let mut pod = pod.clone();
    let annotations = other.pointer("/metadata/annotations").cloned().unwrap_or_else(|| json!({}));
    if let Some(metadata) = field(&mut pod, "/metadata") {
        metadata.insert("annotations".to_owned(), annotations);
    }
    pod
}

/// The same object by another name.
pub(super) fn named(object: &Value, name: &str) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = field(&mut object, "/metadata") {
        metadata.insert("name".to_owned(), json!(name));
    }
    object
}

fn field<'a>(object: &'a mut Value, pointer: &str) -> Option<&'a mut Map<String, Value>> {
    object.pointer_mut(pointer).and_then(Value::as_object_mut)
}
