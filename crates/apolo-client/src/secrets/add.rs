//! A value kept under a key: made, or put in the place of the one that is there.
//!
//! A Secret that apolo would not have made is never touched, also where the person may not read it: then what the API server
//! answers to a dry run tells what it is, and the change is made only to what was seen.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::Value;
use thiserror::Error;

use super::list::OTHER_NAMESPACE;
use super::stored::{self, Change, InTheWay, LARGEST};
use crate::caller;
use crate::connection::Connection;
use crate::dry_run::DryRun;
use crate::explained::{Explained, Kind};
use crate::request::{FIELD_MANAGER, RequestError, Why};
use crate::target::Target;
use crate::value::SecretValue;

/// How often what changes meanwhile is looked at again.
const ATTEMPTS: u32 = 5;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It was not there.
    Created,
    /// It was there, with another value, or, where the person may not read it, with any.
    Updated,
    /// It was there like this.
    Unchanged,
    /// Nothing was sent.
    NotSent,
}

/// Why a value cannot be kept.
#[derive(Debug, Error)]
pub enum AddError {
    /// The API server did not take it.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The person may not; whom the owner could allow it is in the hint.
    #[error("{error}")]
    NotAllowed {
        /// What the API server says.
        error: RequestError,
        /// What mends it.
        hint: Option<String>,
    },
    /// There is no such namespace.
    #[error("there is no namespace {0}")]
    NoNamespace(String),
    /// No secrets are kept in it.
    #[error("namespace {0} is Kubernetes' own: no secrets are kept there")]
    NotForUs(String),
    /// An entry was named: apolo keeps one value for a key.
    #[error("a value is kept for a key, not for an entry")]
    Entry {
        /// The key.
        key: String,
    },
    /// Kubernetes takes no value of this size.
    #[error("the value of {0:?} is too large: Kubernetes takes {LARGEST} bytes at most")]
    TooLarge(String),
    /// What is there is not touched.
    #[error("secret {object:?} of namespace {namespace} {why}; it is not touched")]
    InTheWay {
        /// The key.
        key: String,
        /// The name of the Secret.
        object: String,
        /// The namespace.
        namespace: String,
        /// What is in the way.
        why: InTheWay,
    },
}

/// Keeps a value under a key.
///
/// # Errors
/// Where it makes no sense, the person may not, or something else is in the way; then nothing has changed.
pub async fn add(
    connection: &Connection,
    target: &Target,
    value: &SecretValue,
    dry_run: DryRun,
) -> Result<Added, AddError> {
    check(target, value)?;
    if dry_run == DryRun::Client {
        return Ok(Added::NotSent);
    }
    let secrets = Api::namespaced(connection.client.clone(), &target.owner);
    let adding = Adding { secrets, target, object: target.object(), value, is_dry: dry_run.is_server() };
    match adding.run().await {
        Err(AddError::Request(error)) if matches!(error.why, Why::NotAllowed(_)) => {
            let hint = caller::may_be_allowed(connection, target, "write", &error.why).await;
            Err(AddError::NotAllowed { error, hint })
        }
        done => done,
    }
}

/// Whether a value can be kept at all, as far as that is known without asking.
///
/// # Errors
/// Why not.
pub fn check(target: &Target, value: &SecretValue) -> Result<(), AddError> {
    let key = || target.key.clone();
    if target.entry.is_some() {
        return Err(AddError::Entry { key: key() });
    }
    if !target.is_for_us() {
        return Err(AddError::NotForUs(target.owner.clone()));
    }
    if value.len() > LARGEST {
        return Err(AddError::TooLarge(key()));
    }
    Ok(())
}

/// A value on its way.
struct Adding<'a> {
    secrets: Api<Secret>,
    target: &'a Target,
    object: String,
    value: &'a SecretValue,
    is_dry: bool,
}

impl Adding<'_> {
    async fn run(&self) -> Result<Added, AddError> {
        for _ in 0..ATTEMPTS {
            if let Some(added) = self.attempt().await? {
                return Ok(added);
            }
        }
        Err(RequestError { doing: self.doing(), why: Why::Changed }.into())
    }

    /// None where what was there is another meanwhile. Who has the access `Write` may create nothing, and change what is there.
    async fn attempt(&self) -> Result<Option<Added>, AddError> {
        let params = PostParams { dry_run: self.is_dry, field_manager: Some(FIELD_MANAGER.to_owned()) };
        let refused = match self.secrets.create(&params, &stored::secret(self.target, self.value)).await {
            Ok(_) => return Ok(Some(Added::Created)),
            Err(error) => self.failed(&error),
        };
        match refused.why {
            Why::NotThere => Err(AddError::NoNamespace(self.target.owner.clone())),
            Why::IsThere | Why::NotAllowed(_) => self.replace(refused).await,
            Why::Changed => Ok(None),
            _ => Err(refused.into()),
        }
    }

    async fn replace(&self, refused: RequestError) -> Result<Option<Added>, AddError> {
        let seen = match self.secrets.get(&self.object).await {
            Ok(seen) => seen,
            Err(error) => {
                let error = self.failed(&error);
                return match error.why {
                    Why::NotThere => self.gone(refused),
                    Why::NotAllowed(_) => self.replace_unseen(refused).await,
                    _ => Err(error.into()),
                };
            }
        };
        match stored::change(&seen, self.target, self.value).map_err(|why| self.in_the_way(why))? {
            Change::Nothing => Ok(Some(Added::Unchanged)),
            Change::Patch(patch) => {
                self.patch(&patch, self.is_dry, refused).await.map(|done| done.map(|_| Added::Updated))
            }
        }
    }

    /// What the dry run answers is as the Secret would be: its type, and its other entries, are those that it has.
    async fn replace_unseen(&self, refused: RequestError) -> Result<Option<Added>, AddError> {
        let patch = stored::patch(self.target, self.value, None);
        let Some(seen) = self.patch(&patch, true, refused.clone()).await? else { return Ok(None) };
        stored::check(&seen, self.target).map_err(|why| self.in_the_way(why))?;
        if self.is_dry {
            return Ok(Some(Added::Updated));
        }
        let patch = stored::patch(self.target, self.value, seen.metadata.resource_version.as_deref());
        Ok(self.patch(&patch, false, refused).await?.map(|_| Added::Updated))
    }

    /// None where it has changed, or gone, meanwhile.
    async fn patch(&self, patch: &Value, is_dry: bool, refused: RequestError) -> Result<Option<Secret>, AddError> {
        let params = PatchParams { dry_run: is_dry, ..PatchParams::apply(FIELD_MANAGER) };
        match self.secrets.patch(&self.object, &params, &Patch::Merge(patch)).await {
            Ok(secret) => Ok(Some(secret)),
            Err(error) => {
                let error = self.failed(&error);
                match error.why {
                    Why::Changed => Ok(None),
                    // Who may not read it hears it in these words.
                    Why::Invalid(message) if message.contains("field is immutable") => {
                        Err(self.in_the_way(InTheWay::Immutable))
                    }
                    Why::NotThere => self.gone(refused),
                    Why::NotAllowed(_) if refused.why != Why::IsThere => Err(refused.into()),
                    _ => Err(error.into()),
                }
            }
        }
    }

    /// It is not there, or not any more: who may not create it learns that.
    fn gone<T>(&self, refused: RequestError) -> Result<Option<T>, AddError> {
        if refused.why == Why::IsThere {
            return Ok(None);
        }
        let hint = refused.why.is_of_rbac().then(|| {
            let (key, owner) = (&self.target.key, &self.target.owner);
            format!("it is not there yet: who may create Secrets in namespace {owner} can run: apolo secret add {key} -n {owner}")
        });
        Err(AddError::NotAllowed { error: refused, hint })
    }

    fn doing(&self) -> String {
        format!("keeping secret {:?} of namespace {}", self.target.key, self.target.owner)
    }

    /// A policy of the cluster may tell in its words what it has seen: not the value.
    fn failed(&self, error: &kube::Error) -> RequestError {
        RequestError::new(self.doing(), error).without(self.value)
    }

    fn in_the_way(&self, why: InTheWay) -> AddError {
        let (key, namespace) = (self.target.key.clone(), self.target.owner.clone());
        AddError::InTheWay { key, object: self.object.clone(), namespace, why }
    }
}

impl Explained for AddError {
    fn kind(&self) -> Kind {
        match self {
            Self::Request(error) | Self::NotAllowed { error, .. } => error.kind(),
            Self::NoNamespace(_) => Kind::NotFound,
            Self::NotForUs(_) | Self::Entry { .. } => Kind::Usage,
            Self::TooLarge(_) => Kind::Failed,
            Self::InTheWay { .. } => Kind::Conflict,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Request(error) => return error.hint(),
            Self::NotAllowed { hint, .. } => return hint.clone(),
            Self::NoNamespace(_) => OTHER_NAMESPACE.to_owned(),
            Self::NotForUs(_) => "-n NAME chooses another namespace".to_owned(),
            Self::Entry { key } => format!("apolo secret add {key}"),
            Self::TooLarge(_) => {
                "keep large files in a volume, and in the secret the key that decrypts them".to_owned()
            }
            Self::InTheWay { key, object, namespace, why } => match why {
                InTheWay::Type(_) | InTheWay::Entries(_) => {
                    format!("choose another key; kubectl describe secret {object} -n {namespace} tells what it is")
                }
                InTheWay::Immutable => format!("apolo secret rm {key} -n {namespace}, and add it again"),
                InTheWay::Leaving => format!(
                    "try again later; kubectl get secret {object} -n {namespace} -o jsonpath='{{.metadata.finalizers}}' tells \
                     what it waits for"
                ),
            },
        })
    }
}
