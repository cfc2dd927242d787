//! cert-manager itself: its kinds in the API server, and its controller and its CA injector as processes beside it.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    cluster::{
        programs,
        server::{self, Server},
    },
    command,
    control_plane::{self, ControlPlane},
};

/// The folder of its kinds, beside its programs.
const KINDS: &str = "kinds";

/// A running cert-manager. Dropping it ends it; its kinds stay.
#[derive(Debug)]
pub struct CertManager {
    servers: [Server; 2],
}

/// Why there is no cert-manager.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be built.
    #[error(transparent)]
    Programs(#[from] programs::Error),
    /// A definition of its kinds cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The API server does not take its kinds.
    #[error("cannot make the kinds of cert-manager known")]
    Kinds(#[source] anyhow::Error),
    /// The cluster could not be reached.
    #[error(transparent)]
    ControlPlane(#[from] control_plane::Error),
    /// A process did not start.
    #[error(transparent)]
    Server(#[from] server::Error),
}

impl ControlPlane {
    /// Makes the kinds of cert-manager known and starts it. It is built before, outside of the enclosure of a node, by
    /// `tests/cluster/build cert-manager`.
    ///
    /// # Errors
    /// When it cannot be built or started, or the API server refuses a kind.
    pub async fn start_cert_manager(&self) -> Result<CertManager, Error> {
        let programs = programs::cert_manager().await?;
        programs::link(std::slice::from_ref(&programs), &self.bin())?;
        let apply = self.kubectl(["apply", "--server-side", "--filename=-"]);
        taken(apply, &kinds(&programs.join(KINDS))?).await?;
        let used = ["certificaterequests", "certificates", "issuers"].map(|kind| format!("crd/{kind}.cert-manager.io"));
        let wait = ["wait", "--for=condition=Established", "--timeout=60s"].map(String::from);
        taken(self.kubectl([wait.as_slice(), &used].concat()), "").await?;

        let kubeconfig = self.kubeconfig("cert-manager", &["system:masters"])?;
        let told = [format!("--kubeconfig={}", kubeconfig.display()), "--leader-elect=false".into()];
        let injector = Server::start(self.folder(), "cert-manager-cainjector", &told)?;
        let own = ["--controllers=*".into(), "--metrics-listen-address=127.0.0.1:0".into()];
        let controller = Server::start(self.folder(), "cert-manager-controller", &[told.as_slice(), &own].concat())?;
        Ok(CertManager { servers: [controller, injector] })
    }
}

impl CertManager {
    /// The ends of the logs of its processes.
    pub fn last_lines(&self) -> String {
        self.servers.iter().map(|server| format!("{}:\n{}\n", server.name(), server.last_lines())).collect()
    }
}

async fn taken(kubectl: Command, manifest: &str) -> Result<(), Error> {
    match command::run(kubectl, manifest).await {
        Ok(finished) if finished.status.success() => Ok(()),
        Ok(refused) => Err(Error::Kinds(anyhow::anyhow!(refused.stderr))),
        Err(error) => Err(Error::Kinds(error.into())),
    }
}

/// All definitions as one manifest. They are templates of cert-manager's chart, of which only labels are filled in.
fn kinds(folder: &Path) -> Result<String, Error> {
    let read = || {
        let mut manifest = String::new();
        for file in folder.read_dir()? {
            manifest += "---\n";
            let text = std::fs::read_to_string(file?.path())?;
            text.lines().filter(|line| !line.contains("{{")).for_each(|line| manifest += &format!("{line}\n"));
        }
        Ok(manifest)
    };
    read().map_err(|source| Error::Read { path: folder.to_owned(), source })
}
