//! The namespaces that a person knows of.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::ListParams;

use crate::connection::Connection;

/// What is seen of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is there.
    There,
    /// It is not there.
    NotThere,
    /// The person may not look, or the API server did not answer.
    Unseen,
}

/// The names of all namespaces; where they may not be listed, the one that the person is in.
pub async fn known(connection: &Connection) -> Vec<String> {
    let namespaces: Api<Namespace> = Api::all(connection.client.clone());
    match namespaces.list_metadata(&ListParams::default()).await {
        Ok(found) => found.items.into_iter().filter_map(|namespace| namespace.metadata.name).collect(),
        Err(_) => vec![connection.namespace.clone()],
    }
}

/// Looks whether a namespace is there.
pub async fn look(connection: &Connection, name: &str) -> Seen {
    let namespaces: Api<Namespace> = Api::all(connection.client.clone());
    match namespaces.get_metadata_opt(name).await {
        Ok(Some(_)) => Seen::There,
        Ok(None) => Seen::NotThere,
        Err(_) => Seen::Unseen,
    }
}
