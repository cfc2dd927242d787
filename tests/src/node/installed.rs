//! Apolo Secrets on a node: the chart as helm installs it, webhook and controller in Pods of their own, from the image.

use crate::{
    control_plane::ControlPlane,
    webhook::{CHART, Error, RELEASE, asked, run},
};

impl ControlPlane {
    /// Installs Apolo Secrets, or this version of it over another, and returns when the API server asks the webhook.
    ///
    /// # Errors
    /// When something is refused, or does not come about by the deadline.
    pub async fn install_on_node(&self) -> Result<(), Error> {
        let install = ["upgrade", "--install", RELEASE, CHART, "--namespace", RELEASE, "--create-namespace", "--wait"];
        run("helm", self.helm(install), "").await?;
        self.policies_hold().await?;
        Ok(asked(self.admin().await?).await?)
    }
}
