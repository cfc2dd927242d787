//! What a Pod template asks for by annotation, and whether a Pod has it: the contract as a stranger reads it, in a few lines
//! that know nothing of how the webhook does it.
#![allow(clippy::indexing_slicing, reason = "an index that a JSON value does not have gives null")]

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

const VOLUME: &str = "secrets.apolo.us/volume";
const ENV: &str = "secrets.apolo.us/env";
const CONTAINERS: &str = "secrets.apolo.us/containers";

/// Holds a Pod against what a template, whose annotations are without mistake, asks for: the containers that are meant have
/// it, and the others have nothing of it.
///
/// # Errors
/// What is missing or too much, a line for each item and container.
pub fn is_there(pod: &Pod, template: &Value) -> Result<(), String> {
    let spec = serde_json::to_value(&pod.spec).map_err(|error| error.to_string())?;
    let chosen = items(template, CONTAINERS);
    let mut wrong = Vec::new();
    for container in ["containers", "initContainers"].iter().flat_map(|kind| array(&spec[*kind])) {
        let name = container["name"].as_str().unwrap_or_default();
        let is_chosen = chosen.is_empty() || chosen.contains(&name);
        let files = items(template, VOLUME).into_iter().map(|item| (item, is_mounted(&spec, container, item)));
        let variables = items(template, ENV).into_iter().map(|item| (item, is_set(container, item)));
        for (item, is_there) in files.chain(variables).filter(|(_, is_there)| *is_there != is_chosen) {
            let what = if is_there { "must not have" } else { "lacks" };
            wrong.push(format!("container {name} {what} {item}: {container}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn items<'a>(template: &'a Value, annotation: &str) -> Vec<&'a str> {
    let text = template["metadata"]["annotations"][annotation].as_str().unwrap_or_default();
    text.split(['\n', ',']).map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// `secret:KEY:/PATH`.
fn is_mounted(spec: &Value, container: &Value, item: &str) -> bool {
    let Some((reference, path)) = item.strip_suffix(":ro").unwrap_or(item).rsplit_once(":/") else { return false };
    let mount_path = format!("/{}", path.trim_end_matches('/'));
    let Some(mount) = array(&container["volumeMounts"]).find(|mount| mount["mountPath"] == mount_path) else {
        return false;
    };
    let (_, entry) = parts(reference);
    let file = if path.ends_with('/') { json!(entry) } else { mount["subPath"].clone() };
    let is_the_file = |source: &Value| {
        is_secret(source, reference) && array(&source["items"]).any(|item| item["key"] == entry && item["path"] == file)
    };
    let mut volumes = array(&spec["volumes"]).filter(|volume| volume["name"] == mount["name"]);
    let has_the_file =
        volumes.any(|volume| array(&volume["projected"]["sources"]).any(|source| is_the_file(&source["secret"])));
    mount["readOnly"] == true && has_the_file
}

/// `NAME=secret:KEY`.
fn is_set(container: &Value, item: &str) -> bool {
    let Some((name, reference)) = item.split_once('=') else { return false };
    let sources = array(&container["env"]).filter(|variable| variable["name"] == name);
    sources
        .map(|variable| &variable["valueFrom"]["secretKeyRef"])
        .any(|source| is_secret(source, reference) && source["key"] == parts(reference).1)
}

/// The key of a reference to a secret of one's own namespace, and the entry.
fn parts(reference: &str) -> (&str, &str) {
    let reference = reference.strip_prefix("secret:").unwrap_or_default();
    reference.split_once('#').unwrap_or((reference, reference))
}

/// Whether the Secret that is named is the reference's. A key that cannot be a name has one that begins with its letters.
fn is_secret(source: &Value, reference: &str) -> bool {
    let (key, _) = parts(reference);
    let name = source["name"].as_str().unwrap_or_default();
    let letters = key.to_lowercase().replace('_', "-");
    if letters == key {
        name == key
    } else {
        name.strip_prefix(&*letters).is_some_and(|digest| digest.starts_with('-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(annotations: &Value) -> Value {
        json!({"metadata": {"annotations": annotations}})
    }

    /// A Pod whose container `main` has a file, a file in a directory, and a variable, and `other` nothing.
    fn pod() -> Pod {
        serde_json::from_value(json!({"spec": {
            "containers": [
                {"name": "main", "volumeMounts": [
                    {"name": "files", "mountPath": "/etc/a", "subPath": "a/a", "readOnly": true},
                    {"name": "directory", "mountPath": "/etc/tokens", "readOnly": true},
                ], "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a-key-0123", "key": "A_KEY"}}}]},
                {"name": "other"},
            ],
            "volumes": [
                {"name": "files", "projected": {"sources": [{"secret": {"name": "a", "items": [{"key": "a", "path": "a/a"}]}}]}},
                {"name": "directory", "projected": {"sources": [{"secret": {"name": "b", "items": [{"key": "e", "path": "e"}]}}]}},
            ],
        }}))
        .unwrap()
    }

    #[test]
    fn what_is_there_is_found() {
        let asked = template(
            &json!({VOLUME: "secret:a:/etc/a:ro\nsecret:b#e:/etc/tokens/", ENV: "A=secret:A_KEY", CONTAINERS: "main"}),
        );
        assert_eq!(is_there(&pod(), &asked), Ok(()));
    }

    #[test]
    fn what_is_missing_or_too_much_is_told() {
        for (annotation, item) in [
            (VOLUME, "secret:b:/etc/a"),
            (VOLUME, "secret:a:/etc/b"),
            (VOLUME, "secret:b:/etc/tokens/"),
            (VOLUME, "secret:a:/etc/a/"),
            (ENV, "B=secret:A_KEY"),
            (ENV, "A=secret:a"),
        ] {
            let wrong = is_there(&pod(), &template(&json!({annotation: item, CONTAINERS: "main"}))).unwrap_err();
            assert!(wrong.starts_with(&format!("container main lacks {item}: ")), "{wrong}");
        }
        let everybody = is_there(&pod(), &template(&json!({ENV: "A=secret:A_KEY"}))).unwrap_err();
        assert!(everybody.starts_with("container other lacks A=secret:A_KEY"), "{everybody}");
        let other = is_there(&pod(), &template(&json!({ENV: "A=secret:A_KEY", CONTAINERS: "other"}))).unwrap_err();
        assert!(other.starts_with("container main must not have A=secret:A_KEY"), "{other}");
    }
}
