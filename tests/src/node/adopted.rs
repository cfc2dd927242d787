//! A cluster with nodes that others have started, such as one of kind, in place of a [`Node`](super::Node). Its images are loaded by whoever
//! has started it.

use std::{ops::Deref, path::Path};

use tempfile::TempDir;

use super::Error;
use crate::{cluster::programs, control_plane::ControlPlane};

/// What is needed to reach it, in a folder of our own. Dropping it removes the folder, and nothing of the cluster.
#[derive(Debug)]
pub struct Adopted {
    control_plane: ControlPlane,
    _folder: TempDir,
}

impl Adopted {
    /// The cluster of this kubeconfig, whose user may do everything there.
    ///
    /// # Errors
    /// When kubectl and helm cannot be built, or the kubeconfig says nothing that a client understands.
    pub async fn open(kubeconfig: &Path) -> Result<Self, Error> {
        let programs = programs::build().await?;
        let folder = tempfile::Builder::new().prefix("apolo-cluster-").tempdir();
        let folder = folder.map_err(|source| Error::Write { path: std::env::temp_dir(), source })?;
        programs::link(&programs, &folder.path().join("bin"))?;
        let control_plane = ControlPlane::adopt(folder.path(), kubeconfig)?;
        Ok(Self { control_plane, _folder: folder })
    }
}

impl Deref for Adopted {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        &self.control_plane
    }
}
