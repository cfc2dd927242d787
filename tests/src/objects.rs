//! Objects that tests make, as JSON: a Pod template, and each kind of workload around one.
//!
//! A Pod, however it comes about, is labelled `app: NAME` with the name that was given here.
#![allow(clippy::indexing_slicing, reason = "to set an index of a JSON object adds what is not there")]

use serde_json::{Map, Value, json};

/// A Pod template of one container, `main`, with these annotations.
pub fn template(annotations: &[(&str, &str)]) -> Value {
    let annotations: Map<String, Value> =
        annotations.iter().map(|(name, value)| ((*name).into(), json!(value))).collect();
    json!({
        "metadata": {"annotations": annotations},
        "spec": {"containers": [{"name": "main", "image": "registry.invalid/main", "command": ["true"]}]},
    })
}

/// The Pod of this template.
pub fn pod(name: &str, template: &Value) -> Value {
    let mut pod = labelled(name, template);
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!(name);
    pod
}

/// A Job that runs the template once.
pub fn job(name: &str, template: &Value) -> Value {
    object("batch/v1", "Job", name, &job_spec(name, template))
}

/// A CronJob whose Jobs run the template, each minute.
pub fn cron_job(name: &str, template: &Value) -> Value {
    let spec = json!({"schedule": "* * * * *", "jobTemplate": {"spec": job_spec(name, template)}});
    object("batch/v1", "CronJob", name, &spec)
}

/// A Deployment of one replica.
pub fn deployment(name: &str, template: &Value) -> Value {
    object("apps/v1", "Deployment", name, &selecting_spec(name, template))
}

/// A ReplicaSet of one replica.
pub fn replica_set(name: &str, template: &Value) -> Value {
    object("apps/v1", "ReplicaSet", name, &selecting_spec(name, template))
}

/// A StatefulSet of one replica.
pub fn stateful_set(name: &str, template: &Value) -> Value {
    let mut spec = selecting_spec(name, template);
    spec["serviceName"] = json!(name);
    object("apps/v1", "StatefulSet", name, &spec)
}

/// A DaemonSet: a Pod for each node, so one where [`Cluster`](crate::cluster::Cluster) is all there is.
pub fn daemon_set(name: &str, template: &Value) -> Value {
    object("apps/v1", "DaemonSet", name, &selecting_spec(name, template))
}

/// An object without the stamps on it and in it, wherever they are.
pub fn without_stamps(mut object: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| !name.starts_with("secrets.apolo.us/launched-by"));
                fields.values_mut().for_each(strip);
            }
            Value::Array(elements) => elements.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut object);
    object
}

fn object(api_version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn job_spec(name: &str, template: &Value) -> Value {
    let mut template = labelled(name, template);
    template["spec"]["restartPolicy"] = json!("Never");
    json!({"backoffLimit": 0, "template": template})
}

fn selecting_spec(name: &str, template: &Value) -> Value {
    json!({"selector": {"matchLabels": {"app": name}}, "template": labelled(name, template)})
}

fn labelled(name: &str, template: &Value) -> Value {
    let mut template = template.clone();
    template["metadata"]["labels"]["app"] = json!(name);
    template
}
