//! A namespace for one test, with people in it: made when the test begins, told about when it fails, then deleted.

use std::{any::Any, fmt::Debug, ops::Deref, panic::AssertUnwindSafe};

use futures_util::{FutureExt, TryStreamExt};
use k8s_openapi::api::{
    authorization::v1::SelfSubjectAccessReview,
    core::v1::{self, Pod, ServiceAccount},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ObjectMeta, PostParams, TypeMeta, WatchEvent, WatchParams},
    core::{GroupVersionKind, NamespaceResourceScope},
};
use serde_json::{Value, json};

use crate::{
    cluster::{self, Cluster},
    command::{self, Finished},
    control_plane::{self, ControlPlane},
    eventually::{DEADLINE, NotYet, eventually, reached},
    objects,
};

/// A namespace that belongs to one test.
#[derive(Clone)]
pub struct Namespace {
    /// Its name, random in part.
    pub name: String,
    /// A client that may do everything, in other namespaces too.
    pub client: Client,
    control_plane: ControlPlane,
}

/// What went wrong with a namespace, or in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no cluster.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The cluster could not be reached.
    #[error(transparent)]
    ControlPlane(#[from] control_plane::Error),
    /// The namespace could not be made.
    #[error("cannot make a namespace")]
    Make(#[source] kube::Error),
    /// An object says nothing of its kind.
    #[error("cannot create an object without apiVersion and kind")]
    Kind,
    /// An object could not be made; the API server says why.
    #[error("cannot create {kind} {name} in namespace {namespace}")]
    Create {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// The namespace.
        namespace: String,
        /// What the API server says.
        source: kube::Error,
    },
    /// Pods could not be watched.
    #[error("cannot watch the Pods of namespace {namespace}")]
    Watch {
        /// The namespace.
        namespace: String,
        /// What the API server says.
        source: kube::Error,
    },
    /// Something did not happen.
    #[error(transparent)]
    NotYet(#[from] NotYet),
}

/// Runs `body` in a new namespace of the shared cluster. See [`ControlPlane::with_namespace`].
///
/// # Errors
/// What `body` fails with, or that there is no namespace for it.
pub async fn with_namespace<T, E: From<Error> + Debug>(
    body: impl AsyncFnOnce(Namespace) -> Result<T, E>,
) -> Result<T, E> {
    Cluster::shared().map_err(Error::from)?.with_namespace(body).await
}

impl ControlPlane {
    /// Runs `body` in a new namespace, named after the test, and deletes the namespace without waiting for that. If
    /// `body` panics or fails, what is in the namespace is told first: all but the content of Secrets.
    ///
    /// # Errors
    /// What `body` fails with, or that there is no namespace for it.
    pub async fn with_namespace<T, E: From<Error> + Debug>(
        &self,
        body: impl AsyncFnOnce(Namespace) -> Result<T, E>,
    ) -> Result<T, E> {
        let namespace = Namespace::make(self).await?;
        let outcome = AssertUnwindSafe(body(namespace.clone())).catch_unwind().await;
        namespace.leave(matches!(outcome, Ok(Ok(_)))).await;
        outcome.unwrap_or_else(|panic: Box<dyn Any + Send>| std::panic::resume_unwind(panic))
    }

    /// The same in as many namespaces.
    ///
    /// # Errors
    /// What `body` fails with, or that there is no namespace for it.
    pub async fn with_namespaces<T, E: From<Error> + Debug>(
        &self,
        count: usize,
        body: impl AsyncFnOnce(&[Namespace]) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut namespaces = Vec::new();
        for _ in 0..count {
            namespaces.push(Namespace::make(self).await?);
        }
        let outcome = AssertUnwindSafe(body(&namespaces)).catch_unwind().await;
        for namespace in &namespaces {
            namespace.leave(matches!(outcome, Ok(Ok(_)))).await;
        }
        outcome.unwrap_or_else(|panic: Box<dyn Any + Send>| std::panic::resume_unwind(panic))
    }
}

impl ControlPlane {
    /// A namespace that is there.
    ///
    /// # Errors
    /// When there is no client.
    pub async fn namespace(&self, name: &str) -> Result<Namespace, Error> {
        Ok(Namespace { name: name.into(), client: self.admin().await?, control_plane: self.clone() })
    }
}

impl Namespace {
    async fn make(control_plane: &ControlPlane) -> Result<Self, Error> {
        let client = control_plane.admin().await?;
        let manifest = v1::Namespace {
            metadata: ObjectMeta { generate_name: Some(prefix()), ..Default::default() },
            ..Default::default()
        };
        let namespaces = Api::<v1::Namespace>::all(client.clone());
        let name = namespaces.create(&PostParams::default(), &manifest).await.map_err(Error::Make)?.name_any();
        let namespace = Self { name, client, control_plane: control_plane.clone() };
        let accounts: Api<ServiceAccount> = namespace.api();
        reached(accounts, "default", "the namespace has its service account", |account| account.is_some()).await?;
        Ok(namespace)
    }

    /// Tells what is here, if the test has failed, and deletes it.
    async fn leave(&self, is_well: bool) {
        if !is_well {
            self.tell().await;
        }
        let namespaces = Api::<v1::Namespace>::all(self.client.clone());
        if let Err(error) = namespaces.delete(&self.name, &DeleteParams::default()).await {
            eprintln!("cannot delete namespace {}: {error}", self.name);
        }
    }

    /// The objects of a type in this namespace, for a client that may do everything.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Creates an object here, of any kind, as the administrator.
    ///
    /// # Errors
    /// When it says nothing of its kind, or the API server refuses it.
    pub async fn create(&self, object: &Value) -> Result<DynamicObject, Error> {
        self.create_as(&self.client, object).await
    }

    /// Creates an object here as somebody else.
    ///
    /// # Errors
    /// When it says nothing of its kind, or the API server refuses it.
    pub async fn create_as(&self, client: &Client, object: &Value) -> Result<DynamicObject, Error> {
        let types: TypeMeta = serde_json::from_value(object.clone()).map_err(|_| Error::Kind)?;
        let kind = GroupVersionKind::try_from(&types).map_err(|_| Error::Kind)?;
        let object: DynamicObject = serde_json::from_value(object.clone()).map_err(|_| Error::Kind)?;
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), &self.name, &ApiResource::from_gvk(&kind));
        api.create(&PostParams::default(), &object).await.map_err(|source| Error::Create {
            kind: kind.kind,
            name: object.name_any(),
            namespace: self.name.clone(),
            source,
        })
    }

    /// A client of the user `name`, who has the rights of the ClusterRole `edit` in this namespace and no others but
    /// those that a test with the same name for somebody gives in its own.
    ///
    /// # Errors
    /// When the rights cannot be given, or do not come into force.
    pub async fn person(&self, name: &str) -> Result<Client, Error> {
        let client = self.control_plane.user(name, &[]).await?;
        self.create(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": format!("edit-{name}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
        }))
        .await?;
        let question = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": self.name, "verb": "create", "resource": "pods"}},
        });
        let question: SelfSubjectAccessReview = serde_json::from_value(question).map_err(|_| Error::Kind)?;
        let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
        eventually(&format!("{name} has rights in namespace {}", self.name), async || {
            let review = reviews.create(&PostParams::default(), &question).await.map_err(|error| error.to_string())?;
            review.status.filter(|status| status.allowed).ok_or_else(|| String::from("not allowed"))
        })
        .await?;
        Ok(client)
    }

    /// The first Pod labelled `app: NAME`, as all Pods of what [`objects`](crate::objects) builds are; watched for.
    ///
    /// # Errors
    /// When there is none by the deadline, or Pods cannot be watched.
    pub async fn pod_of(&self, name: &str) -> Result<Pod, Error> {
        let failed = |source| Error::Watch { namespace: self.name.clone(), source };
        let params = WatchParams::default().labels(&format!("app={name}"));
        let first = async {
            // From version 0 a watch begins with what is there already.
            let mut events = std::pin::pin!(self.api::<Pod>().watch(&params, "0").await?);
            loop {
                match events.try_next().await? {
                    Some(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => return Ok(Some(pod)),
                    Some(_) => {}
                    None => return Ok(None),
                }
            }
        };
        match tokio::time::timeout(DEADLINE, first).await {
            Ok(Ok(Some(pod))) => Ok(pod),
            Ok(Err(error)) => Err(failed(error)),
            Ok(Ok(None)) | Err(_) => Err(Error::NotYet(NotYet {
                what: format!("a Pod of {name} is made in namespace {}", self.name),
                deadline: DEADLINE,
                seen: "none".into(),
            })),
        }
    }

    /// All decisions of the webhook on this namespace until now. It logs them a moment after it has answered, so a last one
    /// is made, and waited for.
    ///
    /// # Errors
    /// When it is not logged by the deadline.
    pub async fn all_decisions(&self) -> Result<Vec<Value>, Error> {
        let is_marker = |line: &Value| line.get("name").is_some_and(|name| name == "marker");
        let markers = || self.decisions(&self.name).iter().filter(|line| is_marker(line)).count();
        let before = markers();
        let mistaken = objects::template(&[("secrets.apolo.us/env", "mistake")]);
        let _refused = self.create(&objects::pod("marker", &mistaken)).await;
        eventually("the webhook has logged its last decision", async || match markers() {
            after if after > before => Ok(()),
            after => Err(format!("{after} markers")),
        })
        .await?;
        Ok(self.decisions(&self.name).into_iter().filter(|line| !is_marker(line)).collect())
    }

    /// Tells on stderr what is here. Of Secrets only the names: their annotations may hold their content.
    async fn tell(&self) {
        let all = "pods,jobs,cronjobs,deployments,replicasets,statefulsets,daemonsets";
        for (title, arguments) in [
            ("Objects", vec!["get", all, "--output=yaml"]),
            ("Secrets", vec!["get", "secrets", "--output=name"]),
            ("Events", vec!["get", "events", "--sort-by=.metadata.creationTimestamp"]),
        ] {
            let command = self.kubectl([&["--namespace", &self.name], arguments.as_slice()].concat());
            let told = match command::run(command, "").await {
                Ok(Finished { stdout, stderr, .. }) => stdout + &stderr,
                Err(error) => error.to_string(),
            };
            eprintln!("--- {title} in namespace {} ---\n{told}", self.name);
        }
    }
}

impl Deref for Namespace {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        &self.control_plane
    }
}

/// The test's name as a namespace's: libtest names the thread of a test after it.
fn prefix() -> String {
    let thread = std::thread::current();
    let test = thread.name().and_then(|path| path.rsplit("::").next()).unwrap_or("test");
    let name: String = test.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{}-", name.trim_matches('-').chars().take(40).collect::<String>().trim_end_matches('-'))
}
