//! Apolo Secrets on a node: webhook and controller in Pods of their own, from the image, the webhook behind the ClusterIP of a Service.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    authority::CertificatePair,
    control_plane::ControlPlane,
    image::APOLO_SECRETS,
    webhook::{Error, RELEASE, asked, run},
};

/// The Secret with the webhook's certificate.
const SERVING: &str = "apolo-secrets-webhook-tls";

/// The Service of the webhook.
const WEBHOOK: &str = "apolo-secrets-webhook";

/// Where it is mounted.
const CERTIFICATES: &str = "/certificates";

impl ControlPlane {
    /// Installs Apolo Secrets, and returns when the API server asks the webhook, through its Service.
    ///
    /// # Errors
    /// When something is refused, or does not come about by the deadline.
    pub async fn install_on_node(&self) -> Result<(), Error> {
        self.apply_release(&service().to_string()).await?;
        // A URL and a certificate cannot name a Service in the words in which the API server looks it up, so they name its address.
        let of_service = ["get", "service", "--namespace", RELEASE, WEBHOOK, "--output=jsonpath={.spec.clusterIP}"];
        let address = run("kubectl", self.kubectl(of_service), "").await?;
        let rendered = self.render(&format!("https://{address}:443")).await?;
        self.apply_release(&rendered).await?;
        for object in [self.serving_secret(&address)?, webhook(), controller()] {
            run("kubectl", self.kubectl(["apply", "--filename=-"]), &object.to_string()).await?;
        }
        for part in ["webhook", "controller"] {
            let deployment = format!("deployment/{RELEASE}-{part}");
            let waiting = ["--namespace", RELEASE, "rollout", "status", "--timeout=60s", &deployment];
            run("kubectl", self.kubectl(waiting), "").await?;
        }
        self.policies_hold().await?;
        Ok(asked(self.admin().await?).await?)
    }

    fn serving_secret(&self, address: &str) -> Result<Value, Error> {
        let day = Duration::from_secs(24 * 60 * 60);
        let CertificatePair { certificate, key } = self.authority().server(&[address], SystemTime::now() + day)?;
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": SERVING, "namespace": RELEASE},
            "data": {"tls.crt": STANDARD.encode(certificate), "tls.key": STANDARD.encode(key)},
        }))
    }
}

fn service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": WEBHOOK, "namespace": RELEASE},
        "spec": {
            "selector": labels("webhook"),
            "ports": [{"port": 443, "targetPort": 10250}],
        },
    })
}

fn webhook() -> Value {
    let arguments =
        [format!("--tls-cert-file={CERTIFICATES}/tls.crt"), format!("--tls-private-key-file={CERTIFICATES}/tls.key")];
    let volume = json!({"name": "certificates", "secret": {"secretName": SERVING}});
    deployment("webhook", 2, &arguments, &[volume])
}

fn controller() -> Value {
    deployment("controller", 1, &[], &[])
}

fn labels(part: &str) -> Value {
    json!({"app.kubernetes.io/name": RELEASE, "app.kubernetes.io/component": part})
}

/// Volumes are mounted under their names.
fn deployment(part: &str, replicas: u32, arguments: &[String], volumes: &[Value]) -> Value {
    let arguments: Vec<&str> = [part].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let name_of = |volume: &Value| volume.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mounts: Vec<Value> = volumes
        .iter()
        .map(name_of)
        .map(|name| json!({"mountPath": format!("/{name}"), "name": name, "readOnly": true}))
        .collect();
    let container = json!({
        "name": part,
        "image": APOLO_SECRETS,
        "args": arguments,
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": mounts,
    });
    let account = format!("{RELEASE}-{part}");
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": account, "namespace": RELEASE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels(part)},
            "template": {
                "metadata": {"labels": labels(part)},
                "spec": {"serviceAccountName": account, "containers": [container], "volumes": volumes},
            },
        },
    })
}
