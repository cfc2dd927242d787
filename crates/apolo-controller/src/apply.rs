//! The writes: each asks first whether the lease is held, has a deadline, and names the very object that it is about, by UID.

use std::fmt::Debug;
use std::time::Duration;

use apolo_core::names::{DELIVERY_GATE, FIELD_MANAGER};
use apolo_runtime::review::ReviewError;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Status;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::leader::{Held, MARGIN, NotHeld};
use crate::metrics::ControllerMetrics;
use crate::owned::Content;

/// How long the API server may take to answer: what was begun while the lease was held is to end with it.
pub(crate) const DEADLINE: Duration = MARGIN;

/// The cause of a refusal to make something in a namespace that is being deleted.
///
/// Source: `NamespaceTerminatingCause` of Kubernetes' `k8s.io/api/core/v1`.
const LEAVING: &str = "NamespaceTerminating";

/// Writes while the lease is held.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    held: Held,
    metrics: ControllerMetrics,
}

/// Why something was not written, or not read.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Another replica may write now.
    #[error(transparent)]
    NotHeld(#[from] NotHeld),
    /// The API server did not answer.
    #[error("cannot {operation} {object}: no answer within {} s", DEADLINE.as_secs())]
    NoAnswer {
        /// What was to be done.
        operation: &'static str,
        /// With what.
        object: String,
    },
    /// The API server refused it, or could not be reached.
    #[error("cannot {operation} {object}")]
    Refused {
        /// What was to be done.
        operation: &'static str,
        /// With what.
        object: String,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// The API server did not say whether somebody may do something.
    #[error(transparent)]
    Unasked(#[from] ReviewError),
    /// What the API server answered cannot be read.
    #[error("cannot {operation} {object}: the answer is not what it should be")]
    Unreadable {
        /// What was to be done.
        operation: &'static str,
        /// With what.
        object: String,
    },
    /// Others write into it as well.
    #[error("{object} says also what somebody else applies to it")]
    Contested {
        /// What.
        object: String,
    },
}

impl ApplyError {
    /// What kind of failure it is, for counts.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotHeld(_) => "not-held",
            Self::NoAnswer { .. } => "no-answer",
            Self::Unasked(_) => "review",
            Self::Contested { .. } => "contested",
            Self::Unreadable { .. } => "unreadable",
            Self::Refused { .. } => match self.code() {
                Some(403) => "forbidden",
                Some(404) => "not-found",
                Some(409) => "conflict",
                Some(422) => "invalid",
                Some(429) => "too-many-requests",
                Some(_) => "refused",
                None => "unreachable",
            },
        }
    }

    /// The status code, if the API server answered.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            _ => None,
        }
    }

    /// The same without what the API server said: it may be a value, and it passes on what webhooks say, who may have seen one.
    #[must_use]
    pub fn without_words(self) -> Self {
        let Self::Refused { operation, object, mut source } = self else { return self };
        match source.as_mut() {
            kube::Error::Api(status) => {
                let code = status.code;
                **status = Status { code, message: format!("status {code}"), ..Status::default() };
            }
            kube::Error::SerdeError(_) => return Self::Unreadable { operation, object },
            _ => {}
        }
        Self::Refused { operation, object, source }
    }

    /// Whether it would be more than a quota of the namespace allows.
    ///
    /// Source: `CheckRequest` of Kubernetes' `k8s.io/apiserver/pkg/admission/plugin/resourcequota`.
    #[must_use]
    pub fn is_of_quota(&self) -> bool {
        let Self::Refused { source, .. } = self else { return false };
        let kube::Error::Api(status) = source.as_ref() else { return false };
        status.code == 403 && status.message.contains("exceeded quota: ")
    }

    /// Whether nothing can be made in the namespace because it is being deleted.
    #[must_use]
    pub fn is_of_leaving_namespace(&self) -> bool {
        let Self::Refused { source, .. } = self else { return false };
        let kube::Error::Api(status) = source.as_ref() else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        status.code == 403 && causes.into_iter().any(|cause| cause.reason == LEAVING)
    }
}

/// What can be written: an object in a namespace.
pub trait Object:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug
{
}

impl<K> Object for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug
{
}

impl Writer {
    /// Writes only while `held`.
    #[must_use]
    pub fn new(client: Client, held: Held, metrics: ControllerMetrics) -> Self {
        Self { client, held, metrics }
    }

    /// Creates an object; never takes one that is there already.
    ///
    /// # Errors
    /// See [`ApplyError`]; with code 409 if there is one of its name.
    pub async fn create<K: Object>(&self, object: &K) -> Result<K, ApplyError> {
        self.begin::<K>("create")?;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let api = self.api_of(object);
        answer("create", &shown(object), api.create(&params, object)).await
    }

    /// Makes the object of this UID what `object` says, by server-side apply.
    ///
    /// # Errors
    /// See [`ApplyError`]; with code 409 if there is another in its place, or none.
    pub async fn apply<K: Object>(&self, object: &K, uid: &str) -> Result<K, ApplyError> {
        self.begin::<K>("apply")?;
        let mut object = object.clone();
        object.meta_mut().uid = Some(uid.to_owned());
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.api_of(&object);
        answer("apply", &shown(&object), api.patch(&object.name_any(), &params, &Patch::Apply(&object))).await
    }

    /// Makes fields of the object of this UID, which is in no namespace, what `fields` says, by server-side apply under a manager of
    /// their own, so that whoever applies the rest of it does not conflict.
    ///
    /// # Errors
    /// See [`ApplyError`]; with code 409 if there is another in its place, or none.
    pub async fn own<K>(&self, name: &str, uid: &str, manager: &str, fields: &Value) -> Result<K, ApplyError>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope> + DeserializeOwned + Clone + Debug,
    {
        self.held.check()?;
        self.metrics.write("apply", K::kind(&()));
        let mut object = fields.clone();
        if let Some(object) = object.as_object_mut() {
            object.insert("apiVersion".into(), K::api_version(&()).into());
            object.insert("kind".into(), K::kind(&()).into());
            object.insert("metadata".into(), json!({"name": name, "uid": uid}));
        }
        let api: Api<K> = Api::all(self.client.clone());
        let params = PatchParams::apply(manager).force();
        let what = format!("{} {name}", K::kind(&()));
        answer("apply", &what, api.patch(name, &params, &Patch::Apply(&object))).await
    }

    /// Changes an object that is in no namespace by a merge patch (RFC 7386), which names the version that it is about.
    ///
    /// # Errors
    /// See [`ApplyError`]; with code 409 if it is another by now.
    pub async fn merge_of_cluster<K>(&self, name: &str, manager: &str, patch: &Value) -> Result<K, ApplyError>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope> + DeserializeOwned + Clone + Debug,
    {
        self.held.check()?;
        self.metrics.write("patch", K::kind(&()));
        let api: Api<K> = Api::all(self.client.clone());
        let params = PatchParams { field_manager: Some(manager.into()), ..PatchParams::default() };
        answer("patch", &format!("{} {name}", K::kind(&())), api.patch(name, &params, &Patch::Merge(patch))).await
    }

    /// Reads an object that is in no namespace as it is now.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn read_of_cluster<K>(&self, name: &str) -> Result<Option<K>, ApplyError>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope> + DeserializeOwned + Clone + Debug,
    {
        let api: Api<K> = Api::all(self.client.clone());
        answer("read", &format!("{} {name}", K::kind(&())), api.get_opt(name)).await
    }

    /// Changes an object by a merge patch (RFC 7386), which names the UID that it is about.
    ///
    /// # Errors
    /// See [`ApplyError`]; with code 409 if it is not the object, or the version of it, that the patch names, 404 if there is none.
    pub async fn merge<K: Object>(&self, namespace: &str, name: &str, patch: &Value) -> Result<K, ApplyError> {
        self.begin::<K>("patch")?;
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let what = format!("{} {namespace}/{name}", K::kind(&()));
        answer("patch", &what, api.patch(name, &params, &Patch::Merge(patch))).await
    }

    /// Takes the gate of deliveries from the Pod of this UID; the Pod as it is then. That it has gone is as good.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn lift_gate<K: Object>(&self, namespace: &str, name: &str, uid: &str) -> Result<Option<K>, ApplyError> {
        self.begin::<K>("lift-gate")?;
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        // Where there is none any more nothing is changed, whoever else changed the list.
        let gate = json!({"$patch": "delete", "name": DELIVERY_GATE});
        let patch = Patch::Strategic(json!({"metadata": {"uid": uid}, "spec": {"schedulingGates": [gate]}}));
        match answer("lift the gate of", &format!("Pod {namespace}/{name}"), api.patch(name, &params, &patch)).await {
            Ok(pod) => Ok(Some(pod)),
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes the object of this name and UID, and tells what is left of it while it is held. That it has gone is as good.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn remove<K: Object>(&self, namespace: &str, name: &str, uid: &str) -> Result<Option<K>, ApplyError> {
        self.begin::<K>("delete")?;
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("{} {namespace}/{name}", K::kind(&()));
        let left = match answer("delete", &what, api.delete(name, &params)).await {
            Err(error) if is_gone(&error) => None,
            other => other?.left(),
        };
        Ok(left.filter(|kept| kept.meta().deletion_timestamp.is_some()))
    }

    /// Deletes the object of this name and UID. That it has gone is as good. One that somebody's finalizer keeps there would go on
    /// giving what it gives, so that is taken from it; it is told as it is then.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn delete<K>(&self, namespace: &str, name: &str, uid: &str) -> Result<Option<K>, ApplyError>
    where
        K: Object + Content,
    {
        let Some(kept) = self.remove::<K>(namespace, name, uid).await? else { return Ok(None) };
        let emptied = kept.emptied();
        if kept.given() == emptied.given() {
            return Ok(Some(kept));
        }
        match self.apply(&emptied, uid).await {
            Err(error) if is_gone(&error) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Reads an object as it is now.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn read<K: Object>(&self, namespace: &str, name: &str) -> Result<Option<K>, ApplyError> {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        answer("read", &format!("{} {namespace}/{name}", K::kind(&())), api.get_opt(name)).await
    }

    /// Writes the status of the object of this UID, and tells the object as it is then; none if it has gone.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn status<K: Object>(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        status: &impl Serialize,
    ) -> Result<Option<K>, ApplyError> {
        self.begin::<K>("status")?;
        let patch = Patch::Apply(json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {"name": name, "namespace": namespace, "uid": uid},
            "status": status,
        }));
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patched = api.patch_status(name, &params, &patch);
        match answer("write the status of", &format!("{} {namespace}/{name}", K::kind(&())), patched).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn begin<K: Object>(&self, operation: &'static str) -> Result<(), NotHeld> {
        self.held.check()?;
        self.metrics.write(operation, K::kind(&()));
        Ok(())
    }

    fn api_of<K: Object>(&self, object: &K) -> Api<K> {
        Api::namespaced(self.client.clone(), object.meta().namespace.as_deref().unwrap_or_default())
    }
}

/// Whether the object of this UID is not there any more; 409: another of its name is.
fn is_gone(error: &ApplyError) -> bool {
    matches!(error.code(), Some(404 | 409))
}

fn shown<K: Object>(object: &K) -> String {
    format!("{} {}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any())
}

async fn answer<T>(
    operation: &'static str,
    object: &str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ApplyError> {
    match timeout(DEADLINE, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(ApplyError::Refused { operation, object: object.into(), source: Box::new(source) }),
        Err(_) => Err(ApplyError::NoAnswer { operation, object: object.into() }),
    }
}
