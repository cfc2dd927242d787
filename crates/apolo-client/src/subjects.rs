//! Subjects that a person knows of, and what is shared with his namespace.

use std::collections::BTreeSet;

use apolo_api::catalog::{self, SecretCatalog};
use apolo_api::grant::SecretGrant;
use apolo_core::subject::Subject;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::connection::Connection;
use crate::namespaces;

/// Those with whom the namespace shares already, its service accounts, and namespaces: as the command writes subjects.
pub async fn known(connection: &Connection) -> Vec<String> {
    let grants: Api<SecretGrant> = Api::namespaced(connection.client.clone(), &connection.namespace);
    let accounts: Api<ServiceAccount> = Api::namespaced(connection.client.clone(), &connection.namespace);
    let every = ListParams::default();
    let (grants, accounts, namespaces) =
        futures_util::future::join3(grants.list(&every), accounts.list_metadata(&every), namespaces::known(connection))
            .await;
    let granted = grants.map(|found| found.items).unwrap_or_default();
    let granted = granted.iter().flat_map(|grant| &grant.spec.subjects).filter_map(|it| Subject::try_from(it).ok());
    let accounts = accounts.map(|found| found.items).unwrap_or_default();
    let accounts = accounts
        .iter()
        .map(|account| Subject::ServiceAccount { namespace: connection.namespace.clone(), name: account.name_any() });
    let namespaces = namespaces.into_iter().map(Subject::Namespace);
    let known: BTreeSet<String> = granted.chain(accounts).chain(namespaces).map(|it| it.to_string()).collect();
    known.into_iter().collect()
}

/// The references to what is shared with the namespace, as its catalog has them.
pub async fn shared(connection: &Connection) -> Vec<String> {
    let catalogs: Api<SecretCatalog> = Api::namespaced(connection.client.clone(), &connection.namespace);
    let status = catalogs.get(catalog::NAME).await.ok().and_then(|catalog| catalog.status).unwrap_or_default();
    let shared: BTreeSet<String> = status.shared.into_iter().map(|secret| secret.uri).collect();
    shared.into_iter().collect()
}
