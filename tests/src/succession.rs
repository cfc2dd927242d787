//! Controllers, one after the other: each reaches the API server through a proxy that can stop at a write, there it is killed, and the
//! next takes its place.

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt, api::DeleteParams};

use crate::{
    cluster::Cluster,
    controller::{Controller, LEASE},
    proxy::Proxy,
    webhook::RELEASE,
};

/// A control plane without hooks, a proxy, and a controller behind it.
#[derive(Debug)]
pub struct Succession {
    /// The control plane.
    pub cluster: Cluster,
    /// What the controllers reach it through.
    pub proxy: Proxy,
    controller: Option<Controller>,
}

impl Succession {
    /// Starts all of it; the controller leads.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn new() -> anyhow::Result<Self> {
        let cluster = Cluster::start().await?;
        cluster.install_kinds().await?;
        let proxy = Proxy::start(&cluster).await?;
        let mut succession = Self { cluster, proxy, controller: None };
        succession.start().await?;
        Ok(succession)
    }

    /// Starts the next. The Lease goes first: that of one that was killed would have to run out, and nobody writes by it any more.
    ///
    /// # Errors
    /// When it does not start, or does not lead by the deadline.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.proxy.begin(None);
        let leases: Api<Lease> = Api::namespaced(self.cluster.admin().await?, RELEASE);
        if let Some(lease) = leases.get_opt(LEASE).await? {
            leases.delete(&lease.name_any(), &DeleteParams::default()).await?;
        }
        let controller = self.cluster.start_controller_behind(&self.proxy, "controller", &[]).await?;
        controller.leads().await?;
        self.controller = Some(controller);
        Ok(())
    }

    /// Kills the one that there is.
    pub fn kill(&mut self) {
        // To drop it is to kill it.
        self.controller = None;
    }
}
