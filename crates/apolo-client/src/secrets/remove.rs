//! A secret removed: looked at first, and then exactly the one that was seen.

use apolo_api::secret::OPAQUE;
use apolo_core::text::quoted;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use thiserror::Error;

use super::read::{ReadError, get};
use crate::caller;
use crate::connection::Connection;
use crate::dry_run::DryRun;
use crate::explained::{Explained, Kind};
use crate::request::{RequestError, Why, doing};
use crate::target::Target;

/// A secret that is there, and may be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// The secret.
    pub target: Target,
    /// The name of the Secret.
    pub object: String,
    /// How many entries go with it.
    pub entries: usize,
    uid: Option<String>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Gone,
    /// It goes when others have done what they have to do before.
    Going,
    /// Nothing was sent.
    NotSent,
}

/// Why a secret cannot be removed.
#[derive(Debug, Error)]
pub enum RemoveError {
    /// It cannot be seen.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The API server did not remove it.
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
    /// An entry was named: a secret is removed as a whole.
    #[error("{key:?} is removed as a whole, and not entry {entry:?} alone")]
    Entry {
        /// The key.
        key: String,
        /// The entry.
        entry: String,
    },
    /// Its type has a meaning of its own.
    #[error("secret {object:?} of namespace {namespace} is of type {}; apolo does not remove it", quoted(.kind))]
    OtherType {
        /// The name of the Secret.
        object: String,
        /// The namespace.
        namespace: String,
        /// Its type.
        kind: String,
    },
}

impl RemoveError {
    /// Whether it is not there.
    #[must_use]
    pub fn is_not_there(&self) -> bool {
        matches!(self, Self::Read(ReadError::NotThere { .. }))
    }
}

/// Looks for a secret that is to be removed.
///
/// # Errors
/// Where it is not there, cannot be seen, or is none that apolo keeps.
pub async fn find(connection: &Connection, target: &Target) -> Result<Doomed, RemoveError> {
    if let Some(entry) = &target.entry {
        return Err(RemoveError::Entry { key: target.key.clone(), entry: entry.clone() });
    }
    let secret = get(connection, target, "manage").await?;
    let object = target.object();
    match secret.type_.filter(|kind| kind != OPAQUE) {
        Some(kind) => Err(RemoveError::OtherType { object, namespace: target.owner.clone(), kind }),
        None => {
            let entries = secret.data.map_or(0, |data| data.len());
            Ok(Doomed { target: target.clone(), object, entries, uid: secret.metadata.uid })
        }
    }
}

/// Removes the secret that was seen, and no other of its name.
///
/// # Errors
/// Where the person may not, or it is another meanwhile.
pub async fn remove(connection: &Connection, doomed: &Doomed, dry_run: DryRun) -> Result<Removed, RemoveError> {
    if dry_run == DryRun::Client {
        return Ok(Removed::NotSent);
    }
    let target = &doomed.target;
    let secrets: Api<Secret> = Api::namespaced(connection.client.clone(), &target.owner);
    let params = DeleteParams { dry_run: dry_run.is_server(), ..DeleteParams::default() };
    let params = params.preconditions(Preconditions { uid: doomed.uid.clone(), resource_version: None });
    let removed = secrets.delete(&doomed.object, &params).await;
    let removed = removed.map_err(doing(|| format!("removing secret {:?} of namespace {}", target.key, target.owner)));
    match removed {
        Ok(answer) => {
            let waits = |secret: &Secret| secret.metadata.finalizers.as_ref().is_some_and(|them| !them.is_empty());
            Ok(if answer.left().is_some_and(|secret| waits(&secret)) { Removed::Going } else { Removed::Gone })
        }
        // Somebody else was quicker.
        Err(error) if error.why == Why::NotThere => Ok(Removed::Gone),
        Err(error) if matches!(error.why, Why::NotAllowed(_)) => {
            let hint = caller::may_be_allowed(connection, target, "manage", &error.why).await;
            Err(RemoveError::NotAllowed { error, hint })
        }
        Err(error) => Err(error.into()),
    }
}

impl Explained for RemoveError {
    fn kind(&self) -> Kind {
        match self {
            Self::Read(error) => error.kind(),
            Self::Request(error) | Self::NotAllowed { error, .. } => error.kind(),
            Self::Entry { .. } => Kind::Usage,
            Self::OtherType { .. } => Kind::Conflict,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Read(error) => error.hint(),
            Self::Request(error) => error.hint(),
            Self::NotAllowed { hint, .. } => hint.clone(),
            Self::Entry { key, .. } => Some(format!("apolo secret rm {key}")),
            Self::OtherType { object, namespace, .. } => Some(format!("kubectl delete secret {object} -n {namespace}")),
        }
    }
}
