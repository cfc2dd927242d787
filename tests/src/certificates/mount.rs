//! A Secret as kubelet mounts it: a folder with symlinks to a folder that is replaced whole whenever the Secret changes.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use futures_util::TryStreamExt;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{control_plane::ControlPlane, webhook::RELEASE};

/// A mounted Secret, followed for as long as this is there. What was mounted stays when the Secret goes, as with kubelet.
#[derive(Debug)]
pub(super) struct Mount {
    folder: TempDir,
    task: JoinHandle<()>,
}

impl Mount {
    /// Follows a Secret of our own namespace, which need not be there yet.
    pub(super) async fn start(cluster: &ControlPlane, name: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("mount-").tempdir_in(cluster.folder())?;
        let task = tokio::spawn(follow(cluster.admin().await?, name.to_owned(), folder.path().to_owned()));
        Ok(Self { folder, task })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(client: Client, name: String, folder: PathBuf) {
    let secrets: Api<Secret> = Api::namespaced(client, RELEASE);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut news = std::pin::pin!(watcher(secrets, config).default_backoff().applied_objects());
    let mut count = 0;
    loop {
        match news.try_next().await {
            Ok(Some(secret)) => {
                count += 1;
                if let Err(error) = write(&folder, count, &secret.data.unwrap_or_default()) {
                    eprintln!("a mount cannot be written: {error}");
                }
            }
            Ok(None) => return,
            Err(error) => eprintln!("a mount cannot be followed: {error}"),
        }
    }
}

/// As kubelet does it: a new folder, to which `..data` then leads at once.
///
/// Source: `AtomicWriter` of Kubernetes' `pkg/volume/util/atomic_writer.go`.
fn write(folder: &Path, count: usize, data: &BTreeMap<String, ByteString>) -> io::Result<()> {
    let (fresh, link, next) = (format!("..{count}"), folder.join("..data"), folder.join("..data_tmp"));
    std::fs::create_dir(folder.join(&fresh))?;
    for (name, content) in data {
        std::fs::write(folder.join(&fresh).join(name), &content.0)?;
    }
    let before = std::fs::read_link(&link).ok();
    std::os::unix::fs::symlink(&fresh, &next)?;
    std::fs::rename(&next, &link)?;
    for name in data.keys() {
        if !folder.join(name).is_symlink() {
            std::os::unix::fs::symlink(Path::new("..data").join(name), folder.join(name))?;
        }
    }
    before.map_or(Ok(()), |before| std::fs::remove_dir_all(folder.join(before)))
}
