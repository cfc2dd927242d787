//! A Kubernetes of one real node: the control plane of [`cluster`](crate::cluster), and beside it containerd, kubelet and kube-proxy.
//!
//! What such a node does to a machine (network, mounts, processes, cgroups) it does inside of an [`enclosure`], which is made by another
//! process; what is here runs in there.

pub mod adopted;
mod configuration;
pub mod containers;
pub mod enclosure;
pub mod images;
mod installed;
mod kubelet;
pub mod machine;
mod surroundings;

use std::{
    io,
    ops::Deref,
    path::{Path, PathBuf},
    process::Command,
};

use k8s_openapi::api::core::v1;
use kube::Api;
use tokio::net::TcpStream;

use crate::{
    cluster::{self, Cluster, programs, server, server::Server},
    command,
    control_plane::{self, ControlPlane},
    eventually::{NotYet, eventually},
};

/// The node's address, from a range that is for examples only. It exists in the enclosure.
pub const ADDRESS: &str = "192.0.2.1";

/// The node's name.
pub const NAME: &str = "node";

/// Where Pods reach the API server: the ClusterIP of the Service `kubernetes`.
const KUBERNETES: (&str, u16) = ("10.0.0.1", 443);

/// A cluster with a node that runs Pods. Dropping it stops both.
#[derive(Debug)]
pub struct Node {
    // Dropped in this order.
    _servers: Vec<Server>,
    cluster: Cluster,
}

/// Why there is no node.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The control plane did not start.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The programs could not be built.
    #[error("cannot build the programs of the node")]
    Programs(#[from] programs::Error),
    /// The cluster could not be reached.
    #[error(transparent)]
    ControlPlane(#[from] control_plane::Error),
    /// Something in the folder could not be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// What.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A program of the system could not be run.
    #[error("cannot run {command}")]
    Run {
        /// The program and its arguments.
        command: String,
        /// What the system says.
        source: io::Error,
    },
    /// A program of the system failed.
    #[error("{command} failed: {stderr}")]
    Failed {
        /// The program and its arguments.
        command: String,
        /// What it said.
        stderr: String,
    },
    /// A server did not start, or ended.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// A server runs but does not do what it should.
    #[error("{not_yet}; the log of {name} ends:\n{log}")]
    NotReady {
        /// What was waited for.
        not_yet: NotYet,
        /// The server.
        name: &'static str,
        /// The last lines of its log.
        log: String,
    },
}

impl Node {
    /// Starts a control plane and its node in this enclosure, with these images (docker archives), and returns when the node is ready
    /// and Services work.
    ///
    /// # Errors
    /// When a program cannot be built, or a server does not start or ends; that error shows the end of its log.
    pub async fn start(images: &[PathBuf]) -> Result<Self, Error> {
        let programs = programs::build_node().await?;
        surroundings::prepare().await?;
        let cluster = Cluster::start_for_node().await?;
        let folder = cluster.folder();
        programs::link(&programs, &cluster.bin())?;
        let cgroup = surroundings::make_cgroup(folder)?;
        configuration::write_all(folder, &cgroup)?;

        let path = configuration::path(&cluster.bin());
        let mut containerd = Server::start_in(folder, "containerd", &configuration::containerd(), &[("PATH", &path)])?;
        works("containerd answers", &mut containerd, async || {
            run(images::ctr(folder, &["version"])).await.map(drop).map_err(|error| error.to_string())
        })
        .await?;
        for image in images {
            images::import(folder, image).await?;
        }

        let kubeconfig = cluster.kubeconfig("system:kube-proxy", &[])?;
        let mut proxy = Server::start(folder, "kube-proxy", &configuration::kube_proxy(&kubeconfig))?;
        let kubeconfig = cluster.kubeconfig(&format!("system:node:{NAME}"), &["system:nodes"])?;
        let mut kubelet = Server::start(folder, "kubelet", &configuration::kubelet(folder, &kubeconfig))?;

        let nodes: Api<v1::Node> = Api::all(cluster.admin().await?);
        works("the node is ready", &mut kubelet, async || {
            let node = nodes.get(NAME).await.map_err(|error| error.to_string())?;
            if is_ready(&node) {
                Ok(())
            } else {
                Err(format!("{:?}", node.status.and_then(|status| status.conditions)))
            }
        })
        .await?;
        works("a ClusterIP leads to the API server", &mut proxy, async || {
            TcpStream::connect(KUBERNETES).await.map(drop).map_err(|error| error.to_string())
        })
        .await?;
        Ok(Self { _servers: vec![kubelet, proxy, containerd], cluster })
    }
}

impl Deref for Node {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        &self.cluster
    }
}

/// Asks until the answer is yes; the server that it depends on may not end meanwhile.
async fn works(what: &str, server: &mut Server, ask: impl AsyncFn() -> Result<(), String>) -> Result<(), Error> {
    let outcome = eventually(what, async || match server.check() {
        Ok(()) => ask().await.map(Ok),
        Err(ended) => Ok(Err(ended)),
    });
    match outcome.await {
        Ok(alive) => Ok(alive?),
        Err(not_yet) => Err(Error::NotReady { not_yet, name: server.name(), log: server.last_lines() }),
    }
}

/// Ready, and open to all Pods: the taint that a new node has is gone.
fn is_ready(node: &v1::Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        && taints.is_none_or(Vec::is_empty)
}

/// Runs a program of the system to its end; what it prints.
async fn run(command: Command) -> Result<String, Error> {
    let told = format!("{command:?}").replace('"', "");
    match command::run(command, "").await {
        Ok(finished) if finished.status.success() => Ok(finished.stdout),
        Ok(finished) => Err(Error::Failed { command: told, stderr: finished.stderr }),
        Err(source) => Err(Error::Run { command: told, source }),
    }
}

fn write(path: &Path, content: &str) -> Result<(), Error> {
    std::fs::write(path, content).map_err(|source| Error::Write { path: path.into(), source })
}
