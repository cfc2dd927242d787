//! When somebody may, and when he may not any more.
//!
//! A watch hears of the RoleBindings and Roles of a namespace; only when it has heard of the one in question is the API server
//! asked, by a SubjectAccessReview, until its answer is the one that is waited for. So nothing is asked while the controller works.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::{StreamExt, pin_mut};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::PostParams;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::objects::role_name;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// A person, a verb and a secret.
pub(super) type Asked<'a> = (&'a str, &'a str, &'a str);

/// What the watch has heard of.
#[derive(Clone, Debug)]
pub(super) struct News {
    /// `Role` or `RoleBinding`.
    pub(super) kind: &'static str,
    /// Its name; none when the watch has begun.
    pub(super) name: String,
    /// When.
    pub(super) at: Instant,
}

/// Watches a namespace for as long as it lives.
pub(super) struct Access {
    client: Client,
    namespace: String,
    news: UnboundedReceiver<News>,
    _watches: JoinSet<()>,
}

impl Access {
    /// Watches from now on.
    pub(super) async fn watch(client: &Client, namespace: &str) -> anyhow::Result<Self> {
        let (sender, mut news) = unbounded_channel();
        let mut watches = JoinSet::new();
        let bindings = Api::<PartialObjectMeta<RoleBinding>>::namespaced(client.clone(), namespace);
        let roles = Api::<PartialObjectMeta<Role>>::namespaced(client.clone(), namespace);
        watches.spawn(follow(bindings, "RoleBinding", sender.clone()));
        watches.spawn(follow(roles, "Role", sender));
        for _begun in 0..2 {
            timeout(DEADLINE, news.recv()).await.context("the watches do not begin")?;
        }
        Ok(Self { client: client.clone(), namespace: namespace.into(), news, _watches: watches })
    }

    /// Forgets what it has heard of.
    pub(super) fn forget(&mut self) {
        while self.news.try_recv().is_ok() {}
    }

    /// What it hears of next.
    pub(super) async fn next(&mut self) -> anyhow::Result<News> {
        timeout(DEADLINE, self.news.recv()).await.context("the watch hears of nothing")?.context("the watch has ended")
    }

    /// Waits until it has heard of this object of a grant, and until `person` may, or may not, use `verb` on the secret.
    pub(super) async fn until(
        &mut self,
        kind: &str,
        grant: &str,
        asked: Asked<'_>,
        allowed: bool,
    ) -> anyhow::Result<Instant> {
        let name = role_name(grant);
        while self.next_of(kind).await? != name {}
        self.answers(asked, allowed).await
    }

    /// The name of the next object of this kind that it hears of.
    pub(super) async fn next_of(&mut self, kind: &str) -> anyhow::Result<String> {
        loop {
            let news = self.next().await?;
            if news.kind == kind {
                return Ok(news.name);
            }
        }
    }

    /// Asks until `person` may, or may not, use `verb` on the secret.
    pub(super) async fn answers(&self, (person, verb, secret): Asked<'_>, allowed: bool) -> anyhow::Result<Instant> {
        let began = Instant::now();
        while self.ask(person, verb, secret).await? != allowed {
            ensure!(began.elapsed() < DEADLINE, "{person}: {verb} {secret} does not become {allowed}");
        }
        Ok(Instant::now())
    }

    async fn ask(&self, person: &str, verb: &str, secret: &str) -> anyhow::Result<bool> {
        let attributes = ResourceAttributes {
            namespace: Some(self.namespace.clone()),
            resource: Some("secrets".into()),
            name: Some(secret.into()),
            verb: Some(verb.into()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(person.into()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = reviews.create(&PostParams::default(), &review).await.context("asking for access")?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

async fn follow<K>(api: Api<K>, kind: &'static str, news: UnboundedSender<News>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let events = watcher(api, Config::default());
    pin_mut!(events);
    while let Some(event) = events.next().await {
        let name = match event {
            Ok(Event::Apply(object) | Event::Delete(object)) => object.name_any(),
            Ok(Event::InitDone) => String::new(),
            _ => continue,
        };
        let _nobody_listens = news.send(News { kind, name, at: Instant::now() });
    }
}
