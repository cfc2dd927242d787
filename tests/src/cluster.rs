//! A Kubernetes control plane of one's own: etcd, kube-apiserver, kube-controller-manager and kube-scheduler as plain
//! processes, and all that they write in one temporary folder.
//!
//! etcd listens on sockets in that folder and the managers do not listen, so only the API server takes a port. Nothing
//! stays behind: see `cluster/guard.rs`.

mod arguments;
pub(crate) mod guard;
pub mod programs;
pub mod server;

use std::{
    fs::Permissions,
    io,
    net::TcpListener,
    ops::Deref,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use http::Request;
use k8s_openapi::api::core::v1::{Node, NodeSpec, ServiceAccount};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::time::timeout;

use self::{guard::Guard, server::Server};
use crate::{
    authority::{self, Authority},
    control_plane::{self, ControlPlane},
    eventually::{NotYet, eventually},
};

/// Names, in the environment, the folder of the cluster that tests share.
pub const SHARED: &str = "APOLO_TEST_CLUSTER";

/// How often another process may take the port that was chosen before the API server listens on it.
const PORTS: usize = 5;

/// For how long one question to a server that is starting may go unanswered.
const PATIENCE: Duration = Duration::from_secs(2);

/// Every request, once it is answered: who, what, verdict; no body.
const AUDIT_POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Request", "resources": [{"group": "authorization.k8s.io", "resources": ["subjectaccessreviews"]}]},
        {"level": "Metadata"}
    ]}"#;

/// A running cluster. Dropping it stops the servers and removes the folder.
#[derive(Debug)]
pub struct Cluster {
    control_plane: ControlPlane,
    // Dropped in this order: the guard ends what runs, and the servers are then waited for.
    _guard: Option<Guard>,
    _servers: Vec<Server>,
}

/// What is behind the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// No node: Pods are made, admitted and given a place in nothing.
    ControlPlane,
    /// Room for a node, which is to be added: see [`Node`](crate::node::Node). The API server is reached at the node's address.
    Node,
}

/// How many requests a second each controller of the controller-manager may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limits {
    /// More than this machine answers.
    Lifted,
    /// 20, and 30 at once: the defaults of `--kube-api-qps` and `--kube-api-burst`, as its `--help` tells them.
    Usual,
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No outer process has started one.
    #[error("{SHARED} is not set: run make test, or start a cluster with make cluster and export what it prints")]
    NotShared,
    /// The programs could not be built.
    #[error("cannot build the programs of the cluster")]
    Programs(#[from] programs::Error),
    /// A key or certificate could not be made.
    #[error("cannot make the cluster's certificates")]
    Authority(#[from] authority::Error),
    /// The signing key of service accounts could not be made.
    #[error("cannot make the key that signs the tokens of service accounts")]
    SigningKey(#[from] rcgen::Error),
    /// Something in the folder could not be made.
    #[error("cannot make {}", .path.display())]
    Write {
        /// What.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No port is free.
    #[error("cannot find a free port on 127.0.0.1")]
    Port(#[source] io::Error),
    /// A server did not start, or ended.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// A server runs but does not do what it should.
    #[error("{not_yet}; the log of the server ends:\n{log}")]
    NotReady {
        /// What was waited for.
        not_yet: NotYet,
        /// The last lines of the log of the server that was waited for.
        log: String,
    },
    /// The node could not be added.
    #[error("cannot add a node")]
    Node(#[source] kube::Error),
    /// The cluster could not be reached.
    #[error(transparent)]
    ControlPlane(#[from] control_plane::Error),
}

impl Cluster {
    /// Starts a cluster, and returns when it serves and its controllers work.
    ///
    /// # Errors
    /// When a program cannot be built, or a server does not start or ends; that error shows the end of its log.
    pub async fn start() -> Result<Self, Error> {
        Self::start_with(Limits::Lifted).await
    }

    /// The same with these limits.
    ///
    /// # Errors
    /// See [`Cluster::start`].
    pub async fn start_with(limits: Limits) -> Result<Self, Error> {
        Self::start_on(free_port, limits, Level::ControlPlane).await
    }

    /// The same for a node that is to be added.
    pub(crate) async fn start_for_node() -> Result<Self, Error> {
        Self::start_on(free_port, Limits::Lifted, Level::Node).await
    }

    async fn start_on(ports: impl FnMut() -> io::Result<u16>, limits: Limits, level: Level) -> Result<Self, Error> {
        let programs = programs::build().await?;
        let folder = make_folder()?;
        // What is mounted in the folder of a node's cluster goes with the enclosure, and then the folder with that of the enclosure.
        let guard = match level {
            Level::ControlPlane => {
                Some(Guard::over(&folder).map_err(|source| Error::Write { path: folder.clone(), source })?)
            }
            Level::Node => None,
        };
        programs::link(&programs, &folder.join("bin"))?;
        write_files(&folder, &Authority::new()?)?;

        let mut servers = vec![Server::start(&folder, "etcd", &arguments::etcd())?];
        let control_plane = start_api_server(&folder, &mut servers, ports, level).await?;
        if level == Level::ControlPlane {
            add_node(control_plane.admin().await?).await?;
        }
        start_managers(&control_plane, &mut servers, limits, level).await?;
        Ok(Self { control_plane, _guard: guard, _servers: servers })
    }

    /// The cluster that an outer process has started for all tests.
    ///
    /// # Errors
    /// When there is none, or it has gone.
    pub fn shared() -> Result<ControlPlane, Error> {
        let folder = std::env::var_os(SHARED).ok_or(Error::NotShared)?;
        Ok(ControlPlane::open(Path::new(&folder))?)
    }
}

impl Deref for Cluster {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        &self.control_plane
    }
}

/// A folder that nobody else may enter: it holds keys, and etcd asks nobody who he is.
fn make_folder() -> Result<PathBuf, Error> {
    let folder = tempfile::Builder::new().prefix("apolo-cluster-").permissions(Permissions::from_mode(0o700)).tempdir();
    folder.map(tempfile::TempDir::keep).map_err(|source| Error::Write { path: std::env::temp_dir(), source })
}

fn write(folder: &Path, name: &str, content: &str) -> Result<(), Error> {
    let path = folder.join(name);
    std::fs::write(&path, content).map_err(|source| Error::Write { path, source })
}

/// What the servers know each other and everybody else by, and what they are to write down.
fn write_files(folder: &Path, authority: &Authority) -> Result<(), Error> {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let api_server = authority.server(&arguments::API_SERVER_NAMES, SystemTime::now() + year)?;
    let to_kubelet = authority.client("kube-apiserver", &[])?;
    let signing = rcgen::KeyPair::generate()?;
    write(folder, control_plane::AUTHORITY, &authority.pair().certificate)?;
    write(folder, control_plane::AUTHORITY_KEY, &authority.pair().key)?;
    write(folder, arguments::API_SERVER, &api_server.certificate)?;
    write(folder, arguments::API_SERVER_KEY, &api_server.key)?;
    write(folder, arguments::KUBELET_CLIENT, &to_kubelet.certificate)?;
    write(folder, arguments::KUBELET_CLIENT_KEY, &to_kubelet.key)?;
    write(folder, arguments::SIGNING, &signing.public_key_pem())?;
    write(folder, arguments::SIGNING_KEY, &signing.serialize_pem())?;
    write(folder, arguments::AUDIT_POLICY, AUDIT_POLICY)
}

/// Starts the API server on one of `ports`, adds it to `servers` and waits until it is ready.
///
/// Between the choice of a port and its use another process may take it; then another one is tried.
async fn start_api_server(
    folder: &Path,
    servers: &mut Vec<Server>,
    mut ports: impl FnMut() -> io::Result<u16>,
    level: Level,
) -> Result<ControlPlane, Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        let port = ports().map_err(Error::Port)?;
        let control_plane = ControlPlane::create(folder, &format!("https://127.0.0.1:{port}"))?;
        servers.push(Server::start(folder, "kube-apiserver", &arguments::api_server(port, level))?);
        let client = control_plane.admin().await?;
        let ready = async || {
            let request = Request::get("/readyz").body(Vec::new()).map_err(kube::Error::HttpError)?;
            client.request_text(request).await.map(drop)
        };
        match serves("the API server is ready", servers, ready).await {
            Err(Error::Server(error)) if error.is_taken_port() && tries < PORTS => drop(servers.pop()),
            result => return result.map(|()| control_plane),
        }
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A node for which DaemonSets make their Pods. Nothing runs there, and the scheduler binds nothing to it: it is
/// cordoned and has room for no Pod.
async fn add_node(client: Client) -> Result<(), Error> {
    let node = Node {
        metadata: ObjectMeta { name: Some("nowhere".into()), ..ObjectMeta::default() },
        spec: Some(NodeSpec { unschedulable: Some(true), ..NodeSpec::default() }),
        ..Node::default()
    };
    let nodes: Api<Node> = Api::all(client);
    nodes.create(&PostParams::default(), &node).await.map_err(Error::Node)?;
    // The API server taints a new node as not ready, and no kubelet will ever say otherwise.
    let untainted = Patch::Merge(json!({"spec": {"taints": null}}));
    nodes.patch("nowhere", &PatchParams::default(), &untainted).await.map(drop).map_err(Error::Node)
}

/// Starts what works through the API server, and waits for the first work that a Pod needs done.
async fn start_managers(
    control_plane: &ControlPlane,
    servers: &mut Vec<Server>,
    limits: Limits,
    level: Level,
) -> Result<(), Error> {
    let folder = control_plane.folder();
    let kubeconfig = control_plane.kubeconfig("system:kube-scheduler", &[])?;
    servers.push(Server::start(folder, "kube-scheduler", &arguments::scheduler(&kubeconfig))?);
    let kubeconfig = control_plane.kubeconfig("system:kube-controller-manager", &[])?;
    let told = arguments::controller_manager(&kubeconfig, limits, level);
    servers.push(Server::start(folder, "kube-controller-manager", &told)?);

    let accounts: Api<ServiceAccount> = Api::namespaced(control_plane.admin().await?, "default");
    let made = async || accounts.get("default").await.map(drop);
    serves("the default service account is made", servers, made).await
}

/// Asks until the answer is yes. The server that was started last is the one that answers; none may end meanwhile.
async fn serves(
    what: &str,
    servers: &mut [Server],
    ask: impl AsyncFn() -> Result<(), kube::Error>,
) -> Result<(), Error> {
    let outcome = eventually(what, async || match servers.iter_mut().try_for_each(Server::check) {
        // Whoever took the port may keep silent.
        Ok(()) => match timeout(PATIENCE, ask()).await {
            Ok(answer) => answer.map(Ok).map_err(|error| error.to_string()),
            Err(_) => Err(String::from("no answer")),
        },
        Err(ended) => Ok(Err(ended)),
    });
    match outcome.await {
        Ok(alive) => Ok(alive?),
        Err(not_yet) => {
            let log = servers.last().map(Server::last_lines).unwrap_or_default();
            Err(Error::NotReady { not_yet, log })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn takes_another_port_if_one_is_taken() -> Result<(), Error> {
        let holder = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let taken = holder.local_addr().unwrap().port();
        let mut ports = std::iter::once(Ok(taken)).chain(std::iter::repeat_with(free_port));
        let cluster = Cluster::start_on(|| ports.next().unwrap(), Limits::Lifted, Level::ControlPlane).await?;
        assert!(!cluster.url().ends_with(&taken.to_string()));
        cluster.admin().await?.apiserver_version().await.unwrap();
        Ok(())
    }
}
