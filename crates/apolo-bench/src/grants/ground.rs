//! What is measured on: a control plane with the chart's kinds, and namespaces with secrets and grants.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use apolo_tests::control_plane::ControlPlane;
use apolo_tests::controller::Controller;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{GroupVersionKind, ObjectMeta};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use tokio::time::sleep;

use super::flight::{WIDTH, fly};

use super::objects::{BARE_LABEL, PERSON, grant};
use crate::usage::Usage;

/// The namespace of the release. No grant acts there: what is in it is for the bare writes.
pub(crate) const BARE: &str = "apolo-secrets";

/// How long it may take until grants stand, and how often that is looked at.
const DEADLINE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// A control plane, and a client that may do everything.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) control_plane: ControlPlane,
    pub(crate) client: Client,
    /// The API server's process.
    pub(crate) api_server: Usage,
}

/// A grant that was made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl Ground {
    /// The cluster in this folder, with our kinds.
    pub(crate) async fn new(folder: &Path) -> anyhow::Result<Self> {
        let control_plane = ControlPlane::open(folder)?;
        control_plane.install_kinds().await?;
        let client = control_plane.admin().await?;
        // So that grants can be written bare where the controller leaves them alone.
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
        bindings.delete("apolo-secrets-grants", &DeleteParams::default()).await.context("opening our namespace")?;
        control_plane.policies_hold().await?;
        let api_server = Usage::of_program(&control_plane.bin().join("kube-apiserver"))?;
        Ok(Self { control_plane, client, api_server })
    }

    /// A controller that leads.
    pub(crate) async fn controller(&self) -> anyhow::Result<Controller> {
        let controller = self.control_plane.start_controller("controller", &[]).await?;
        controller.leads().await?;
        Ok(controller)
    }

    /// The grants of a namespace.
    pub(crate) fn grants(&self, namespace: &str) -> Api<DynamicObject> {
        Self::grants_by(&self.client, namespace)
    }

    /// The same, for somebody.
    pub(crate) fn grants_by(client: &Client, namespace: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("secrets.apolo.us", "v1alpha1", "SecretGrant");
        Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
    }

    /// A namespace with these secrets, of no value.
    pub(crate) async fn namespace(&self, name: &str, secrets: impl Iterator<Item = String>) -> anyhow::Result<()> {
        let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.create(&PostParams::default(), &namespace).await.with_context(|| format!("making {name}"))?;
        self.secrets(name, secrets).await
    }

    /// Secrets in a namespace.
    pub(crate) async fn secrets(&self, namespace: &str, secrets: impl Iterator<Item = String>) -> anyhow::Result<()> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let make = |name: String| {
            let api = api.clone();
            async move {
                let metadata = ObjectMeta { name: Some(name), ..ObjectMeta::default() };
                api.create(&PostParams::default(), &Secret { metadata, ..Secret::default() }).await?;
                Ok(())
            }
        };
        fly(WIDTH, secrets.map(make)).await.context("making secrets")?;
        Ok(())
    }

    /// So many grants, each of a secret of this name.
    pub(crate) async fn make(&self, namespace: &str, names: &[String], secret: &str) -> anyhow::Result<Vec<Made>> {
        let api = self.grants(namespace);
        let make = |name: &String| {
            let (api, object) = (api.clone(), grant(name, secret, &[PERSON]));
            async move { put(&api, object).await }
        };
        fly(WIDTH, names.iter().map(make)).await.context("making grants")
    }

    /// The same in one namespace of many, one after another.
    pub(crate) async fn make_in_turn(&self, namespace: &str, names: &[String], secret: &str) -> anyhow::Result<()> {
        let api = self.grants(namespace);
        for name in names {
            put(&api, grant(name, secret, &[PERSON])).await?;
        }
        Ok(())
    }

    /// Waits until so many grants of a namespace, or of all, stand.
    pub(crate) async fn all_ready(&self, namespace: Option<&str>, count: usize) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let ready = self.ready(namespace).await?;
            if ready >= count {
                return Ok(());
            }
            ensure!(began.elapsed() < DEADLINE, "only {ready} of {count} grants stand");
            sleep(LOOK).await;
        }
    }

    async fn ready(&self, namespace: Option<&str>) -> anyhow::Result<usize> {
        let kind = GroupVersionKind::gvk("secrets.apolo.us", "v1alpha1", "SecretGrant");
        let kind = ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind),
            None => Api::all_with(self.client.clone(), &kind),
        };
        let all = api.list(&ListParams::default().match_any()).await.context("listing grants")?;
        let is_ready = |grant: &&DynamicObject| {
            let reason = grant.data.pointer("/status/conditions/0/reason").and_then(Value::as_str);
            reason == Some("Granted") && grant.namespace().as_deref() != Some(BARE)
        };
        Ok(all.iter().filter(is_ready).count())
    }

    /// Deletes all grants of a namespace, and what was made of them.
    pub(crate) async fn clear(&self, namespace: &str) -> anyhow::Result<()> {
        let (delete, all) = (DeleteParams::background(), ListParams::default());
        let ours = all.clone().labels(if namespace == BARE { BARE_LABEL } else { "secrets.apolo.us/grant-uid" });
        let roles: Api<Role> = Api::namespaced(self.client.clone(), namespace);
        let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), namespace);
        let grants = self.grants(namespace);
        tokio::try_join!(
            async { grants.delete_collection(&delete, &all).await.map(drop) },
            async { bindings.delete_collection(&delete, &ours).await.map(drop) },
            async { roles.delete_collection(&delete, &ours).await.map(drop) },
        )
        .with_context(|| format!("clearing {namespace}"))?;
        Ok(())
    }
}

/// Applies a grant as somebody does who has it in a file.
pub(crate) async fn put(api: &Api<DynamicObject>, object: Value) -> anyhow::Result<Made> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let params = PatchParams::apply("kubectl").force();
    let made = api.patch(&name, &params, &Patch::Apply(object)).await.with_context(|| format!("applying {name}"))?;
    Ok(Made { uid: made.uid().unwrap_or_default(), name })
}
