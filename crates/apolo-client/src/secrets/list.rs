//! Which secrets are in a namespace: from their metadata, which never hold a value that we keep.

use apolo_api::catalog::{self, SecretCatalog};
use apolo_api::secret::{self, KUBE_SYSTEM, Named, OPAQUE};
use apolo_core::names::DELIVERY_PREFIX;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::ListParams;
use thiserror::Error;

use crate::connection::Connection;
use crate::explained::{Explained, Kind};
use crate::request::{RequestError, Why, doing};

/// How many are asked for at a time, as kubectl does.
const CHUNK: u32 = 500;

/// What mends it that there is no such namespace.
pub(crate) const OTHER_NAMESPACE: &str = "-n NAME chooses another; kubectl get namespaces tells which there are";

/// The secrets of a namespace, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The secrets.
    pub secrets: Vec<Found>,
    /// Whether they are told by the catalog, for the Secrets themselves may not be listed.
    pub is_of_catalog: bool,
    /// How many the catalog left out.
    pub left_out: i64,
}

/// A secret, by what is told of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The key; of an ordinary Secret, its name.
    pub key: String,
    /// Whether it is an ordinary Secret, whose entries are asked for by name.
    pub is_ordinary: bool,
    /// The names of its entries, as far as they are known.
    pub entries: Vec<String>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// When it was last changed.
    pub updated: Option<Timestamp>,
}

/// Why they cannot be listed.
#[derive(Debug, Error)]
pub enum ListError {
    /// The API server did not answer with them.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// There is no such namespace.
    #[error("there is no namespace {0}")]
    NoNamespace(String),
}

/// Lists the secrets of a namespace; where the Secrets may not be listed, from its catalog.
///
/// # Errors
/// Where neither can be read.
pub async fn list(connection: &Connection, namespace: &str) -> Result<List, ListError> {
    if namespace == KUBE_SYSTEM {
        return Ok(List::default());
    }
    match of_metadata(connection, namespace).await {
        Ok(secrets) if secrets.is_empty() && is_not_there(connection, namespace).await => {
            Err(ListError::NoNamespace(namespace.to_owned()))
        }
        Ok(secrets) => Ok(List { secrets, ..List::default() }),
        Err(error) if matches!(error.why, Why::NotAllowed(_)) => {
            of_catalog(connection, namespace).await.ok_or(ListError::Request(error))
        }
        Err(error) => Err(error.into()),
    }
}

/// Who may list what is in no namespace gets an empty list.
async fn is_not_there(connection: &Connection, namespace: &str) -> bool {
    let namespaces: Api<Namespace> = Api::all(connection.client.clone());
    matches!(namespaces.get_metadata_opt(namespace).await, Ok(None))
}

async fn of_metadata(connection: &Connection, namespace: &str) -> Result<Vec<Found>, RequestError> {
    let secrets: Api<Secret> = Api::namespaced(connection.client.clone(), namespace);
    let mut params = ListParams::default().fields(&format!("type={OPAQUE}")).limit(CHUNK);
    let mut found = Vec::new();
    loop {
        let chunk = secrets.list_metadata(&params).await;
        let chunk = chunk.map_err(doing(|| format!("listing the secrets of namespace {namespace}")))?;
        found.extend(chunk.items.iter().filter_map(|secret| Found::of(&secret.metadata)));
        params.continue_token = chunk.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            break;
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// None where there is no catalog, or it may not be read either.
async fn of_catalog(connection: &Connection, namespace: &str) -> Option<List> {
    let catalogs: Api<SecretCatalog> = Api::namespaced(connection.client.clone(), namespace);
    let status = catalogs.get(catalog::NAME).await.ok()?.status?;
    let secrets = status.own.into_iter().map(|own| Found {
        key: own.key,
        is_ordinary: own.ordinary,
        entries: Vec::new(),
        created: own.created.map(|time| time.0),
        updated: own.updated.map(|time| time.0),
    });
    Some(List { secrets: secrets.collect(), is_of_catalog: true, left_out: status.truncated.unwrap_or(0) })
}

impl Found {
    /// None of a copy of another owner's secret.
    fn of(metadata: &ObjectMeta) -> Option<Self> {
        let named = Named::of(metadata);
        (!named.object.starts_with(DELIVERY_PREFIX)).then(|| Self {
            key: named.key.to_owned(),
            is_ordinary: named.is_ordinary,
            entries: secret::entries(metadata).into_iter().map(str::to_owned).collect(),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            updated: secret::updated(metadata),
        })
    }
}

impl Explained for ListError {
    fn kind(&self) -> Kind {
        match self {
            Self::Request(error) => error.kind(),
            Self::NoNamespace(_) => Kind::NotFound,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Request(error) if error.why.is_of_rbac() => {
                Some("-n NAME chooses another namespace; what is shared with that is in: apolo acl list".to_owned())
            }
            Self::Request(error) => error.hint(),
            Self::NoNamespace(_) => Some(OTHER_NAMESPACE.to_owned()),
        }
    }
}
