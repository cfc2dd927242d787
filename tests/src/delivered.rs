//! Deliveries, as a test sees them: the copies in a namespace, the gates of its Pods, and what they are told.

use k8s_openapi::api::{
    core::v1::{Pod, Secret},
    events::v1::Event,
};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Map, Value, json};

use crate::{
    eventually::{NotYet, eventually, reached},
    namespace::{Error, Namespace},
};

/// What the name of every copy begins with.
pub const COPY: &str = "apolo-shared-";
const GATE: &str = "secrets.apolo.us/delivery";

impl Namespace {
    /// Creates a Secret of these entries, labelled and annotated by somebody.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn secret_of(&self, name: &str, entries: &[(&str, &str)]) -> Result<(), Error> {
        let data: Map<String, Value> = entries.iter().map(|(entry, value)| ((*entry).into(), json!(value))).collect();
        let metadata = json!({"name": name, "labels": {"team": "a"}, "annotations": {"example.com/note": "of alice"}});
        self.create(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}))
            .await
            .map(drop)
    }

    /// Gives an entry of a Secret another value.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn rotate(&self, name: &str, entry: &str, value: &str) -> Result<(), kube::Error> {
        let patch = Patch::Merge(json!({"stringData": {entry: value}}));
        self.api::<Secret>().patch(name, &PatchParams::default(), &patch).await.map(drop)
    }

    /// Waits until the gate of a Pod is lifted; the Pod as it is then.
    ///
    /// # Errors
    /// When it is not by the deadline.
    pub async fn is_lifted(&self, pod: &str) -> Result<Pod, NotYet> {
        let is_lifted = |pod: Option<&Pod>| pod.is_some_and(|pod| !is_gated(pod));
        let found = reached(self.api::<Pod>(), pod, &format!("the gate of {pod} is lifted"), is_lifted).await?;
        Ok(found.unwrap_or_default())
    }

    /// The copies that are here, by name.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn copies(&self) -> Result<Vec<Secret>, kube::Error> {
        let secrets = self.api::<Secret>().list(&ListParams::default()).await?;
        Ok(secrets.into_iter().filter(|secret| secret.name_any().starts_with(COPY)).collect())
    }

    /// Waits until the copies hold these values, in their order, and no others.
    ///
    /// # Errors
    /// When they do not by the deadline.
    pub async fn copies_hold(&self, values: &[&str]) -> Result<(), NotYet> {
        eventually(&format!("the copies hold {values:?}"), async || {
            let copies = self.copies().await.map_err(|error| error.to_string())?;
            let each = copies.iter().flat_map(|copy| copy.data.iter().flat_map(|data| data.values()));
            let mut held: Vec<String> = each.map(|value| String::from_utf8_lossy(&value.0).into_owned()).collect();
            held.sort();
            if held == values { Ok(()) } else { Err(format!("{held:?}")) }
        })
        .await
    }

    /// Says of a Pod, as kubelet would, that its containers have ended.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn finish(&self, pod: &str) -> Result<(), kube::Error> {
        let patch = Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
        self.api::<Pod>().patch_status(pod, &PatchParams::default(), &patch).await.map(drop)
    }

    /// Deletes a Pod at once.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn delete_pod(&self, pod: &str) -> Result<(), kube::Error> {
        let params = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.api::<Pod>().delete(pod, &params).await.map(drop)
    }

    /// Waits until a Pod is told something for this reason; the words.
    ///
    /// # Errors
    /// When it is not by the deadline.
    pub async fn is_told(&self, pod: &str, reason: &str) -> Result<String, NotYet> {
        eventually(&format!("Pod {pod} is told {reason}"), async || {
            let events = self.api::<Event>().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let about = |event: &&Event| event.regarding.as_ref().is_some_and(|it| it.name.as_deref() == Some(pod));
            let ours: Vec<&Event> = events
                .iter()
                .filter(about)
                .filter(|event| event.reporting_controller.as_deref() == Some("apolo-secrets"))
                .collect();
            let told = ours.iter().find(|event| event.reason.as_deref() == Some(reason));
            told.and_then(|event| event.note.clone()).ok_or_else(|| {
                format!("{:?}", ours.iter().map(|event| (&event.reason, &event.note)).collect::<Vec<_>>())
            })
        })
        .await
    }
}

/// Whether a Pod waits for its secrets.
pub fn is_gated(pod: &Pod) -> bool {
    let gates = pod.spec.iter().filter_map(|spec| spec.scheduling_gates.as_ref()).flatten();
    gates.into_iter().any(|gate| gate.name == GATE)
}
