//! cert-manager makes the certificates of an installation, then we do, then cert-manager again.

use anyhow::{Context, ensure};
use apolo_tests::{
    certificates::{CA, SERVING},
    eventually::eventually,
    webhook::RELEASE,
};
use serde_json::{Value, json};

use crate::Scene;

const CERT_MANAGER: [&str; 2] = ["--set=certificates.mode=cert-manager", "--wait"];

impl Scene {
    /// Installed with cert-manager, which renews both certificates, upgraded to certificates of our own, and back.
    pub(crate) async fn certified_by_cert_manager(&self) -> anyhow::Result<()> {
        let _cert_manager = self.ns.start_cert_manager().await?;
        self.upgrade(&CERT_MANAGER).await?;
        self.are_rewritten().await?;
        self.all_well("installed with cert-manager").await?;

        self.renewed_by_cert_manager(&format!("{RELEASE}-webhook-ca"), CA).await?;
        self.all_well("another authority of cert-manager").await?;
        self.renewed_by_cert_manager(&format!("{RELEASE}-webhook"), SERVING).await?;
        self.kubectl(&["rollout", "restart", &format!("deployment/{RELEASE}-webhook")], "").await?;
        self.is_replaced("webhook").await?;
        self.all_well("renewed by cert-manager").await?;

        self.upgrade(&["--wait"]).await?;
        self.is_replaced("webhook").await?;
        self.all_well("certificates that are ours, after those of cert-manager").await?;
        // Its injector writes over our CA at once, so that some may be refused; then none any more.
        self.upgrade(&CERT_MANAGER).await?;
        self.is_replaced("webhook").await?;
        self.are_rewritten().await?;
        self.all_well("certificates of cert-manager, after those that are ours").await
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
