//! What the API server tells, into the store: one watch a kind.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use apolo_api::grant::SecretGrant;
use apolo_core::names::GRANT_UID;
use apolo_runtime::watch::{self, News};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher::Config;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::apply::Object;
use crate::key::GrantKey;
use crate::metrics::ControllerMetrics;
use crate::owned::{Content, Owned};
use crate::queue::Queue;
use crate::store::{Kind, Known, Store};

/// Types of Secrets that do not exist for us.
const NOT_OURS: [&str; 3] =
    ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1"];

/// What is watched, and who is told.
#[derive(Clone)]
pub struct Watches {
    /// The API server.
    pub client: Client,
    /// What is known.
    pub store: Arc<Store>,
    /// What is to be looked at.
    pub queue: Arc<Queue>,
    /// What is counted.
    pub metrics: ControllerMetrics,
    /// Namespaces that do not exist for us.
    pub excluded: Vec<String>,
}

/// What a kind's news do to the store.
trait Keep<K> {
    /// What is kept of an object.
    type Kept;

    fn kept(object: K) -> Option<Self::Kept>;
    fn put(&self, kept: Self::Kept) -> BTreeSet<GrantKey>;
    fn remove(&self, object: &K) -> BTreeSet<GrantKey>;
    fn replace(&self, all: Vec<Self::Kept>);
}

impl Watches {
    /// Watches for as long as it is polled.
    pub async fn run(self) {
        let fields = |names: &str| self.excluded.iter().map(|it| format!("{names}!={it}")).collect::<Vec<_>>();
        let namespaces = fields("metadata.namespace");
        let types = NOT_OURS.iter().map(|it| format!("type!={it}"));
        let secret_fields: Vec<String> = namespaces.iter().cloned().chain(types).collect();
        let in_namespaces = Config::default().fields(&namespaces.join(","));
        let secrets = Config::default().fields(&secret_fields.join(","));
        let ours = in_namespaces.clone().labels(GRANT_UID);
        let store = &self.store;
        let (roles, bindings) = (OfKind { store, kind: Kind::Role }, OfKind { store, kind: Kind::RoleBinding });
        tokio::join!(
            self.follow::<DeserializeGuard<SecretGrant>, _>(in_namespaces, store.as_ref()),
            self.follow::<Role, _>(ours.clone(), &roles),
            self.follow::<RoleBinding, _>(ours, &bindings),
            self.follow::<PartialObjectMeta<Secret>, _>(secrets, store.as_ref()),
        );
    }

    async fn follow<K, S>(&self, config: Config, keep: &S)
    where
        S: Keep<K>,
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        watch::follow(Api::<K>::all(self.client.clone()), config, S::kept, |news| {
            let woken = match news {
                News::Put(kept) => keep.put(kept),
                News::Removed(object) => keep.remove(&object),
                News::All(all) => {
                    let before = self.store.all();
                    keep.replace(all);
                    before.into_iter().chain(self.store.all()).collect()
                }
                News::Broke(error) => {
                    self.metrics.error("watch");
                    tracing::warn!(why = %error, kind = %K::kind(&()), "a watch broke; it is begun again");
                    return;
                }
            };
            woken.into_iter().for_each(|key| self.queue.wake(key));
        })
        .await;
    }
}

impl Keep<DeserializeGuard<SecretGrant>> for Store {
    type Kept = Known;

    fn kept(DeserializeGuard(grant): DeserializeGuard<SecretGrant>) -> Option<Known> {
        Some(Known::of(grant))
    }

    fn put(&self, grant: Known) -> BTreeSet<GrantKey> {
        self.put_grant(grant)
    }

    fn remove(&self, grant: &DeserializeGuard<SecretGrant>) -> BTreeSet<GrantKey> {
        self.remove_grant(&GrantKey::new(&grant.namespace().unwrap_or_default(), &grant.name_any()))
    }

    fn replace(&self, all: Vec<Known>) {
        self.replace_grants(all);
    }
}

impl Keep<PartialObjectMeta<Secret>> for Store {
    /// Namespace and name.
    type Kept = (String, String);

    fn kept(secret: PartialObjectMeta<Secret>) -> Option<(String, String)> {
        Some((secret.metadata.namespace?, secret.metadata.name?))
    }

    fn put(&self, (namespace, name): (String, String)) -> BTreeSet<GrantKey> {
        self.set_secret(&namespace, &name, true)
    }

    fn remove(&self, secret: &PartialObjectMeta<Secret>) -> BTreeSet<GrantKey> {
        self.set_secret(&secret.namespace().unwrap_or_default(), &secret.name_any(), false)
    }

    fn replace(&self, all: Vec<(String, String)>) {
        self.replace_secrets(all);
    }
}

struct OfKind<'a> {
    store: &'a Store,
    kind: Kind,
}

impl<K: Object + Content> Keep<K> for OfKind<'_> {
    type Kept = (GrantKey, Owned);

    fn kept(object: K) -> Option<(GrantKey, Owned)> {
        Some((key_of(&object)?, Owned::of(&object)))
    }

    fn put(&self, (key, owned): (GrantKey, Owned)) -> BTreeSet<GrantKey> {
        self.store.put_owned(self.kind, &key, owned)
    }

    fn remove(&self, object: &K) -> BTreeSet<GrantKey> {
        let Some(key) = key_of(object) else { return BTreeSet::new() };
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
