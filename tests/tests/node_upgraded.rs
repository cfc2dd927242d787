//! On a real node, while Pods that ask for secrets and Pods that do not are submitted all the while: installed by helm, upgraded, rolled back,
//! its certificates renewed and handed to others and back, uninstalled. By itself, for nobody else can use the node then.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "it counts what it saw")]

mod node_upgraded {
    mod cert_manager;
}

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, ensure};
use apolo_tests::{
    certificates::{
        CA, SERVING, authority,
        load::{Came, Load},
    },
    command,
    eventually::{eventually, within},
    namespace::{Namespace, with_namespace},
    webhook::{CHART, RELEASE},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use rcgen::{CertificateParams, Issuer, KeyPair};
use serde_json::{Value, json};

/// Names, in the environment, how many renewals there are to be.
const RENEWALS: &str = "APOLO_RENEWALS";
/// A serving life that the node's kubelet, which looks each five seconds, can follow.
const LIFE: &str = "45s";
/// How long a renewal may take.
const RENEWED: Duration = Duration::from_secs(90);
/// How many Pods tell something.
const ENOUGH: usize = 20;

struct Scene {
    ns: Namespace,
    load: Load,
}

impl Scene {
    async fn helm(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let finished = command::run(self.ns.helm([arguments, &["--namespace", RELEASE]].concat()), "").await?;
        ensure!(finished.status.success(), "helm {arguments:?}: {}{}", finished.stdout, finished.stderr);
        Ok(())
    }

    /// Installs, or changes what is installed, to these values.
    async fn upgrade(&self, values: &[&str]) -> anyhow::Result<()> {
        // Without it helm takes the values of the last time where none are given.
        let upgrade = ["upgrade", "--install", RELEASE, CHART, "--create-namespace", "--reset-values"];
        self.helm(&[&upgrade, values].concat()).await
    }

    async fn kubectl(&self, arguments: &[&str], stdin: &str) -> anyhow::Result<String> {
        let finished = command::run(self.ns.kubectl([&["--namespace", RELEASE], arguments].concat()), stdin).await?;
        ensure!(finished.status.success(), "kubectl {arguments:?}: {}", finished.stderr);
        Ok(finished.stdout)
    }

    async fn rolled_out(&self, deployment: &str) -> anyhow::Result<()> {
        self.kubectl(&["rollout", "status", &format!("deployment/{RELEASE}-{deployment}"), "--timeout=120s"], "")
            .await
            .map(drop)
    }

    /// The Pods of a Deployment are others, and those before are gone: until then they may be called.
    async fn is_replaced(&self, deployment: &str) -> anyhow::Result<()> {
        self.rolled_out(deployment).await?;
        let pods: Api<Pod> = Api::namespaced(self.ns.client.clone(), RELEASE);
        let of = ListParams::default().labels(&format!("app.kubernetes.io/component={deployment}"));
        let gone = async || {
            let found = pods.list(&of).await.map_err(|error| error.to_string())?;
            let leaving = found.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some()).count();
            if leaving == 0 { Ok(()) } else { Err(format!("{leaving} are still there")) }
        };
        Ok(eventually(&format!("the Pods of {deployment} that were before are gone"), gone).await?)
    }

    /// Nothing has been refused since this was asked last, and enough was asked to tell.
    async fn all_well(&self, what: &str) -> anyhow::Result<()> {
        eventually("enough is asked", async || match self.load.rewritten() {
            ENOUGH.. => Ok(()),
            few => Err(few),
        })
        .await?;
        let Came { rewritten, unchanged, others, refused } = self.load.take();
        println!("{what}: {rewritten} rewritten, {others} that ask for nothing");
        ensure!(refused.is_empty() && unchanged == 0, "{what}: {unchanged} unchanged, refused: {refused:?}");
        Ok(())
    }

    async fn entry(&self, secret: &str, name: &str) -> anyhow::Result<Vec<u8>> {
        let secrets: Api<Secret> = Api::namespaced(self.ns.client.clone(), RELEASE);
        let data = secrets.get_opt(secret).await?.and_then(|it| it.data).unwrap_or_default();
        Ok(data.get(name).map(|entry| entry.0.clone()).unwrap_or_default())
    }

    /// What admins write by the command that helm tells them.
    async fn bundles(&self, change: impl Fn(&[u8]) -> Vec<u8>) -> anyhow::Result<()> {
        for kind in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
            let told = self.kubectl(&["get", kind, RELEASE, "--output=json"], "").await?;
            let mut configuration: Value = serde_json::from_str(&told)?;
            for hook in configuration["webhooks"].as_array_mut().context("no hooks")? {
                let bundle = STANDARD.decode(hook["clientConfig"]["caBundle"].as_str().unwrap_or_default())?;
                hook["clientConfig"]["caBundle"] = json!(STANDARD.encode(change(&bundle)));
            }
            self.kubectl(&["replace", "--filename=-"], &configuration.to_string()).await?;
        }
        Ok(())
    }

    /// Somebody else makes the certificates, and then we again; what was made here before lies there still.
    async fn handed_over_and_back(&self) -> anyhow::Result<()> {
        let (certificate, key) = authority(Duration::from_secs(86_400))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(&key)?)?;
        let pair = KeyPair::generate()?;
        let serving =
            CertificateParams::new(vec![format!("{RELEASE}-webhook.{RELEASE}.svc")])?.signed_by(&pair, &issuer)?;
        let secret = json!({
            "metadata": {"name": "provided"}, "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": serving.pem(), "tls.key": pair.serialize_pem()},
        });
        let secrets: Api<Secret> = Api::namespaced(self.ns.client.clone(), RELEASE);
        secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
        // Nobody is to make caBundle right meanwhile.
        self.kubectl(&["scale", &format!("deployment/{RELEASE}-controller"), "--replicas=0"], "").await?;
        self.is_replaced("controller").await?;
        self.bundles(|bundle| [bundle, certificate.as_bytes()].concat()).await?;
        self.upgrade(&["--set=certificates.mode=provided", "--set=certificates.provided.secretName=provided"]).await?;
        self.is_replaced("webhook").await?;
        self.bundles(|_| certificate.as_bytes().to_vec()).await?;
        self.all_well("certificates that somebody else provides").await?;

        self.upgrade(&["--wait"]).await?;
        self.is_replaced("webhook").await?;
        self.all_well("certificates that are ours again").await
    }

    /// Renewed some times, the authority once, replicas restarted in between.
    async fn renewed(&self, times: usize) -> anyhow::Result<()> {
        let flag = format!("--serving-certificate-life={LIFE}");
        let shorter =
            self.kubectl(&["get", "deployment", &format!("{RELEASE}-controller"), "--output=json"], "").await?;
        let deployment: Value = serde_json::from_str(&shorter)?;
        let arguments =
            deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().context("no arguments")?;
        let arguments: Vec<Value> =
            arguments
                .iter()
                .map(|it| {
                    if it.as_str().is_some_and(|it| it.contains("-certificate-life")) {
                        json!(flag)
                    } else {
                        it.clone()
                    }
                })
                .collect();
        let patch = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": arguments}]);
        let deployment = format!("deployment/{RELEASE}-controller");
        self.kubectl(&["patch", &deployment, "--type=json", "--patch", &patch.to_string()], "").await?;
        self.rolled_out("controller").await?;
        let mut seen = BTreeSet::from([self.entry(SERVING, "tls.crt").await?]);
        for time in 0..times {
            let next = async || {
                let now = self.entry(SERVING, "tls.crt").await?;
                if now.is_empty() || seen.contains(&now) { Err(anyhow::anyhow!("not yet")) } else { Ok(now) }
            };
            let next = within(RENEWED, "the serving certificate is renewed", next).await?;
            seen.insert(next);
            match time {
                0 => drop(self.kubectl(&["rollout", "restart", &format!("deployment/{RELEASE}-webhook")], "").await?),
                1 => {
                    let secrets: Api<Secret> = Api::namespaced(self.ns.client.clone(), RELEASE);
                    secrets.delete(CA, &DeleteParams::default()).await?;
                }
                _ => {}
            }
        }
        self.rolled_out("webhook").await?;
        self.all_well(&format!("{times} renewals, another authority, webhooks restarted")).await
    }

    /// What asks for nothing is never refused; what asks is rewritten, refused by the policy, or admitted as anywhere without us.
    async fn uninstalled(&self) -> anyhow::Result<()> {
        self.helm(&["uninstall", RELEASE, "--wait"]).await?;
        let Came { rewritten, unchanged, others, refused } = self.load.take();
        println!(
            "uninstalled: {rewritten} rewritten, {others} that ask for nothing, {unchanged} unchanged, {refused:?}"
        );
        let by_policy = |words: &String| words.starts_with("the Pod asks for secrets and does not say who launched it");
        ensure!(refused.keys().all(by_policy), "{refused:?}");
        ensure!(others >= ENOUGH, "{others} that ask for nothing");
        Ok(())
    }

    /// From here on all Pods that ask get what they ask for.
    async fn are_rewritten(&self) -> anyhow::Result<()> {
        let rewritten = async || match self.load.take() {
            Came { rewritten: 1.., unchanged: 0, ref refused, .. } if refused.is_empty() => Ok(()),
            other => Err(format!("{other:?}")),
        };
        Ok(eventually("Pods are rewritten", rewritten).await?)
    }

    /// All of it.
    async fn all(&self, times: usize) -> anyhow::Result<()> {
        self.upgrade(&["--wait"]).await?;
        self.are_rewritten().await?;
        self.all_well("installed").await?;
        self.upgrade(&["--set=podAnnotations.revision=two", "--wait"]).await?;
        self.all_well("upgraded").await?;
        self.helm(&["rollback", RELEASE, "--wait"]).await?;
        self.all_well("rolled back").await?;
        self.handed_over_and_back().await?;
        self.renewed(times).await?;
        self.uninstalled().await?;
        self.certified_by_cert_manager().await?;
        self.uninstalled().await
    }

    /// What webhooks and controllers have logged.
    async fn tell(&self) {
        for deployment in ["controller", "webhook"] {
            let deployment = format!("deployment/{RELEASE}-{deployment}");
            let arguments = ["logs", "--all-pods", "--prefix", "--tail=40", &deployment];
            println!("{:?}", self.kubectl(&arguments, "").await);
        }
    }
}

#[tokio::test]
async fn installed_upgraded_rolled_back_renewed_and_uninstalled_no_pod_is_refused_for_it() -> anyhow::Result<()> {
    let times = std::env::var(RENEWALS).ok().and_then(|times| times.parse().ok()).unwrap_or(2);
    with_namespace(async |ns| {
        let load = Load::start(&ns.client, &ns.name);
        let scene = Scene { ns, load };
        let outcome = scene.all(times).await;
        if outcome.is_err() {
            scene.tell().await;
        }
        outcome
    })
    .await
}
