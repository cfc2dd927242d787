//! The kinds of the workload table, as the chart has them, and an object of each around a Pod template.
#![allow(clippy::indexing_slicing, reason = "to set an index of a JSON object adds what is not there")]

use serde::Deserialize;
use serde_json::{Map, Value, json};

const TABLE: &str = include_str!("../../charts/apolo-secrets/files/workloads.yaml");

/// A row of the table.
#[derive(Debug, Clone, Deserialize)]
pub struct Kind {
    /// The API group; empty for the core group.
    pub group: String,
    /// The versions that have this form.
    pub versions: Vec<String>,
    /// The kind.
    pub kind: String,
    /// Where its Pod templates are.
    pub templates: Vec<Column>,
    /// Whether stamps on its templates are believed.
    #[serde(default = "believed")]
    pub stamps: bool,
}

fn believed() -> bool {
    true
}

/// Where Pod templates are.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "WrittenColumn")]
pub struct Column {
    /// The path, such as `spec.replicatedJobs[*].template.spec.template`.
    pub path: String,
    /// In which form: `template`, `override`, `metadata` or `argo`.
    pub form: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenColumn {
    Path(String),
    WithForm { path: String, form: String },
}

impl From<WrittenColumn> for Column {
    fn from(written: WrittenColumn) -> Self {
        match written {
            WrittenColumn::Path(path) => Self { path, form: "template".into() },
            WrittenColumn::WithForm { path, form } => Self { path, form },
        }
    }
}

/// An object with one Pod template.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Where the template is, such as `spec.replicatedJobs[0].template.spec.template`.
    pub path: String,
    /// The same as a JSON Pointer.
    pub pointer: String,
    /// The object.
    pub object: Value,
}

/// All rows of the table.
///
/// # Errors
/// When the chart's table is none.
pub fn all() -> Result<Vec<Kind>, serde_saphyr::Error> {
    serde_saphyr::from_str(TABLE)
}

impl Kind {
    /// The name of the hook for it.
    pub fn hook(&self) -> String {
        let group = if self.group.is_empty() { String::new() } else { format!("{}.", self.group) };
        format!("{}s.{group}secrets.apolo.us", self.kind.to_lowercase())
    }

    /// `apiVersion`, with the first of its versions.
    pub fn api_version(&self) -> String {
        let slash = if self.group.is_empty() { "" } else { "/" };
        format!("{}{slash}{}", self.group, self.versions[0])
    }

    /// An object of this kind that has the template, `{metadata, spec}`, at a column.
    pub fn place(&self, column: &Column, template: &Value) -> Placed {
        let mut object = json!({"apiVersion": self.api_version(), "kind": self.kind, "metadata": {"name": "row"}});
        let mut here = &mut object;
        let (mut path, mut pointer) = (String::new(), String::new());
        for field in column.path.split('.') {
            let (field, list) = field.strip_suffix("[*]").map_or((field, ""), |field| (field, "[0]"));
            let field = if field == "*" { "Worker" } else { field };
            let dot = if path.is_empty() { "" } else { "." };
            path.push_str(&format!("{dot}{field}{list}"));
            pointer.push_str(&format!("/{field}{}", if list.is_empty() { "" } else { "/0" }));
            here = &mut here[field];
            if !list.is_empty() {
                *here = json!([{}]);
                here = &mut here[0];
            }
        }
        *here = formed(&column.form, template);
        complete(&self.kind, &mut object);
        Placed { path, pointer, object }
    }
}

fn formed(form: &str, template: &Value) -> Value {
    match form {
        "metadata" => template["metadata"].clone(),
        "argo" => argo(template),
        _ => template.clone(),
    }
}

/// A template of Argo's, whose container is `main`.
fn argo(template: &Value) -> Value {
    let mut spec = template["spec"].as_object().cloned().unwrap_or_default();
    let mut containers = spec.remove("containers").and_then(|list| list.as_array().cloned()).unwrap_or_default();
    let mut argo =
        Map::from_iter([("name".to_owned(), json!("step")), ("metadata".to_owned(), template["metadata"].clone())]);
    if containers.first().is_some_and(|first| first["name"] == "main") {
        let mut main = containers.remove(0);
        main.as_object_mut().map(|main| main.remove("name"));
        argo.insert("container".into(), main);
        argo.insert("sidecars".into(), json!(containers));
    } else {
        argo.insert("containerSet".into(), json!({"containers": containers}));
    }
    argo.extend(spec);
    Value::Object(argo)
}

/// Adds what the API server requires of a kind beside its template.
fn complete(kind: &str, object: &mut Value) {
    let selector = json!({"matchLabels": {"app": "row"}});
    let labels = |template: &mut Value| template["metadata"]["labels"]["app"] = json!("row");
    match kind {
        "Job" => object["spec"]["template"]["spec"]["restartPolicy"] = json!("Never"),
        "CronJob" => {
            object["spec"]["schedule"] = json!("@yearly");
            object["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
        }
        "ReplicationController" => {
            object["spec"]["selector"] = selector["matchLabels"].clone();
            object["spec"]["replicas"] = json!(0);
            labels(&mut object["spec"]["template"]);
        }
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => {
            object["spec"]["selector"] = selector;
            if kind != "DaemonSet" {
                object["spec"]["replicas"] = json!(0);
            }
            labels(&mut object["spec"]["template"]);
        }
        "JobSet" => object["spec"]["replicatedJobs"][0]["name"] = json!("workers"),
        "TrainJob" => train(&mut object["spec"]),
        "Workflow" => object["spec"]["entrypoint"] = json!("step"),
        "RayCluster" => ray(&mut object["spec"]),
        "RayJob" => ray(&mut object["spec"]["rayClusterSpec"]),
        _ => {}
    }
}

/// A Ray cluster has a head, which is without annotations where the template is elsewhere.
fn ray(cluster: &mut Value) {
    let plain = json!({"spec": {"containers": [{"name": "ray", "image": "registry.invalid/ray"}]}});
    if cluster["headGroupSpec"]["template"].is_null() {
        cluster["headGroupSpec"]["template"] = plain;
    }
    cluster["headGroupSpec"]["rayStartParams"] = json!({});
    if let Some(groups) = cluster["workerGroupSpecs"].as_array_mut() {
        for group in groups {
            group["groupName"] = json!("workers");
            group["minReplicas"] = json!(0);
            group["maxReplicas"] = json!(2);
            group["rayStartParams"] = json!({});
        }
    }
}

/// What is laid over a runtime of the Trainer says who laid it, or over which Jobs.
fn train(spec: &mut Value) {
    spec["runtimeRef"] = json!({"name": "torch"});
    for patch in spec["runtimePatches"].as_array_mut().into_iter().flatten() {
        patch["manager"] = json!("example.com/person");
        patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"][0]["name"] = json!("node");
    }
    for over in spec["podTemplateOverrides"].as_array_mut().into_iter().flatten() {
        over["targetJobs"] = json!([{"name": "node"}]);
    }
}
