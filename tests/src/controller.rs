//! The controller, outside the cluster: the real binary as a process, with a token of the account that the chart makes for it.

use std::{io, process::Command};

use crate::{
    cluster::server::Server,
    control_plane::ControlPlane,
    eventually::eventually,
    proxy::Proxy,
    webhook::{self, Error, RELEASE},
};

/// The service account of the controller, in the namespace of the release.
pub const ACCOUNT: &str = "apolo-secrets-controller";

/// The Lease of the chart's controllers, in the namespace of the release.
pub const LEASE: &str = "apolo-secrets-controller";

/// A controller that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Controller {
    /// How it is called in the Lease.
    pub identity: String,
    server: Server,
    address: String,
}

impl ControlPlane {
    /// Applies the chart but for its hooks: our kinds, the accounts with their rights, and the policies. No webhook serves, so
    /// that a grant is what a test makes it.
    ///
    /// # Errors
    /// When the chart is refused, or the kinds are not served by the deadline.
    pub async fn install_kinds(&self) -> Result<(), Error> {
        let rendered = self.render("https://127.0.0.1:9").await?;
        let is_hook = |document: &&str| {
            document.contains("\nkind: MutatingWebhook") || document.contains("\nkind: ValidatingWebhook")
        };
        let rest: Vec<&str> = rendered.split("\n---\n").filter(|document| !is_hook(document)).collect();
        self.apply_release(&rest.join("\n---\n")).await?;
        self.policies_hold().await?;
        Ok(self.serves_grants().await?)
    }

    /// Starts a controller, by this name among the programs of the cluster, and returns when it is ready. Whether it leads is
    /// another matter.
    ///
    /// # Errors
    /// When it does not start, or is not ready by the deadline.
    pub async fn start_controller(&self, name: &'static str, more: &[&str]) -> Result<Controller, Error> {
        self.start_controller_at(self.url(), name, more).await
    }

    /// The same of a controller that reaches the API server through a proxy only.
    ///
    /// # Errors
    /// When it does not start, or is not ready by the deadline.
    pub async fn start_controller_behind(
        &self,
        proxy: &Proxy,
        name: &'static str,
        more: &[&str],
    ) -> Result<Controller, Error> {
        self.start_controller_at(proxy.url(), name, more).await
    }

    async fn start_controller_at(&self, url: &str, name: &'static str, more: &[&str]) -> Result<Controller, Error> {
        self.link_binary(name)?;
        let kubeconfig = self.kubeconfig_of_account_at(url, RELEASE, ACCOUNT).await?;
        let arguments = ["controller", "--metrics-bind-address=127.0.0.1:0"].iter().chain(more);
        let arguments: Vec<String> = arguments.map(|&argument| argument.to_owned()).collect();
        let mut server = Server::start_in(self.folder(), name, &arguments, &[("KUBECONFIG", &kubeconfig)])?;
        let log = self.folder().join(format!("{name}.log"));
        let (identity, address) = eventually("the controller is ready", async || {
            if let Err(ended) = server.check() {
                return Ok(Err(ended));
            }
            let line = webhook::serving_line(&log).ok_or("no line of its log says that it serves")?;
            let address = webhook::address(&line, "metrics_address");
            let answer = webhook::get(&address, "/readyz").await.map_err(|error| error.to_string())?;
            let identity = webhook::address(&line, "identity");
            if answer.starts_with("HTTP/1.1 200") { Ok::<_, String>(Ok((identity, address))) } else { Err(answer) }
        })
        .await??;
        Ok(Controller { identity, server, address })
    }
}

impl Controller {
    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// An error if it has ended.
    ///
    /// # Errors
    /// How it ended, and the end of its log.
    pub fn runs(&mut self) -> Result<(), Error> {
        Ok(self.server.check()?)
    }

    /// A value of its metrics, by name and labels as they are shown; none if it is not shown.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metric(&self, name: &str) -> io::Result<Option<f64>> {
        let all = webhook::get(&self.address, "/metrics").await?;
        let mut lines = all.lines().filter_map(|line| line.rsplit_once(' '));
        Ok(lines.find(|(shown, _)| *shown == name).and_then(|(_, value)| value.parse().ok()))
    }

    /// How many requests that write it has sent.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn writes(&self) -> io::Result<f64> {
        self.count_writes(|_| true).await
    }

    /// The same without those of catalogs.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn writes_of_grants(&self) -> io::Result<f64> {
        self.count_writes(|line| !line.contains("SecretCatalog")).await
    }

    async fn count_writes(&self, is_counted: impl Fn(&str) -> bool) -> io::Result<f64> {
        let all = webhook::get(&self.address, "/metrics").await?;
        let counts = all.lines().filter(|line| line.starts_with("apolo_writes_total{") && is_counted(line));
        Ok(counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    /// How many requests that write objects of these kinds it has sent.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn written(&self, kinds: &[&str]) -> io::Result<f64> {
        let all = self.all_metrics().await?;
        let is_of = |line: &&str| kinds.iter().any(|kind| line.contains(&format!("object=\"{kind}\"")));
        let counts = all.lines().filter(|line| line.starts_with("apolo_writes_total{")).filter(is_of);
        Ok(counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    /// All that it counts, as it is shown.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn all_metrics(&self) -> io::Result<String> {
        webhook::get(&self.address, "/metrics").await
    }

    /// Returns when it leads.
    ///
    /// # Errors
    /// When it does not by the deadline.
    pub async fn leads(&self) -> Result<(), Error> {
        let leading = async || match self.metric("apolo_leading").await {
            Ok(Some(1.0)) => Ok(()),
            other => Err(format!("{other:?}")),
        };
        Ok(eventually("the controller leads", leading).await?)
    }

    /// Asks it to stop, as kubelet does, and waits until it has.
    ///
    /// # Errors
    /// When it does not stop by the deadline.
    pub async fn stop(&mut self) -> Result<(), Error> {
        self.signal("TERM")?;
        let server = &mut self.server;
        eventually("the controller stops", async || match server.check() {
            Ok(()) => Err("it runs"),
            Err(_) => Ok(()),
        })
        .await?;
        Ok(())
    }

    /// Kills it, and waits until it has ended.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn kill(&mut self) -> io::Result<()> {
        self.server.kill()
    }

    /// Sends it a signal, such as STOP.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn signal(&self, name: &str) -> Result<(), Error> {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.server.id().to_string()).status();
        sent.map(drop).map_err(|source| Error::Run("kill", source))
    }
}
