//! The contexts of a kubeconfig.

use crate::connection::{self, Settings};

/// The names of the contexts; none where the kubeconfig cannot be read.
#[must_use]
pub fn known(settings: &Settings) -> Vec<String> {
    let kubeconfig = connection::kubeconfig(settings);
    kubeconfig.map(|found| found.contexts.into_iter().map(|context| context.name).collect()).unwrap_or_default()
}
