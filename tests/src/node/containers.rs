//! What is in the containers of a node, as people look at it: logs, and commands that run in there.
#![allow(clippy::indexing_slicing, reason = "to set an index of a JSON object adds what is not there")]

use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use serde_json::{Value, json};

use super::images::BUSYBOX;
use crate::{
    command,
    eventually::{NotYet, eventually, reached},
    namespace::Namespace,
    objects,
    webhook::{self, Error},
};

/// A Pod template of one container, `main`, that runs this in a shell, with these annotations. When it is to go, it goes at once.
pub fn template(annotations: &[(&str, &str)], script: &str) -> Value {
    let mut template = objects::template(annotations);
    template["spec"]["containers"] = json!([container("main", script)]);
    template["spec"]["terminationGracePeriodSeconds"] = json!(0);
    template
}

/// A container that runs this in a shell.
pub fn container(name: &str, script: &str) -> Value {
    json!({"name": name, "image": BUSYBOX, "command": ["sh", "-c", script]})
}

impl Namespace {
    /// Waits until a Pod has ended well; what one of its containers has printed.
    ///
    /// # Errors
    /// When it has not by the deadline, or the log cannot be read.
    pub async fn printed(&self, pod: &str, container: &str) -> Result<String, NotYet> {
        let what = format!("Pod {pod} has ended well");
        reached(self.api::<Pod>(), pod, &what, |pod| phase(pod) == Some("Succeeded")).await?;
        self.log(pod, container).await
    }

    /// Waits until a Pod is ready.
    ///
    /// # Errors
    /// When it is not by the deadline.
    pub async fn runs(&self, pod: &str) -> Result<(), NotYet> {
        let is_ready = |pod: Option<&Pod>| {
            let conditions = pod.and_then(|pod| pod.status.as_ref()?.conditions.as_ref()).into_iter().flatten();
            conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        };
        reached(self.api::<Pod>(), pod, &format!("Pod {pod} is ready"), is_ready).await.map(drop)
    }

    /// What a container has printed until now.
    ///
    /// # Errors
    /// When it has not started by the deadline.
    pub async fn log(&self, pod: &str, container: &str) -> Result<String, NotYet> {
        let params = LogParams { container: Some(container.into()), ..LogParams::default() };
        let pods = self.api::<Pod>();
        eventually(&format!("{container} of Pod {pod} has a log"), async || pods.logs(pod, &params).await).await
    }

    /// Runs this in a shell in the first container of a Pod; what it prints, without white space around it.
    ///
    /// # Errors
    /// When it fails, in words.
    pub async fn inside(&self, pod: &str, script: &str) -> Result<String, Error> {
        let arguments = ["--namespace", &self.name, "exec", pod, "--", "sh", "-c", script];
        webhook::run("kubectl", self.kubectl(arguments), "").await.map(|printed| printed.trim().to_owned())
    }

    /// What `kubectl logs` prints.
    ///
    /// # Errors
    /// When it fails, in words.
    pub async fn kubectl_logs(&self, pod: &str) -> Result<String, Error> {
        let finished = command::run(self.kubectl(["--namespace", &self.name, "logs", pod]), "").await;
        finished.map(|finished| finished.stdout + &finished.stderr).map_err(|source| Error::Run("kubectl", source))
    }
}

fn phase(pod: Option<&Pod>) -> Option<&str> {
    pod?.status.as_ref()?.phase.as_deref()
}
