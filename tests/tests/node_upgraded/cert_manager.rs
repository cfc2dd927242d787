//! cert-manager makes the certificates of an installation, and then we do.

use anyhow::ensure;
use apolo_tests::{certificates::SERVING, eventually::eventually, webhook::RELEASE};
use serde_json::json;

use crate::Scene;

impl Scene {
    /// Installed with cert-manager, which renews, and upgraded to certificates of our own.
    pub(crate) async fn certified_by_cert_manager(&self) -> anyhow::Result<()> {
        let _cert_manager = self.ns.start_cert_manager().await?;
        self.upgrade(&["--set=certificates.mode=cert-manager", "--wait"]).await?;
        self.are_rewritten().await?;
        self.all_well("installed with cert-manager").await?;

        self.renewed_by_cert_manager().await?;
        self.kubectl(&["rollout", "restart", &format!("deployment/{RELEASE}-webhook")], "").await?;
        self.is_replaced("webhook").await?;
        self.all_well("renewed by cert-manager").await?;

        self.upgrade(&["--wait"]).await?;
        self.is_replaced("webhook").await?;
        self.all_well("certificates that are ours, after those of cert-manager").await
    }

    /// As `cmctl renew` asks for it.
    async fn renewed_by_cert_manager(&self) -> anyhow::Result<()> {
        let before = self.entry(SERVING, "tls.crt").await?;
        ensure!(!before.is_empty(), "cert-manager has made no certificate");
        let now = self.kubectl(&["get", "certificate", &format!("{RELEASE}-webhook"), "--output=json"], "").await?;
        let now: serde_json::Value = serde_json::from_str(&now)?;
        let asked = json!({
            "type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "asked for",
            "lastTransitionTime": now["status"]["conditions"][0]["lastTransitionTime"],
        });
        let patch = json!([{"op": "add", "path": "/status/conditions/-", "value": asked}]).to_string();
        let certificate = format!("certificate/{RELEASE}-webhook");
        self.kubectl(&["patch", &certificate, "--subresource=status", "--type=json", "--patch", &patch], "").await?;
        let renewed = async || {
            let now = self.entry(SERVING, "tls.crt").await?;
            if now.is_empty() || now == before { Err(anyhow::anyhow!("not yet")) } else { Ok(()) }
        };
        Ok(eventually("cert-manager has renewed the serving certificate", renewed).await?)
    }
}
