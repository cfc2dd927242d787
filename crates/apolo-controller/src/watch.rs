//! What the API server tells, into the store: one watch a kind.

mod catalogs;

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::pending;
use std::sync::Arc;

use apolo_api::catalog::SecretCatalog;
use apolo_api::grant::SecretGrant;
use apolo_runtime::watch::{self, News};
use apolo_runtime::watched::Watched;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher::Config;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use strum::VariantArray;
use tokio::sync::Notify;

use crate::apply::Object;
use crate::key::GrantKey;
use crate::metrics::ControllerMetrics;
use crate::owned::{Content, Owned};
use crate::queue::Queues;
use crate::select::Selected;
use crate::store::{Kept, Kind, Known, KnownPod, Reader, SharingPod, Source, Store, Woken};

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
    /// Which of them are to be begun again.
    pub restarts: Arc<Restarts>,
    /// Namespaces that do not exist for us.
    pub excluded: Vec<String>,
    /// Where we act.
    pub watched: Watched,
}

/// Which watches are to be begun again, from a list.
#[derive(Debug)]
pub struct Restarts(HashMap<Source, Notify>);

impl Default for Restarts {
    fn default() -> Self {
        Self(Source::VARIANTS.iter().map(|source| (*source, Notify::new())).collect())
    }
}

impl Restarts {
    /// The watch of these is to be begun again.
    pub fn begin_again(&self, source: Source) {
        self.0.get(&source).inspect(|restart| restart.notify_one());
    }

    /// Returns when it is.
    async fn of(&self, source: Source) {
        match self.0.get(&source) {
            Some(restart) => restart.notified().await,
            None => pending().await,
        }
    }
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
        let Selected { grants, owned, opaque_secrets, other_secrets, pods, catalogs, namespaces } =
            Selected::outside(&self.excluded);
        let store = &self.store;
        let (roles, bindings) = (OfKind { store, kind: Kind::Role }, OfKind { store, kind: Kind::RoleBinding });
        let secrets = |are_opaque| OfType { store, are_opaque };
        let of_pods = Pods { store, reader: &self.reader };
        let (opaque, others) = (secrets(true), secrets(false));
        tokio::join!(
            self.follow::<DeserializeGuard<SecretGrant>, _>(Source::SecretGrants, grants, store.as_ref()),
            self.follow::<Role, _>(Source::Roles, owned.clone(), &roles),
            self.follow::<RoleBinding, _>(Source::RoleBindings, owned, &bindings),
            self.follow::<PartialObjectMeta<Secret>, _>(Source::OpaqueSecrets, opaque_secrets, &opaque),
            self.follow::<PartialObjectMeta<Secret>, _>(Source::OtherSecrets, other_secrets, &others),
            self.follow::<SharingPod, _>(Source::Pods, pods, &of_pods),
            self.follow::<DeserializeGuard<SecretCatalog>, _>(Source::SecretCatalogs, catalogs, store.as_ref()),
            self.follow::<PartialObjectMeta<Namespace>, _>(Source::Namespaces, namespaces, store.as_ref()),
        );
    }

    async fn follow<K, S>(&self, source: Source, config: Config, keep: &S)
    where
        S: Keep<K>,
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        loop {
            let watching = watch::follow(
                Api::<K>::all(self.client.clone()),
                config.clone(),
                |object| self.acts_on(source, &object).then(|| keep.kept(object)).flatten(),
                |news| self.tell(news, keep),
            );
            tokio::select! {
                () = watching => {}
                () = self.restarts.of(source) => {}
            }
        }
    }

    /// Whether an object is where we act. A Role, RoleBinding or copy elsewhere is kept, as what no grant and no Pod asks for any more.
    fn acts_on(&self, source: Source, object: &impl ResourceExt) -> bool {
        !source.asks() || self.watched.includes(&object.namespace().unwrap_or_default())
    }

    fn tell<K, S>(&self, news: News<K, S::Kept>, keep: &S)
    where
        S: Keep<K>,
        K: Resource<DynamicType = ()>,
    {
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
