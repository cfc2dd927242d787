//! Deliveries, as a test sees them: the copies in a namespace, the gates of its Pods, and what they are told.
#![allow(clippy::indexing_slicing, reason = "to set an index of a JSON object adds what is not there")]

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    batch::v1::Job,
    core::v1::{Pod, Secret},
    events::v1::Event,
};
use kube::{
    Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    eventually::{NotYet, eventually, reached, within},
    namespace::{Error, Namespace, with_namespace},
    objects,
};

/// What the name of every copy begins with.
pub const COPY: &str = "apolo-shared-";
/// The annotation by which Pods ask for variables.
pub const ENV: &str = "secrets.apolo.us/env";
/// The key of alice's that has one entry.
pub const KEY: &str = "secret-password";
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
            let told = self.told(pod).await?;
            let found = told.iter().find(|(told, _)| told == reason).map(|(_, note)| note.clone());
            found.ok_or_else(|| format!("{told:?}"))
        })
        .await
    }

    /// Waits until a Pod is told exactly this for this reason.
    ///
    /// # Errors
    /// When it is not by the deadline.
    pub async fn is_told_that(&self, pod: &str, reason: &str, note: &str) -> Result<(), NotYet> {
        eventually(&format!("Pod {pod} is told {reason}: {note}"), async || {
            let told = self.told(pod).await?;
            if told.contains(&(reason.to_owned(), note.to_owned())) { Ok(()) } else { Err(format!("{told:?}")) }
        })
        .await
    }

    /// What our Events have told a Pod: for which reason, and what.
    async fn told(&self, pod: &str) -> Result<Vec<(String, String)>, String> {
        let events = self.api::<Event>().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let about = |event: &Event| {
            event.regarding.as_ref().is_some_and(|it| it.name.as_deref() == Some(pod))
                && event.reporting_controller.as_deref() == Some("apolo-secrets")
        };
        let ours = events.into_iter().filter(about);
        Ok(ours.map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default())).collect())
    }
}

/// The name of the copy of one entry of an owner's Secret.
pub fn copy_name(owner: &str, object: &str, entry: &str) -> String {
    let digest = Sha256::digest(format!("{owner}/{object}/{entry}").as_bytes());
    let digits: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{COPY}{digits}")
}

/// A Pod that asks for these of an owner's secrets, as the hooks make it of what a user submits who is in no group.
pub fn hooked_pod(name: &str, user: &str, owner: &str, keys: &[&str]) -> Value {
    let numbered = || keys.iter().enumerate();
    let items: Vec<String> = numbered().map(|(number, key)| format!("S{number}=secret:/{owner}/{key}")).collect();
    let by = ("secrets.apolo.us/launched-by", user);
    let mut template = objects::template(&[("secrets.apolo.us/env", &items.join("\n")), by]);
    let variable = |(number, key): (usize, &&str)| {
        let reference = json!({"name": copy_name(owner, key, key), "key": key});
        json!({"name": format!("S{number}"), "valueFrom": {"secretKeyRef": reference}})
    };
    template["spec"]["containers"][0]["env"] = numbered().map(variable).collect();
    template["spec"]["schedulingGates"] = json!([{"name": GATE}]);
    let mut pod = objects::pod(name, &template);
    pod["metadata"]["labels"]["secrets.apolo.us/shared"] = json!("true");
    pod
}

/// Runs `body` with alice's namespace and bob's.
///
/// # Errors
/// Those of `body`, and when the API server refuses the namespaces.
pub async fn with_scene(body: impl AsyncFnOnce(Scene) -> Result<()>) -> Result<()> {
    with_namespace(async |alice| with_namespace(async |bobs| body(Scene::new(alice, bobs).await?).await).await).await
}

/// Whether a Pod waits for its secrets.
pub fn is_gated(pod: &Pod) -> bool {
    let gates = pod.spec.iter().filter_map(|spec| spec.scheduling_gates.as_ref()).flatten();
    gates.into_iter().any(|gate| gate.name == GATE)
}

/// Alice's namespace, with her secrets, and bob's, where he may edit and is in ml-team.
pub struct Scene {
    /// Hers.
    pub alice: Namespace,
    /// His.
    pub bobs: Namespace,
    /// He.
    pub bob: Client,
}

impl Scene {
    /// Hers gets her secrets, and his the right to edit for him.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn new(alice: Namespace, bobs: Namespace) -> Result<Self> {
        alice.secret_of(KEY, &[(KEY, "hunter2")]).await?;
        alice.secret_of("db", &[("user", "alice"), ("password", "swordfish")]).await?;
        bobs.person("bob").await?;
        let bob = bobs.user("bob", &["ml-team"]).await?;
        Ok(Self { alice, bobs, bob })
    }

    /// One of her secrets, as his Pods name it.
    pub fn reference(&self, key: &str) -> String {
        format!("secret:/{}/{key}", self.alice.name)
    }

    /// A template that asks for these of alice's secrets.
    pub fn template(&self, keys: &[&str]) -> Value {
        let items = keys.iter().enumerate().map(|(number, key)| format!("S{number}={}", self.reference(key)));
        objects::template(&[(ENV, &items.collect::<Vec<_>>().join("\n"))])
    }

    /// Alice's grant of this name: of these secrets, for bob, in his namespace.
    ///
    /// # Errors
    /// When it does not come to be in force.
    pub async fn share(&self, name: &str, keys: &[&str]) -> Result<()> {
        let subjects = json!([{"kind": "User", "name": "bob"}]);
        let fields = json!({"secrets": keys, "access": "Use", "subjects": subjects, "namespaces": [self.bobs.name]});
        self.alice.share(name, &fields).await?;
        self.alice.stands(name, "Granted").await?;
        Ok(())
    }

    /// Deletes a grant of hers.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn withdraw(&self, name: &str) -> Result<()> {
        self.alice.grants().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Creates an object as soon as the grants allow it: the webhook hears of one a moment later.
    ///
    /// # Errors
    /// When they do not by the deadline.
    pub async fn create(&self, object: &Value) -> Result<()> {
        within(Duration::from_secs(10), "it is allowed", async || {
            self.bobs.create_as(&self.bob, object).await.map_err(|error| format!("{error:?}"))
        })
        .await?;
        Ok(())
    }

    /// A Pod of bob's that asks for alice's password, and has it.
    ///
    /// # Errors
    /// When it does not by the deadline.
    pub async fn delivered(&self, name: &str) -> Result<Pod> {
        self.create(&objects::pod(name, &self.template(&[KEY]))).await?;
        Ok(self.bobs.is_lifted(name).await?)
    }

    /// Takes away all Pods, and what makes them.
    ///
    /// # Errors
    /// When that does not come about by the deadline.
    pub async fn clear(&self) -> Result<()> {
        let (now, all) = (DeleteParams::background().grace_period(0), ListParams::default());
        self.bobs.api::<Deployment>().delete_collection(&now, &all).await?;
        self.bobs.api::<StatefulSet>().delete_collection(&now, &all).await?;
        self.bobs.api::<Job>().delete_collection(&now, &all).await?;
        eventually("there is no Pod", async || {
            let pods = self.bobs.api::<Pod>();
            pods.delete_collection(&now, &all).await.map_err(|error| error.to_string())?;
            let left = pods.list(&all).await.map_err(|error| error.to_string())?.items.len();
            if left == 0 { Ok(()) } else { Err(format!("{left} Pods")) }
        })
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_named_by_what_it_is_a_copy_of() {
        // echo -n alice/db/password | sha256sum
        assert_eq!(copy_name("alice", "db", "password"), "apolo-shared-3b62dbe51a8547de3c5687bc7785458d");
    }
}
