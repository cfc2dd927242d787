//! When the API server holds policies: it hears of one, and that one has gone, a moment after that was written.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use crate::{
    command,
    control_plane::ControlPlane,
    eventually::eventually,
    webhook::{Error, run},
};

impl ControlPlane {
    /// Waits until the API server holds what was written of policies until now. It takes changes up in their order, so one more is
    /// made, tried, and taken away again.
    ///
    /// # Errors
    /// When it does not by the deadline.
    pub async fn policies_hold(&self) -> Result<(), Error> {
        static PROBES: AtomicU32 = AtomicU32::new(0);
        let name = format!("probe-{}-{}", std::process::id(), PROBES.fetch_add(1, Ordering::Relaxed));
        let rule =
            json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]});
        let api = "admissionregistration.k8s.io/v1";
        let policy = json!({
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": format!("object.metadata.name != '{name}'")}],
            },
        });
        let binding = json!({
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        });
        let both = json!({"apiVersion": "v1", "kind": "List", "items": [policy, binding]}).to_string();
        run("kubectl", self.kubectl(["create", "--filename=-"]), &both).await?;
        eventually("the API server holds the policies", async || {
            let create = self.kubectl(["create", "configmap", &name, "--namespace=default", "--dry-run=server"]);
            let tried = command::run(create, "").await.map_err(|error| error.to_string())?;
            if tried.stderr.contains(&name) { Ok(()) } else { Err(tried.stdout + &tried.stderr) }
        })
        .await?;
        run("kubectl", self.kubectl(["delete", "--filename=-"]), &both).await?;
        Ok(())
    }
}
