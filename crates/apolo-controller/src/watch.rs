//! What the API server tells, into the store: one watch a kind.

mod catalogs;

use std::fmt::Debug;
use std::sync::Arc;

use apolo_api::catalog::{NAME, SecretCatalog};
use apolo_api::grant::SecretGrant;
use apolo_core::names::{GRANT_UID, SHARED};
use apolo_runtime::watch::{self, News};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher::Config;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::apply::Object;
use crate::key::GrantKey;
use crate::metrics::ControllerMetrics;
use crate::owned::{Content, Owned};
use crate::queue::Queues;
use crate::store::{Kept, Kind, Known, KnownPod, Reader, SharingPod, Store, Woken};

/// Types of Secrets that do not exist for us.
pub(crate) const NOT_OURS: [&str; 3] =
    ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1"];

/// How many catalogs are listed at once: one may have a MiB.
const CATALOGS: u32 = 50;

/// What is watched, and who is told.
#[derive(Clone)]
pub struct Watches {
    /// The API server.
    pub client: Client,
    /// What is known.
    pub store: Arc<Store>,
    /// What is to be looked at.
    pub queues: Arc<Queues>,
    /// How Pods are read.
    pub reader: Reader,
    /// What is counted.
    pub metrics: ControllerMetrics,
    /// Namespaces that do not exist for us.
    pub excluded: Vec<String>,
}

/// What a kind's news do to the store.
trait Keep<K> {
    /// What is kept of an object.
    type Kept;

    fn kept(&self, object: K) -> Option<Self::Kept>;
    fn put(&self, kept: Self::Kept) -> Woken;
    fn remove(&self, object: &K) -> Woken;
    fn replace(&self, all: Vec<Self::Kept>);
}

impl Watches {
    /// Watches for as long as it is polled.
    pub async fn run(self) {
        let fields = |names: &str| self.excluded.iter().map(|it| format!("{names}!={it}")).collect::<Vec<_>>();
        let namespaces = fields("metadata.namespace");
        let in_namespaces = Config::default().fields(&namespaces.join(","));
        let of_types = |types: Vec<String>| {
            let fields: Vec<String> = namespaces.iter().cloned().chain(types).collect();
            Config::default().fields(&fields.join(","))
        };
        let opaque = of_types(vec!["type=Opaque".to_owned()]);
        let others = NOT_OURS.into_iter().chain(["Opaque"]).map(|it| format!("type!={it}"));
        let catalogs = namespaces.iter().cloned().chain([format!("metadata.name={NAME}")]).collect::<Vec<_>>();
        let catalogs = Config::default().fields(&catalogs.join(",")).page_size(CATALOGS);
        let not_excluded = Config::default().fields(&fields("metadata.name").join(","));
        let ours = in_namespaces.clone().labels(GRANT_UID);
        let sharing = in_namespaces.clone().labels(&format!("{SHARED}=true"));
        let store = &self.store;
        let (roles, bindings) = (OfKind { store, kind: Kind::Role }, OfKind { store, kind: Kind::RoleBinding });
        let secrets = |are_opaque| OfType { store, are_opaque };
        let pods = Pods { store, reader: &self.reader };
        let (opaque_secrets, other_secrets) = (secrets(true), secrets(false));
        tokio::join!(
            self.follow::<DeserializeGuard<SecretGrant>, _>(in_namespaces, store.as_ref()),
            self.follow::<Role, _>(ours.clone(), &roles),
            self.follow::<RoleBinding, _>(ours, &bindings),
            self.follow::<PartialObjectMeta<Secret>, _>(opaque, &opaque_secrets),
            self.follow::<PartialObjectMeta<Secret>, _>(of_types(others.collect()), &other_secrets),
            self.follow::<SharingPod, _>(sharing, &pods),
            self.follow::<DeserializeGuard<SecretCatalog>, _>(catalogs, store.as_ref()),
            self.follow::<PartialObjectMeta<Namespace>, _>(not_excluded, store.as_ref()),
        );
    }

    async fn follow<K, S>(&self, config: Config, keep: &S)
    where
        S: Keep<K>,
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        watch::follow(
            Api::<K>::all(self.client.clone()),
            config,
            |object| keep.kept(object),
            |news| {
                let woken = match news {
                    News::Put(kept) => keep.put(kept),
                    News::Removed(object) => keep.remove(&object),
                    News::All(all) => {
                        let mut woken = self.store.everything();
                        keep.replace(all);
                        woken.extend(self.store.everything());
                        woken
                    }
                    News::Broke(error) => {
                        self.metrics.error("watch");
                        tracing::warn!(why = %error, kind = %K::kind(&()), "a watch broke; it is begun again");
                        return;
                    }
                };
                self.queues.wake(woken);
            },
        )
        .await;
    }
}

impl Keep<DeserializeGuard<SecretGrant>> for Store {
    type Kept = Known;

    fn kept(&self, DeserializeGuard(grant): DeserializeGuard<SecretGrant>) -> Option<Known> {
        Some(Known::of(grant))
    }

    fn put(&self, grant: Known) -> Woken {
        self.put_grant(grant)
    }

    fn remove(&self, grant: &DeserializeGuard<SecretGrant>) -> Woken {
        self.remove_grant(&GrantKey::new(&grant.namespace().unwrap_or_default(), &grant.name_any()))
    }

    fn replace(&self, all: Vec<Known>) {
        self.replace_grants(all);
    }
}

struct OfType<'a> {
    store: &'a Store,
    are_opaque: bool,
}

impl Keep<PartialObjectMeta<Secret>> for OfType<'_> {
    /// Namespace, name, and what is kept.
    type Kept = (String, String, Kept);

    fn kept(&self, secret: PartialObjectMeta<Secret>) -> Option<(String, String, Kept)> {
        let kept = Kept::of(&secret.metadata, self.are_opaque);
        Some((secret.metadata.namespace?, secret.metadata.name?, kept))
    }

    fn put(&self, (namespace, name, kept): (String, String, Kept)) -> Woken {
        self.store.put_secret(&namespace, &name, kept)
    }

    fn remove(&self, secret: &PartialObjectMeta<Secret>) -> Woken {
        let uid = secret.uid().unwrap_or_default();
        self.store.remove_secret(&secret.namespace().unwrap_or_default(), &secret.name_any(), &uid)
    }

    fn replace(&self, all: Vec<(String, String, Kept)>) {
        self.store.replace_secrets(self.are_opaque, all);
    }
}

struct Pods<'a> {
    store: &'a Store,
    reader: &'a Reader,
}

impl Keep<SharingPod> for Pods<'_> {
    /// Namespace, name, and what is kept.
    type Kept = (String, String, KnownPod);

    fn kept(&self, pod: SharingPod) -> Option<(String, String, KnownPod)> {
        self.reader.read(pod)
    }

    fn put(&self, (namespace, name, pod): (String, String, KnownPod)) -> Woken {
        self.store.put_pod(&namespace, &name, pod)
    }

    fn remove(&self, pod: &SharingPod) -> Woken {
        let uid = pod.uid().unwrap_or_default();
        self.store.remove_pod(&pod.namespace().unwrap_or_default(), &pod.name_any(), &uid)
    }

    fn replace(&self, all: Vec<(String, String, KnownPod)>) {
        self.store.replace_pods(all);
    }
}

struct OfKind<'a> {
    store: &'a Store,
    kind: Kind,
}

impl<K: Object + Content> Keep<K> for OfKind<'_> {
    type Kept = (GrantKey, Owned);

    fn kept(&self, object: K) -> Option<(GrantKey, Owned)> {
        Some((key_of(&object)?, Owned::of(&object)))
    }

    fn put(&self, (key, owned): (GrantKey, Owned)) -> Woken {
        self.store.put_owned(self.kind, &key, owned)
    }

    fn remove(&self, object: &K) -> Woken {
        let Some(key) = key_of(object) else { return Woken::default() };
        self.store.remove_owned(self.kind, &key, &object.uid().unwrap_or_default())
    }

    fn replace(&self, all: Vec<(GrantKey, Owned)>) {
        self.store.replace_owned(self.kind, all);
    }
}

/// The grant that a Role or RoleBinding is about.
fn key_of(object: &impl ResourceExt) -> Option<GrantKey> {
    GrantKey::of_role(&object.namespace()?, &object.name_any())
}
