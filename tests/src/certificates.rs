//! The webhook with certificates that the controller makes: the webhook as a process, beside it a kubelet of which there is only what
//! mounts its Secret, and an oracle that looks whether the API server can believe it.

mod believed;
pub mod load;
mod mount;

use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::PostParams};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::json;

use crate::{
    cluster::{Cluster, server::Server},
    control_plane::ControlPlane,
    controller::{ACCOUNT, Controller},
    eventually::{NotYet, eventually},
    webhook::{self, Error, RELEASE},
};

pub use believed::{Believed, Seen, Watched};
use mount::Mount;

/// The Secret of the authority.
pub const CA: &str = "apolo-secrets-webhook-ca";
/// The Secret of the serving pair.
pub const SERVING: &str = "apolo-secrets-webhook-tls";
/// The webhook, as it is called in the folder of a cluster.
const WEBHOOK: &str = "webhook";

/// A webhook that is called by what the controller makes, on a control plane of its own. No controller runs yet.
#[derive(Debug)]
pub struct Site {
    /// The control plane.
    pub cluster: Cluster,
    /// Where the webhook serves.
    pub url: String,
    probes: String,
    chart: String,
    _webhook: Server,
    _mount: Mount,
}

impl Site {
    /// Starts a control plane, the webhook without a certificate, and makes it known by the chart without a caBundle.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_on(Cluster::start().await?).await
    }

    /// The same on a control plane that runs.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start_on(cluster: Cluster) -> anyhow::Result<Self> {
        let mount = Mount::start(&cluster, SERVING).await?;
        let (webhook, url, probes) = start_webhook(&cluster, &mount).await?;
        let rendered = cluster.render(&url).await?;
        let is_bundle = |line: &&str| line.trim_start().starts_with("caBundle:");
        let chart: String = rendered.lines().filter(|line| !is_bundle(line)).map(|line| format!("{line}\n")).collect();
        cluster.apply_release(&chart).await?;
        cluster.policies_hold().await?;
        cluster.serves_grants().await?;
        Ok(Self { cluster, url, probes, chart, _webhook: webhook, _mount: mount })
    }

    /// What was applied.
    pub fn chart(&self) -> &str {
        &self.chart
    }

    /// Ends the webhook; the control plane goes on.
    pub fn leave(self) -> Cluster {
        self.cluster
    }

    /// Starts a controller that makes certificates of this life.
    ///
    /// # Errors
    /// When it does not start, or does not lead by the deadline.
    pub async fn controller(&self, life: &str) -> Result<Controller, Error> {
        let life = format!("--serving-certificate-life={life}");
        let controller = self.cluster.start_controller(ACCOUNT, &[ARGUMENTS[0], ARGUMENTS[1], &life]).await?;
        controller.leads().await?;
        Ok(controller)
    }

    /// Whether the webhook says that it is ready; its words where it is not.
    ///
    /// # Errors
    /// What it says is missing.
    pub async fn ready(&self) -> Result<(), String> {
        let answer = webhook::get(&self.probes, "/readyz").await.map_err(|error| error.to_string())?;
        if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer) }
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When it is not by the deadline.
    pub async fn is_ready(&self) -> Result<(), NotYet> {
        eventually("the webhook is ready", async || self.ready().await).await
    }

    /// The Secrets of the own namespace.
    ///
    /// # Errors
    /// When there is no client.
    pub async fn secrets(&self) -> anyhow::Result<Api<Secret>> {
        Ok(Api::namespaced(self.cluster.admin().await?, RELEASE))
    }

    /// An entry of a Secret there, as text; nothing if it is not there.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn entry(&self, secret: &str, name: &str) -> anyhow::Result<String> {
        let found = self.secrets().await?.get_opt(secret).await?;
        let data = found.and_then(|secret| secret.data).unwrap_or_default();
        Ok(data.get(name).map(|entry| String::from_utf8_lossy(&entry.0).into_owned()).unwrap_or_default())
    }

    /// Waits until what is served was signed by the authority that is in its Secret, which is in each caBundle. Tells the certificate of
    /// both.
    ///
    /// # Errors
    /// When it is not so by the deadline.
    pub async fn is_right(&self) -> anyhow::Result<(String, String)> {
        let believed = self.believed().await?;
        let right = async || {
            let entry = async |secret| self.entry(secret, "tls.crt").await.map_err(|error| error.to_string());
            let (authority, serving) = (entry(CA).await?, entry(SERVING).await?);
            believed.shakes_hands_by(&authority).await?;
            let bundles = believed.bundles().await?;
            let is_there = serving.starts_with("-----BEGIN CERTIFICATE-----");
            let is_trusted =
                is_there && !authority.is_empty() && bundles.iter().all(|bundle| bundle.contains(authority.trim()));
            if is_trusted {
                Ok((authority, serving))
            } else {
                Err(format!("authority {authority} serving {serving} caBundles {bundles:?}"))
            }
        };
        Ok(eventually("the certificates are right", right).await?)
    }

    /// Asks from now on whether the webhook can be believed and Pods that ask are admitted.
    ///
    /// # Errors
    /// When there is no client.
    pub async fn watch(&self) -> anyhow::Result<Watched> {
        Ok(Watched::start(self.believed().await?))
    }

    /// Who can tell whether the webhook is believed.
    ///
    /// # Errors
    /// When there is no client.
    pub async fn believed(&self) -> anyhow::Result<Believed> {
        Ok(Believed::new(self.cluster.admin().await?, &self.url))
    }

    /// Puts an authority into its Secret that ends after this time.
    ///
    /// # Errors
    /// When it cannot be made, or the API server refuses it.
    pub async fn plant_authority(&self, rest: Duration) -> anyhow::Result<()> {
        let pair = authority(rest)?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": CA}, "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": pair.0, "tls.key": pair.1},
        });
        self.secrets().await?.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
        Ok(())
    }
}

/// What a controller is told that makes the certificates of a webhook on this machine.
pub const ARGUMENTS: [&str; 2] = ["--certificates=builtin", "--webhook-host=127.0.0.1"];

/// The certificate of an authority that ends after this time, and its key: both PEM.
///
/// # Errors
/// When the certificate library refuses.
pub fn authority(rest: Duration) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "planted");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_before = (SystemTime::now() - Duration::from_secs(3600)).into();
    params.not_after = (SystemTime::now() + rest).into();
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

async fn start_webhook(cluster: &ControlPlane, mount: &Mount) -> Result<(Server, String, String), Error> {
    let pair = ["tls.crt", "tls.key"].map(|name| mount.folder().join(name));
    let named = [format!("--webhook-name={RELEASE}")];
    let (server, line) = cluster.serve_webhook(WEBHOOK, cluster.url(), &pair, &named).await?;
    let url = format!("https://{}", webhook::address(&line, "address"));
    Ok((server, url, webhook::address(&line, "metrics_address")))
}
