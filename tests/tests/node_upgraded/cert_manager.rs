//! cert-manager makes the certificates of an installation, then we do, then cert-manager again.
#![allow(clippy::print_stdout, reason = "it tells the logs of cert-manager")]

use anyhow::{Context, ensure};
use apolo_tests::{eventually::eventually, webhook::RELEASE};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::Scene;

const CERT_MANAGER: [&str; 2] = ["--set=certificates.mode=cert-manager", "--wait"];

/// The Secret of the CA that cert-manager makes for the release.
const AUTHORITY: &str = "apolo-secrets-webhook-cert-manager-ca";
/// The Secret of the certificate that it signs by it.
const SERVING: &str = "apolo-secrets-webhook-cert-manager";

impl Scene {
    /// Installed with cert-manager, which renews both certificates, upgraded to certificates of our own, and back.
    pub(crate) async fn certified_by_cert_manager(&self) -> anyhow::Result<()> {
        let cert_manager = self.ns.start_cert_manager().await?;
        let outcome = self.handed_to_cert_manager_and_back().await;
        if outcome.is_err() {
            println!("{}", cert_manager.last_lines());
        }
        outcome
    }

    async fn handed_to_cert_manager_and_back(&self) -> anyhow::Result<()> {
        self.upgrade(&CERT_MANAGER).await?;
        self.are_rewritten().await?;
        self.all_well("installed with cert-manager").await?;

        self.cert_manager_renews().await?;
        self.upgrade(&["--wait"]).await?;
        self.is_replaced("webhook").await?;
        self.all_well("certificates that are ours, after those of cert-manager").await?;

        self.upgrade(&CERT_MANAGER).await?;
        self.is_believed_by_cert_manager().await?;
        self.is_replaced("webhook").await?;
        // Its injector has written over our CA at once, so that some may have been refused until now.
        self.are_rewritten().await?;
        self.cert_manager_renews().await
    }

    async fn cert_manager_renews(&self) -> anyhow::Result<()> {
        let key = self.entry(AUTHORITY, "tls.key").await?;
        self.renewed_by_cert_manager(&format!("{RELEASE}-webhook-ca"), AUTHORITY).await?;
        // What the CA has signed stays good by that; later versions of cert-manager make another key unless they are told.
        ensure!(self.entry(AUTHORITY, "tls.key").await? == key, "the CA of cert-manager has another key");
        self.all_well("another authority of cert-manager").await?;
        self.renewed_by_cert_manager(&format!("{RELEASE}-webhook"), SERVING).await?;
        self.webhooks_start_again().await?;
        self.all_well("renewed by cert-manager").await
    }

    async fn webhooks_start_again(&self) -> anyhow::Result<()> {
        self.kubectl(&["rollout", "restart", &format!("deployment/{RELEASE}-webhook")], "").await?;
        self.is_replaced("webhook").await
    }

    /// Each caBundle is the CA that has signed what cert-manager has put into the Secret of the webhooks.
    async fn is_believed_by_cert_manager(&self) -> anyhow::Result<()> {
        let believed = async || {
            let authority = self.entry(AUTHORITY, "tls.crt").await?;
            let signed_by = self.entry(SERVING, "ca.crt").await?;
            ensure!(!authority.is_empty() && signed_by == authority, "another authority has signed");
            for kind in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
                let told = self.kubectl(&["get", kind, RELEASE, "--output=json"], "").await?;
                let told: Value = serde_json::from_str(&told)?;
                for hook in told["webhooks"].as_array().context("no hooks")? {
                    let bundle = STANDARD.decode(hook["clientConfig"]["caBundle"].as_str().unwrap_or_default())?;
                    ensure!(bundle == authority, "a hook believes another authority");
                }
            }
            Ok(())
        };
        Ok(eventually("cert-manager is believed", believed).await?)
    }

    /// As `cmctl renew` asks for it.
    async fn renewed_by_cert_manager(&self, certificate: &str, secret: &str) -> anyhow::Result<()> {
        let before = self.entry(secret, "tls.crt").await?;
        ensure!(!before.is_empty(), "cert-manager has made no certificate");
        let certificate = format!("certificate/{certificate}");
        let now: Value = serde_json::from_str(&self.kubectl(&["get", &certificate, "--output=json"], "").await?)?;
        let time =
            now.pointer("/status/conditions/0/lastTransitionTime").context("the certificate has no condition")?;
        let asked = json!({
            "type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "asked for",
            "lastTransitionTime": time,
        });
        let patch = json!([{"op": "add", "path": "/status/conditions/-", "value": asked}]).to_string();
        self.kubectl(&["patch", &certificate, "--subresource=status", "--type=json", "--patch", &patch], "").await?;
        let renewed = async || {
            let now = self.entry(secret, "tls.crt").await?;
            if now.is_empty() || now == before { Err(anyhow::anyhow!("not yet")) } else { Ok(()) }
        };
        Ok(eventually(&format!("cert-manager has renewed {secret}"), renewed).await?)
    }
}
