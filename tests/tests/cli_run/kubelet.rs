//! What kubelet and the scheduler would do with the Pod of a Job.

use apolo_tests::{eventually::eventually, namespace::Namespace, person::Person, running::Running};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// Starts `apolo run` in the namespace of somebody.
pub(super) fn start(person: &Person, arguments: &[&str]) -> std::io::Result<Running> {
    let whole = [&["run", "--namespace", &person.namespace], arguments].concat();
    Running::start(person.apolo(whole)?)
}

/// The name of the Pod that the controller-manager has made for a Job.
pub(super) async fn pod_of(ns: &Namespace, job: &str) -> anyhow::Result<String> {
    let params = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    let name = eventually(&format!("{job} has a Pod"), async || {
        let pods = ns.api::<Pod>().list(&params).await.map_err(|error| error.to_string())?;
        pods.items.first().map(ResourceExt::name_any).ok_or_else(|| "none".to_owned())
    })
    .await?;
    Ok(name)
}

/// Gives a Pod a node, as the scheduler would.
pub(super) async fn bind(ns: &Namespace, pod: &str) -> anyhow::Result<()> {
    let binding = json!({"metadata": {"name": pod}, "target": {"kind": "Node", "name": "none"}});
    ns.api::<Pod>().create_subresource::<Value, Value>("binding", pod, &PostParams::default(), &binding).await?;
    Ok(())
}

/// Says how the container of a Pod is.
pub(super) async fn says(ns: &Namespace, pod: &str, phase: &str, state: Value) -> anyhow::Result<()> {
    let status = json!({"phase": phase, "containerStatuses": [{
        "name": "main", "image": "busybox:1.35", "imageID": "", "ready": false, "restartCount": 0, "state": state,
    }]});
    sets(ns, pod, status).await
}

/// Sets the status of a Pod.
pub(super) async fn sets(ns: &Namespace, pod: &str, status: Value) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({"status": status}));
    ns.api::<Pod>().patch_status(pod, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Tells an Event about a Pod.
pub(super) async fn tells(ns: &Namespace, pod: &str, reason: &str, message: &str) -> anyhow::Result<()> {
    let uid = ns.api::<Pod>().get(pod).await?.metadata.uid;
    ns.create(&json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "kubelet-"}, "type": "Warning",
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": ns.name, "name": pod, "uid": uid},
        "reason": reason, "message": message,
    }))
    .await?;
    Ok(())
}
