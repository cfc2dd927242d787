//! The steps of an uninstall, each a try: what was found was done, and what is left is told.

use std::fmt::Debug;
use std::sync::Mutex;

use apolo_api::catalog::SecretCatalog;
use apolo_core::names::{DELIVERY, DELIVERY_GATE, DELIVERY_PREFIX, FIELD_MANAGER, GRANT_UID, ROLE_PREFIX, SHARED};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;

use super::Progress;
use crate::certificates::MADE_BY;
use crate::leader::{holder, is_free};

/// How many objects are listed at once.
const PAGE: u32 = 500;

/// All that is ours in a cluster.
pub(super) struct Ours {
    client: Client,
    release: String,
    namespace: String,
    lease: String,
    /// The version of the Lease that was seen last, and since when it has been so.
    seen: Mutex<Option<(String, Instant)>>,
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    /// It cannot be told what there is.
    #[error("cannot list {kind}")]
    List { kind: String, source: kube::Error },
    /// Something is still there.
    #[error("cannot {operation} {object}")]
    Refused { operation: &'static str, object: String, source: kube::Error },
}

impl Ours {
    pub(super) fn new(client: Client, release: String, namespace: String, lease: String) -> Self {
        Self { client, release, namespace, lease, seen: Mutex::default() }
    }

    /// From then on nothing is held up by us.
    pub(super) async fn hooks(&self) -> Result<Progress, StepError> {
        let mutating =
            delete(&Api::<MutatingWebhookConfiguration>::all(self.client.clone()), &self.release, None).await?;
        let validating =
            delete(&Api::<ValidatingWebhookConfiguration>::all(self.client.clone()), &self.release, None).await?;
        Ok(Progress { done: usize::from(mutating) + usize::from(validating), left: None })
    }

    /// Scales the controller to zero; it has left when its Pods have gone and nobody holds the Lease.
    pub(super) async fn controller(&self) -> Result<Progress, StepError> {
        let name = format!("{}-controller", self.release);
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let zero = Patch::Merge(json!({"spec": {"replicas": 0}}));
        let scaled = deployments.patch_scale(&name, &PatchParams::default(), &zero).await;
        gone_or(scaled, "scale", || format!("Deployment {}/{name}", self.namespace))?;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let labels = format!("app.kubernetes.io/instance={},app.kubernetes.io/component=controller", self.release);
        let left = all(&pods, &ListParams::default().labels(&labels)).await?.len();
        if left > 0 {
            return Ok(Progress { done: 0, left: Some(format!("{left} Pods of the controller are there")) });
        }
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let lease = leases.get_opt(&self.lease).await;
        let lease = lease.map_err(|source| self.refused("read", source))?;
        let held = lease.filter(|lease| !self.is_free(lease)).and_then(|lease| holder(&lease).cloned());
        Ok(Progress { done: 0, left: held.map(|who| format!("{who} holds the Lease {}", self.lease)) })
    }

    /// Whether nobody writes by it any more, as far as has been seen.
    fn is_free(&self, lease: &Lease) -> bool {
        let version = lease.resource_version().unwrap_or_default();
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let since = seen.take().filter(|(before, _)| *before == version).map_or_else(Instant::now, |(_, since)| since);
        *seen = Some((version, since));
        is_free(lease, since.elapsed())
    }

    /// Bindings first: a policy that nothing binds does nothing.
    pub(super) async fn policies(&self) -> Result<Progress, StepError> {
        let labels = format!("app.kubernetes.io/name=apolo-secrets,app.kubernetes.io/instance={}", self.release);
        let labelled = ListParams::default().labels(&labels);
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(self.client.clone());
        let policies = Api::<ValidatingAdmissionPolicy>::all(self.client.clone());
        let bound = self.delete_of_cluster(&bindings, &labelled).await?;
        let deleted = self.delete_of_cluster(&policies, &labelled).await?;
        Ok(Progress { done: bound + deleted, left: None })
    }

    async fn delete_of_cluster<K: Kind>(&self, api: &Api<K>, params: &ListParams) -> Result<usize, StepError> {
        let mut count = 0;
        for object in all(api, params).await? {
            count += usize::from(delete(api, &object.name_any(), object.uid()).await?);
        }
        Ok(count)
    }

    /// Another release whose hooks are there, by its name. Both know what is theirs by the same labels.
    pub(super) async fn others(&self) -> Result<Option<String>, StepError> {
        let hooks = Api::<MutatingWebhookConfiguration>::all(self.client.clone());
        let labels = format!("app.kubernetes.io/name=apolo-secrets,app.kubernetes.io/instance!={}", self.release);
        let found = all(&hooks, &ListParams::default().labels(&labels)).await?;
        Ok(found.first().map(ResourceExt::name_any))
    }

    /// Pods that wait for us wait no more.
    pub(super) async fn gates(&self) -> Result<Progress, StepError> {
        let pods: Api<Pod> = Api::all(self.client.clone());
        let params = ListParams::default().labels(&format!("{SHARED}=true"));
        let gate = json!({"$patch": "delete", "name": DELIVERY_GATE});
        let (mut done, mut left) = (0, None);
        for pod in every(&pods, &params).await? {
            let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref());
            if !gates.into_iter().flatten().any(|it| it.name == DELIVERY_GATE) {
                continue;
            }
            let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
            let patch = Patch::Strategic(json!({"metadata": {"uid": pod.uid()}, "spec": {"schedulingGates": [gate]}}));
            let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
            let patched = Api::<Pod>::namespaced(self.client.clone(), &namespace).patch(&name, &params, &patch).await;
            let lifted = gone_or(patched, "lift the gate of", || format!("Pod {namespace}/{name}"))?;
            match lifted {
                Some(_) => done += 1,
                // It is looked at again: it may be another, or the same that somebody else has changed meanwhile.
                None => left = Some(format!("Pod {namespace}/{name} has changed")),
            }
        }
        Ok(Progress { done, left })
    }

    pub(super) async fn copies(&self) -> Result<Progress, StepError> {
        self.delete_everywhere::<Secret>(&format!("{DELIVERY}=true"), DELIVERY_PREFIX).await
    }

    pub(super) async fn bindings(&self) -> Result<Progress, StepError> {
        self.delete_everywhere::<RoleBinding>(GRANT_UID, ROLE_PREFIX).await
    }

    pub(super) async fn roles(&self) -> Result<Progress, StepError> {
        self.delete_everywhere::<Role>(GRANT_UID, ROLE_PREFIX).await
    }

    pub(super) async fn catalogs(&self) -> Result<Progress, StepError> {
        self.delete_everywhere::<SecretCatalog>("", "").await
    }

    /// Deletes all of a kind that bear these labels and whose names begin so.
    async fn delete_everywhere<K>(&self, labels: &str, prefix: &str) -> Result<Progress, StepError>
    where
        K: Kind + Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    {
        let (mut done, mut left) = (0, None);
        let params = ListParams::default().labels(labels);
        for object in all(&Api::<K>::all(self.client.clone()), &params).await? {
            let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
            if !name.starts_with(prefix) {
                continue;
            }
            if object.metadata.deletion_timestamp.is_some() {
                left = Some(format!("{} {namespace}/{name} is kept by a finalizer", K::kind(&())));
                continue;
            }
            let api = Api::<K>::namespaced(self.client.clone(), &namespace);
            done += usize::from(delete(&api, &name, object.uid()).await?);
            // It may be there for a while.
            if !object.finalizers().is_empty() {
                left = Some(format!("{} {namespace}/{name} has a finalizer", K::kind(&())));
            }
        }
        Ok(Progress { done, left })
    }

    /// Those that the controller made: in other modes somebody else did.
    pub(super) async fn certificates(&self) -> Result<Progress, StepError> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut done = 0;
        for name in ["webhook-ca", "webhook-tls"].map(|end| format!("{}-{end}", self.release)) {
            let found = secrets.get_metadata_opt(&name).await;
            let found = found.map_err(|source| refused("read", format!("Secret {}/{name}", self.namespace), source))?;
            let (label, value) = MADE_BY;
            if let Some(secret) = found.filter(|it| it.labels().get(label).map(String::as_str) == Some(value)) {
                done += usize::from(delete(&secrets, &name, secret.uid()).await?);
            }
        }
        Ok(Progress { done, left: None })
    }

    pub(super) async fn lease(&self) -> Result<Progress, StepError> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        Ok(Progress { done: usize::from(delete(&leases, &self.lease, None).await?), left: None })
    }

    fn refused(&self, operation: &'static str, source: kube::Error) -> StepError {
        refused(operation, format!("Lease {}/{}", self.namespace, self.lease), source)
    }
}

/// What can be listed and deleted.
trait Kind: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug {}

impl<K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug> Kind for K {}

/// The metadata of all of a kind; none where there is no such kind.
async fn all<K: Kind>(api: &Api<K>, params: &ListParams) -> Result<Vec<PartialObjectMeta<K>>, StepError> {
    let mut params = params.clone().limit(PAGE);
    let mut found = Vec::new();
    loop {
        let page = api.list_metadata(&params).await;
        let Some(page) = page.map(Some).or_else(unknown).map_err(list_failed::<K>)? else { return Ok(found) };
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

/// All of a kind.
async fn every<K: Kind>(api: &Api<K>, params: &ListParams) -> Result<Vec<K>, StepError> {
    let mut params = params.clone().limit(PAGE);
    let mut found = Vec::new();
    loop {
        let page = api.list(&params).await.map_err(list_failed::<K>)?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

fn list_failed<K: Kind>(source: kube::Error) -> StepError {
    StepError::List { kind: K::plural(&()).into_owned(), source }
}

/// Deletes an object, of this UID if one is given; whether it was there.
async fn delete<K: Kind>(api: &Api<K>, name: &str, uid: Option<String>) -> Result<bool, StepError> {
    let preconditions = uid.map(|uid| Preconditions { uid: Some(uid), resource_version: None });
    let params = DeleteParams { preconditions, ..DeleteParams::background() };
    let deleted = gone_or(api.delete(name, &params).await, "delete", || format!("{} {name}", K::kind(&())))?;
    Ok(deleted.is_some())
}

/// None of what has gone, or has another in its place.
fn gone_or<T>(
    answer: Result<T, kube::Error>,
    operation: &'static str,
    object: impl FnOnce() -> String,
) -> Result<Option<T>, StepError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
        Err(source) => Err(refused(operation, object(), source)),
    }
}

fn unknown<T>(error: kube::Error) -> Result<Option<T>, kube::Error> {
    match error {
        kube::Error::Api(status) if status.code == 404 => Ok(None),
        other => Err(other),
    }
}

fn refused(operation: &'static str, object: String, source: kube::Error) -> StepError {
    StepError::Refused { operation, object, source }
}
