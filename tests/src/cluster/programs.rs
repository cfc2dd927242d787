//! The programs of which a cluster is made. The script `tests/cluster/build` builds them, once, and knows where they are.

use std::{
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use tokio::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/build");

/// The Kubernetes that tests run on unless the environment's `K8S` names another.
const KUBERNETES: &str = "1.36.3";

/// Why the programs are not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The script could not be run.
    #[error("cannot run tests/cluster/build {what}")]
    Run {
        /// What was to be built.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// The script failed; it has said why on stderr.
    #[error("tests/cluster/build {what} failed ({status})")]
    Build {
        /// What was to be built.
        what: String,
        /// How the script ended.
        status: ExitStatus,
    },
    /// The programs could not be linked into the cluster's folder.
    #[error("cannot link the programs of {} into {}", .from.display(), .to.display())]
    Link {
        /// Where they were built.
        from: PathBuf,
        /// Where they were to be.
        to: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The version of Kubernetes that a cluster started now will have, such as `1.36.3`.
pub fn kubernetes_version() -> String {
    std::env::var("K8S").ok().filter(|version| !version.is_empty()).unwrap_or_else(|| KUBERNETES.into())
}

/// Builds what is not built yet, and answers with the folders that hold it. What the script says goes to stderr.
pub(crate) async fn build() -> Result<[PathBuf; 2], Error> {
    let kubernetes = build_one(format!("kubernetes/{}", kubernetes_version())).await?;
    Ok([kubernetes, helm().await?])
}

/// The same of helm alone.
///
/// # Errors
/// When it cannot be built.
pub async fn helm() -> Result<PathBuf, Error> {
    build_one("helm".into()).await
}

/// The same of what makes a node of this machine.
pub(crate) async fn build_node() -> Result<[PathBuf; 2], Error> {
    let node = build_one(format!("node/{}", kubernetes_version())).await?;
    Ok([node, build_one("containerd".into()).await?])
}

/// The same of cert-manager: its programs and, in a folder, the definitions of its kinds.
pub(crate) async fn cert_manager() -> Result<PathBuf, Error> {
    build_one("cert-manager".into()).await
}

/// Builds what a cluster with a node needs and is not built yet.
///
/// # Errors
/// When something cannot be built.
pub async fn build_all() -> Result<(), Error> {
    build().await?;
    build_node().await.map(drop)
}

async fn build_one(what: String) -> Result<PathBuf, Error> {
    let script = Command::new(SCRIPT).arg(&what).stdin(Stdio::null()).stderr(Stdio::inherit()).output().await;
    let output = script.map_err(|source| Error::Run { what: what.clone(), source })?;
    if !output.status.success() {
        return Err(Error::Build { what, status: output.status });
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// Makes `bin`, with a link to each program: a process of this cluster is known by having been started from there.
pub(crate) fn link(folders: &[PathBuf], bin: &Path) -> Result<(), Error> {
    let link_all = |from: &Path| {
        std::fs::create_dir_all(bin)?;
        for program in from.read_dir()? {
            let program = program?;
            symlink(program.path(), bin.join(program.file_name()))?;
        }
        Ok(())
    };
    folders.iter().try_for_each(|from| {
        link_all(from).map_err(|source| Error::Link { from: from.clone(), to: bin.into(), source })
    })
}
