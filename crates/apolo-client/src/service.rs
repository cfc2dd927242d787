//! The part of Apolo Secrets that is in the cluster, without which nothing is shared: whether it is there, and does its work.

use thiserror::Error;

use crate::connection::Connection;
use crate::explained::{Explained, Kind};
use crate::request::{RequestError, Why};

/// The group and version of our kinds.
const VERSION: &str = "secrets.apolo.us/v1alpha1";
/// What the API server says of a hook of ours that it cannot reach.
const NOT_REACHED: &str = "failed calling webhook";

/// Why something about a grant or a catalog could not be done.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The cluster does not know our kinds.
    #[error("Apolo Secrets is not installed in this cluster, and nothing is shared without it")]
    NotInstalled,
    /// The webhook that has to agree is away.
    #[error("{doing}: the webhook of Apolo Secrets does not answer, and without it nothing is granted")]
    HookAway {
        /// What was to be done.
        doing: String,
    },
    /// There is no such namespace.
    #[error("there is no namespace {0}")]
    NoNamespace(String),
    /// The person has no right to it.
    #[error("{doing}: you may not")]
    MayNot {
        /// What was to be done.
        doing: String,
        /// Where.
        namespace: String,
    },
    /// The API server says something else.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl ServiceError {
    /// What is behind an error of a request for one of our kinds. Whoever has no rights on them is refused before he is told that they
    /// are not there, so it is looked.
    pub(crate) async fn of(error: RequestError, connection: &Connection) -> Self {
        match &error.why {
            Why::NoSuchKind => Self::NotInstalled,
            Why::NotAllowed(_) if !is_installed(connection).await => Self::NotInstalled,
            Why::Busy(message) if message.contains(NOT_REACHED) && message.contains("secrets.apolo.us") => {
                Self::HookAway { doing: error.doing }
            }
            _ => Self::Request(error),
        }
    }

    /// The same of something that is done in a namespace.
    pub(crate) async fn within(namespace: &str, error: RequestError, connection: &Connection) -> Self {
        match Self::of(error, connection).await {
            Self::Request(RequestError { doing, why }) if why.is_of_rbac() => {
                Self::MayNot { doing, namespace: namespace.to_owned() }
            }
            error => error,
        }
    }
}

/// Whether the cluster serves our kinds, which everybody may ask; where it does not answer they are taken to be there.
pub(crate) async fn is_installed(connection: &Connection) -> bool {
    match connection.client.list_api_group_resources(VERSION).await {
        Ok(_) => true,
        Err(error) => !matches!(Why::of(&error), Why::NoSuchKind | Why::NotThere),
    }
}

impl Explained for ServiceError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotInstalled | Self::HookAway { .. } => Kind::Failed,
            Self::NoNamespace(_) => Kind::NotFound,
            Self::MayNot { .. } => Kind::NotAllowed,
            Self::Request(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotInstalled => Some(
                "its admin can run: helm install apolo-secrets charts/apolo-secrets --namespace apolo-secrets --create-namespace \
                 (docs/INSTALL.md)"
                    .to_owned(),
            ),
            Self::HookAway { .. } => Some("apolo check tells what does not run".to_owned()),
            Self::NoNamespace(_) => {
                Some("-n NAME chooses another; kubectl get namespaces tells which there are".to_owned())
            }
            Self::MayNot { namespace, .. } => Some(format!(
                "who has the ClusterRole admin or edit in namespace {namespace} may; apolo whoami tells who you are"
            )),
            Self::Request(error) => error.hint(),
        }
    }
}
