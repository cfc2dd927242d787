//! The value of a secret, for who may read it.

use apolo_api::secret::NOT_OURS;
use apolo_core::nearness;
use apolo_core::text::named;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use thiserror::Error;

use super::list::{ListError, OTHER_NAMESPACE};
use crate::caller;
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
    /// The person may not; what the owner could do about it is in the hint.
    #[error("{error}")]
    NotAllowed {
        /// What the API server says.
        error: RequestError,
        /// What mends it.
        hint: Option<String>,
    },
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
    /// There is no such namespace.
    #[error("there is no namespace {0}")]
    NoNamespace(String),
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
    let mut data = get(connection, target, "read").await?.data.unwrap_or_default();
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

/// The Secret that holds a secret, for who needs this access to it. Types that do not exist for us are not there.
pub(crate) async fn get(connection: &Connection, target: &Target, access: &str) -> Result<Secret, ReadError> {
    if !target.is_for_us() {
        return Err(not_there(connection, target).await);
    }
    let secrets: Api<Secret> = Api::namespaced(connection.client.clone(), &target.owner);
    let read = secrets.get(&target.object()).await;
    match read.map_err(doing(|| format!("reading secret {:?} of namespace {}", target.key, target.owner))) {
        Ok(secret) if secret.type_.as_deref().is_none_or(|kind| !NOT_OURS.contains(&kind)) => Ok(secret),
        Ok(_) => Err(not_there(connection, target).await),
        Err(error) if error.why == Why::NotThere => Err(not_there(connection, target).await),
        Err(error) if matches!(error.why, Why::NotAllowed(_)) => {
            let hint = caller::may_be_allowed(connection, target, access, &error.why).await;
            Err(ReadError::NotAllowed { error, hint })
        }
        Err(error) => Err(error.into()),
    }
}

/// That a secret is not there, with the one of its namespace that may have been meant.
pub(crate) async fn not_there(connection: &Connection, target: &Target) -> ReadError {
    let known = match secrets::list(connection, &target.owner).await {
        Err(ListError::NoNamespace(namespace)) => return ReadError::NoNamespace(namespace),
        known => known.unwrap_or_default(),
    };
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
            Self::Request(error) | Self::NotAllowed { error, .. } => error.kind(),
            Self::NotThere { .. } | Self::NoNamespace(_) | Self::NoEntry { .. } => Kind::NotFound,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Request(error) => error.hint(),
            Self::NotAllowed { hint, .. } => hint.clone(),
            Self::NotThere { nearest: Some(nearest), .. } => Some(format!("nearest: {nearest}")),
            Self::NotThere { namespace, .. } => Some(format!("apolo secret ls -n {namespace}")),
            Self::NoNamespace(_) => Some(OTHER_NAMESPACE.to_owned()),
            Self::NoEntry { key, entries, .. } => {
                let entry = entries.first()?;
                Some(format!("name its entry: secret:{key}#{}", named(entry)))
            }
        }
    }
}
