//! What the cluster is called in references, as its catalogs tell.

use apolo_api::catalog::{self, SecretCatalog};
use kube::Api;

use crate::connection::Connection;

/// The name of a cluster that nobody has named.
const DEFAULT: &str = "default";

/// The name of the cluster: what was said, else what the catalog of the namespace tells, else `default`.
pub async fn name(connection: &Connection, said: Option<&str>) -> String {
    if let Some(said) = said {
        return said.to_owned();
    }
    let catalogs: Api<SecretCatalog> = Api::namespaced(connection.client.clone(), &connection.namespace);
    let told = catalogs.get(catalog::NAME).await.ok();
    let told = told.and_then(|catalog| catalog.status).map(|status| status.cluster);
    told.filter(|name| !name.is_empty()).unwrap_or_else(|| DEFAULT.to_owned())
}
