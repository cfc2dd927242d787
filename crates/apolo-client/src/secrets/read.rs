//! The value of a secret, for who may read it.

use apolo_core::nearness;
use apolo_core::text::named;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use thiserror::Error;

use crate::connection::Connection;
use crate::explained::{Explained, Kind};
use crate::request::{RequestError, Why, doing};
use crate::secrets;
use crate::target::Target;
use crate::value::SecretValue;

/// Why a secret cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The API server did not answer with it.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It is not there.
    #[error("there is no secret {key:?} in namespace {namespace}")]
    NotThere {
        /// The key.
        key: String,
        /// The namespace.
        namespace: String,
        /// One of that namespace that may have been meant.
        nearest: Option<String>,
    },
    /// It is an ordinary Secret without such an entry.
    #[error("secret {key:?} of namespace {namespace} has no entry {entry:?}")]
    NoEntry {
        /// The name.
        key: String,
        /// The namespace.
        namespace: String,
        /// The entry.
        entry: String,
        /// Those that it has.
        entries: Vec<String>,
    },
}

/// Reads the value of a secret.
///
/// # Errors
/// Where it is not there, or may not be read.
pub async fn read(connection: &Connection, target: &Target) -> Result<SecretValue, ReadError> {
    let secrets: Api<Secret> = Api::namespaced(connection.client.clone(), &target.owner);
    let read = secrets.get(&target.object()).await;
    let read = read.map_err(doing(|| format!("reading secret {:?} of namespace {}", target.key, target.owner)));
    let secret = match read {
        Ok(secret) => secret,
        Err(error) if error.why == Why::NotThere => return Err(not_there(connection, target).await),
        Err(error) => return Err(error.into()),
    };
    let mut data = secret.data.unwrap_or_default();
    match data.remove(target.entry()) {
        Some(value) => Ok(SecretValue::new(value.0)),
        None => Err(ReadError::NoEntry {
            key: target.key.clone(),
            namespace: target.owner.clone(),
            entry: target.entry().to_owned(),
            entries: data.into_keys().collect(),
        }),
    }
}

/// That a secret is not there, with the one of its namespace that may have been meant.
pub(crate) async fn not_there(connection: &Connection, target: &Target) -> ReadError {
    let known = secrets::list(connection, &target.owner).await.unwrap_or_default();
    let nearest = nearness::nearest(&target.key, known.secrets.iter().map(|secret| secret.key.as_str()));
    ReadError::NotThere {
        key: target.key.clone(),
        namespace: target.owner.clone(),
        nearest: nearest.map(str::to_owned),
    }
}

impl Explained for ReadError {
    fn kind(&self) -> Kind {
        match self {
            Self::Request(error) => error.kind(),
            Self::NotThere { .. } | Self::NoEntry { .. } => Kind::NotFound,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Request(error) => error.hint(),
            Self::NotThere { nearest: Some(nearest), .. } => Some(format!("nearest: {nearest}")),
            Self::NotThere { namespace, .. } => Some(format!("apolo secret ls -n {namespace}")),
            Self::NoEntry { key, entries, .. } => {
                let entry = entries.first()?;
                Some(format!("name its entry: secret:{key}#{}", named(entry)))
            }
        }
    }
}
