//! What helm makes of the chart, without a cluster.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    cluster::programs,
    command::{self, Finished},
    webhook::{CHART, RELEASE},
};

/// Files with values, each with a comment on top that says what for.
const VALUES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/chart/values");

/// helm, with the chart.
#[derive(Debug)]
pub struct Helm(PathBuf);

/// Why there is no rendering.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// helm could not be built.
    #[error(transparent)]
    Programs(#[from] programs::Error),
    /// helm, or a file, could not be reached.
    #[error("cannot run helm, or read {VALUES}")]
    Run(#[from] io::Error),
    /// helm refuses.
    #[error("helm template {arguments:?}: {stderr}")]
    Refused {
        /// What it was given.
        arguments: Vec<String>,
        /// What it says.
        stderr: String,
    },
    /// What it has rendered cannot be read.
    #[error("a rendering is not YAML: {0}")]
    Yaml(String),
}

/// One object of a rendering.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// All of it.
    pub object: Value,
}

impl Helm {
    /// The one that is built for the tests.
    ///
    /// # Errors
    /// When it cannot be built.
    pub async fn built() -> Result<Self, Error> {
        Ok(Self(programs::helm().await?.join("helm")))
    }

    /// How `helm template` of the release, in this namespace, ends.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn try_template(&self, release: &str, namespace: &str, more: &[&str]) -> Result<Finished, Error> {
        let mut helm = Command::new(&self.0);
        helm.args(["template", release, CHART, "--namespace", namespace]).args(more);
        Ok(command::run(helm, "").await?)
    }

    /// What `helm install` of our release would tell whoever installs it, as far as can be said without a cluster.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn notes(&self, namespace: &str, more: &[&str]) -> Result<String, Error> {
        let mut helm = Command::new(&self.0);
        helm.args(["install", RELEASE, CHART, "--namespace", namespace, "--dry-run=client"]).args(more);
        let finished = command::run(helm, "").await?;
        match finished.stdout.split_once("\nNOTES:\n") {
            Some((_, notes)) if finished.status.success() => Ok(notes.to_owned()),
            _ => Err(Error::Refused {
                arguments: more.iter().map(|&argument| argument.to_owned()).collect(),
                stderr: finished.stderr,
            }),
        }
    }

    /// What `helm template` of our release prints.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn template(&self, more: &[&str]) -> Result<String, Error> {
        self.template_in(RELEASE, more).await
    }

    /// The same in another namespace.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn template_in(&self, namespace: &str, more: &[&str]) -> Result<String, Error> {
        let finished = self.try_template(RELEASE, namespace, more).await?;
        if finished.status.success() {
            return Ok(finished.stdout);
        }
        let arguments = more.iter().map(|&argument| argument.to_owned()).collect();
        Err(Error::Refused { arguments, stderr: finished.stderr })
    }
}

/// The files of `tests/chart/values`, by their names.
///
/// # Errors
/// When the folder cannot be read.
pub fn values() -> io::Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    for file in fs::read_dir(Path::new(VALUES))? {
        let path = file?.path();
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files.insert(name, path);
    }
    Ok(files)
}

/// The objects of a rendering, in their order.
///
/// # Errors
/// When one cannot be read.
pub fn objects(rendering: &str) -> Result<Vec<Rendered>, Error> {
    let text = |object: &Value, at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut objects = Vec::new();
    for document in rendering.split("\n---\n") {
        let object: Value = serde_saphyr::from_str(document).map_err(|error| Error::Yaml(error.to_string()))?;
        if object.is_object() {
            let (kind, name) = (text(&object, "/kind"), text(&object, "/metadata/name"));
            objects.push(Rendered { kind, name, object });
        }
    }
    Ok(objects)
}
