//! What other namespaces share with a namespace, as its catalog tells.

use apolo_api::catalog::{self, SecretCatalog};
use apolo_core::reference::Reference;
use apolo_core::subject::Subject;
use k8s_openapi::jiff::Timestamp;
use kube::Api;

use crate::connection::Connection;
use crate::grants::Access;
use crate::namespaces::{self, Seen};
use crate::request::{Why, doing};
use crate::service::ServiceError;
use crate::target::Target;

/// What is shared with a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Each secret, as often as a grant shares it, by owner and key.
    pub secrets: Vec<ReceivedSecret>,
    /// How many entries of the catalog were left out of it, own secrets among them.
    pub left_out: i64,
}

/// A secret that a grant shares with a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedSecret {
    /// How it is asked for in full.
    pub uri: String,
    /// What the subjects may do with it.
    pub access: Access,
    /// With whom it is shared, as the command takes subjects.
    pub subjects: Vec<String>,
    /// Who granted it, likewise.
    pub by: Option<String>,
    /// When the grant ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// Reads what is shared with a namespace.
///
/// # Errors
/// Where the catalog may not be read, or there are none of that kind, or no such namespace.
pub async fn list(connection: &Connection, namespace: &str) -> Result<Received, ServiceError> {
    let catalogs: Api<SecretCatalog> = Api::namespaced(connection.client.clone(), namespace);
    let read = catalogs.get(catalog::NAME).await;
    match read.map_err(doing(|| format!("reading the SecretCatalog of namespace {namespace}"))) {
        Ok(catalog) => Ok(Received::of(catalog)),
        // Where there is nothing to list there is no catalog.
        Err(error) if error.why == Why::NotThere => match namespaces::look(connection, namespace).await {
            Seen::NotThere => Err(ServiceError::NoNamespace(namespace.to_owned())),
            Seen::There | Seen::Unseen => Ok(Received::default()),
        },
        Err(error) => Err(ServiceError::within(namespace, error, connection).await),
    }
}

impl Received {
    fn of(catalog: SecretCatalog) -> Self {
        let status = catalog.status.unwrap_or_default();
        let secrets = status.shared.into_iter().map(|shared| ReceivedSecret {
            uri: shared.uri,
            access: shared.access,
            subjects: shared.subjects,
            by: shared.by,
            expires_at: shared.expires_at.map(|time| time.0),
        });
        Self { secrets: secrets.collect(), left_out: status.truncated.unwrap_or(0) }
    }
}

impl ReceivedSecret {
    /// Whether it is this secret, in whatever cluster.
    #[must_use]
    pub fn is(&self, target: &Target) -> bool {
        let reference = Reference::parse(&self.uri);
        reference.is_ok_and(|it| it.owner == Some(&target.owner) && it.key.as_str() == target.key)
    }

    /// Those with whom it is shared, as far as they can be read.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = Subject> {
        self.subjects.iter().filter_map(|subject| Subject::parse(subject).ok())
    }
}
