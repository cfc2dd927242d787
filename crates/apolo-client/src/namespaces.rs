//! The namespaces that a person knows of.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::ListParams;

use crate::connection::Connection;

/// The names of all namespaces; where they may not be listed, the one that the person is in.
pub async fn known(connection: &Connection) -> Vec<String> {
    let namespaces: Api<Namespace> = Api::all(connection.client.clone());
    match namespaces.list_metadata(&ListParams::default()).await {
        Ok(found) => found.items.into_iter().filter_map(|namespace| namespace.metadata.name).collect(),
        Err(_) => vec![connection.namespace.clone()],
    }
}
