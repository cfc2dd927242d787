//! Kinds of other projects that have Pod templates, as far as the API server goes: it stores and serves their objects, and
//! no controller makes anything of them.
#![allow(clippy::indexing_slicing, reason = "to set an index of a JSON object adds what is not there")]

use std::io;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use serde_json::{Value, json};

use crate::{
    command,
    control_plane::{self, ControlPlane},
    eventually::{NotYet, reached},
};

/// Their CustomResourceDefinitions, a file a kind.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");

/// Why the API server does not serve them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// kubectl cannot be run.
    #[error("cannot run kubectl")]
    Run(#[from] io::Error),
    /// They were refused.
    #[error("cannot apply {FOLDER}: {0}")]
    Apply(String),
    /// The cluster could not be reached.
    #[error(transparent)]
    ControlPlane(#[from] control_plane::Error),
    /// They were stored, but are not served.
    #[error(transparent)]
    NotYet(#[from] NotYet),
}

/// API version, kind, and a spec that has this Pod template at every place that the kind has for one; of each version of each kind.
pub fn specs(template: &Value) -> Vec<(&'static str, &'static str, Value)> {
    let ray = json!({
        "headGroupSpec": {"rayStartParams": {}, "template": template},
        "workerGroupSpecs": [{"groupName": "cpu", "minReplicas": 0, "maxReplicas": 1, "rayStartParams": {}, "template": template}],
    });
    let ray_job = json!({"entrypoint": "true", "rayClusterSpec": ray, "submitterPodTemplate": template});
    let jobs = json!([{"name": "node", "template": {"spec": {"template": template}}}]);
    let mpi = json!({"mpiReplicaSpecs": {"Launcher": {"template": template}, "Worker": {"template": template}}});
    let runtime = json!({"apiGroup": "trainer.kubeflow.org", "kind": "ClusterTrainingRuntime", "name": "torch"});
    let patched =
        json!({"manager": "example.com/a", "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": jobs}}}});
    let overridden =
        json!({"targetJobs": [{"name": "node"}], "metadata": template["metadata"], "spec": template["spec"]});
    let step = json!({"name": "a", "metadata": template["metadata"], "container": {"image": "registry.invalid/main"}});
    vec![
        ("argoproj.io/v1alpha1", "Workflow", json!({"podMetadata": template["metadata"], "templates": [step]})),
        ("jobset.x-k8s.io/v1alpha2", "JobSet", json!({"replicatedJobs": jobs})),
        ("kubeflow.org/v1", "MPIJob", mpi.clone()),
        ("kubeflow.org/v2beta1", "MPIJob", mpi),
        ("kubeflow.org/v1", "PyTorchJob", json!({"pytorchReplicaSpecs": {"Master": {"template": template}}})),
        ("ray.io/v1", "RayCluster", ray.clone()),
        ("ray.io/v1alpha1", "RayCluster", ray),
        ("ray.io/v1", "RayJob", ray_job.clone()),
        ("ray.io/v1alpha1", "RayJob", ray_job),
        (
            "trainer.kubeflow.org/v1alpha1",
            "TrainJob",
            json!({"runtimeRef": runtime, "runtimePatches": [patched], "podTemplateOverrides": [overridden]}),
        ),
    ]
}

impl ControlPlane {
    /// Makes the API server know all kinds of `tests/crds`, and returns their definitions' names when it serves them.
    ///
    /// Whoever needs them calls this, also side by side: it changes nothing that is there.
    ///
    /// # Errors
    /// When one is refused, or not served by the deadline.
    pub async fn add_presets(&self) -> Result<Vec<String>, Error> {
        let apply = ["apply", "--server-side", "--field-manager=presets", "--output=name", "--filename", FOLDER];
        let applied = command::run(self.kubectl(apply), "").await?;
        if !applied.status.success() {
            return Err(Error::Apply(applied.stderr));
        }
        let names: Vec<String> =
            applied.stdout.lines().filter_map(|line| line.split_once('/')).map(|(_, name)| name.to_owned()).collect();
        let definitions: Api<CustomResourceDefinition> = Api::all(self.admin().await?);
        for name in &names {
            reached(definitions.clone(), name, &format!("{name} is established"), is_established).await?;
        }
        Ok(names)
    }
}

fn is_established(definition: Option<&CustomResourceDefinition>) -> bool {
    let conditions = definition.and_then(|definition| definition.status.as_ref()?.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Established" && condition.status == "True")
}
