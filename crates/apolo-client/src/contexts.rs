//! The contexts of a kubeconfig.

use kube::config::Kubeconfig;

use crate::connection::Settings;

/// The names of the contexts; none where the kubeconfig cannot be read.
#[must_use]
pub fn known(settings: &Settings) -> Vec<String> {
    let kubeconfig = match &settings.kubeconfig {
        Some(file) => Kubeconfig::read_from(file),
        None => Kubeconfig::read(),
    };
    kubeconfig.map(|found| found.contexts.into_iter().map(|context| context.name).collect()).unwrap_or_default()
}
