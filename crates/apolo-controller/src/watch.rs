//! What the API server tells, into the store: one watch a kind, each begun again, with a pause that is bounded, when it breaks.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use apolo_api::grant::SecretGrant;
use apolo_core::names::GRANT_UID;
use futures_util::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::apply::Object;
use crate::key::GrantKey;
use crate::metrics::ControllerMetrics;
use crate::owned::{Content, Owned};
use crate::queue::Queue;
use crate::store::{Kind, Store};

/// Types of Secrets that do not exist for us.
const NOT_OURS: [&str; 3] =
    ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1"];

/// How long is waited before a watch that broke is begun again: the first time, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

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
    fn put(&self, object: K) -> BTreeSet<GrantKey>;
    fn remove(&self, object: &K) -> BTreeSet<GrantKey>;
    fn replace(&self, all: Vec<K>);
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
            self.follow::<DeserializeGuard<SecretGrant>>(in_namespaces, store.as_ref()),
            self.follow::<Role>(ours.clone(), &roles),
            self.follow::<RoleBinding>(ours, &bindings),
            self.follow::<PartialObjectMeta<Secret>>(secrets, store.as_ref()),
        );
    }

    async fn follow<K>(&self, config: Config, keep: &impl Keep<K>)
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        // Who manages which field is most of an object, and nothing to us.
        let stream = watcher(Api::<K>::all(self.client.clone()), config)
            .backoff(Pauses::default())
            .modify(|object| object.meta_mut().managed_fields = None);
        pin_mut!(stream);
        let mut all = Vec::new();
        while let Some(event) = stream.next().await {
            let woken = match event {
                Ok(Event::Apply(object)) => keep.put(object),
                Ok(Event::Delete(object)) => keep.remove(&object),
                Ok(Event::Init) => {
                    all = Vec::new();
                    continue;
                }
                Ok(Event::InitApply(object)) => {
                    all.push(object);
                    continue;
                }
                Ok(Event::InitDone) => {
                    let before = self.store.all();
                    keep.replace(std::mem::take(&mut all));
                    before.into_iter().chain(self.store.all()).collect()
                }
                Err(error) => {
                    self.metrics.error("watch");
                    tracing::warn!(why = %error, kind = %K::kind(&()), "a watch broke; it is begun again");
                    continue;
                }
            };
            woken.into_iter().for_each(|key| self.queue.wake(key));
        }
    }
}

/// Pauses that double until they are long enough, and begin anew for a watch that has lasted: kube's own grow to half a minute.
#[derive(Default)]
struct Pauses {
    next: Duration,
    /// When the last one ended, or will.
    ended: Option<Instant>,
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let lasted = self.ended.is_none_or(|ended| ended.elapsed() > LONGEST_PAUSE);
        let pause = if lasted { FIRST_PAUSE } else { self.next };
        self.next = pause.saturating_mul(2).min(LONGEST_PAUSE);
        self.ended = Some(Instant::now() + pause);
        Some(pause)
    }
}

impl Backoff for Pauses {
    // Asked for whenever a watch says anything, also that it begins, which it says each time before it fails to list what there is.
    fn reset(&mut self) {}
}

impl Keep<DeserializeGuard<SecretGrant>> for Store {
    fn put(&self, DeserializeGuard(grant): DeserializeGuard<SecretGrant>) -> BTreeSet<GrantKey> {
        self.put_grant(grant)
    }

    fn remove(&self, grant: &DeserializeGuard<SecretGrant>) -> BTreeSet<GrantKey> {
        self.remove_grant(&GrantKey::new(&grant.namespace().unwrap_or_default(), &grant.name_any()))
    }

    fn replace(&self, all: Vec<DeserializeGuard<SecretGrant>>) {
        self.replace_grants(all);
    }
}

impl Keep<PartialObjectMeta<Secret>> for Store {
    fn put(&self, secret: PartialObjectMeta<Secret>) -> BTreeSet<GrantKey> {
        self.set_secret(&secret.namespace().unwrap_or_default(), &secret.name_any(), true)
    }

    fn remove(&self, secret: &PartialObjectMeta<Secret>) -> BTreeSet<GrantKey> {
        self.set_secret(&secret.namespace().unwrap_or_default(), &secret.name_any(), false)
    }

    fn replace(&self, all: Vec<PartialObjectMeta<Secret>>) {
        let names = |secret: PartialObjectMeta<Secret>| (secret.namespace().unwrap_or_default(), secret.name_any());
        self.replace_secrets(all.into_iter().map(names).collect());
    }
}

struct OfKind<'a> {
    store: &'a Store,
    kind: Kind,
}

impl<K: Object + Content> Keep<K> for OfKind<'_> {
    fn put(&self, object: K) -> BTreeSet<GrantKey> {
        let Some(key) = key_of(&object) else { return BTreeSet::new() };
        self.store.put_owned(self.kind, &key, Owned::of(&object))
    }

    fn remove(&self, object: &K) -> BTreeSet<GrantKey> {
        let Some(key) = key_of(object) else { return BTreeSet::new() };
        self.store.remove_owned(self.kind, &key, &object.uid().unwrap_or_default())
    }

    fn replace(&self, all: Vec<K>) {
        let kept = all.iter().filter_map(|object| Some((key_of(object)?, Owned::of(object))));
        self.store.replace_owned(self.kind, kept.collect());
    }
}

/// The grant that a Role or RoleBinding is about.
pub(crate) fn key_of(object: &impl ResourceExt) -> Option<GrantKey> {
    GrantKey::of_role(&object.namespace()?, &object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use kube::runtime::utils::StreamBackoff;

    /// Such a watch says each time that it begins, and then that it failed.
    #[tokio::test(start_paused = true)]
    async fn a_watch_that_does_not_come_to_list_what_there_is_tries_less_and_less_often() {
        let failing = stream::iter((0..).map(|step| if step % 2 == 0 { Ok("begins") } else { Err("fails") }));
        let mut watch = Box::pin(StreamBackoff::new(failing, Pauses::default()));
        let began = Instant::now();
        let mut failures = 0;
        while began.elapsed() < Duration::from_secs(60) {
            failures += usize::from(watch.next().await.is_some_and(|step| step.is_err()));
        }
        assert!((16..=25).contains(&failures), "{failures} times in a minute");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_lasted_is_begun_again_at_once() {
        let mut pauses = Pauses::default();
        let first = pauses.next();
        assert!(pauses.next() > first);
        tokio::time::advance(LONGEST_PAUSE * 2).await;
        assert_eq!(pauses.next(), first);
    }
}
