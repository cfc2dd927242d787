//! The webhook's certificates: a certificate authority, a serving pair that it signs, and the caBundle of both webhook configurations.
//!
//! What there is is read anew each time, and one thing is done: [`decision`] says which. So a crash anywhere leaves what the next look
//! goes on from. What is watched only tells that it is time to look.

pub mod bundle;
pub mod certificate;
pub mod decision;
pub mod issue;
pub mod pair;
pub mod terms;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use apolo_runtime::telemetry::log::chain;
use apolo_runtime::watch::{News, follow};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Config;
use kube::{Api, Client, Resource};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::apply::{ApplyError, Writer};
use crate::events::{Events, News as Told};
use crate::lane::Failures;
use crate::leader::Held;
use crate::metrics::ControllerMetrics;
use bundle::{Bundle, MANAGER, Which};
use certificate::Certificate;
use decision::{FIRST, FOLLOWS, Found, RENEWED, Seen, Step};
use issue::IssueError;
use pair::PairSecret;
use terms::Terms;

pub use terms::{CertificatesArgs, Mode};

/// By this label an uninstall knows our Secrets.
pub const MADE_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "apolo-secrets-controller");
/// How often it is looked whether the lease is held now.
const IDLE: Duration = Duration::from_millis(500);
/// How long at least between two writes of caBundle in one configuration: somebody else may write it as well.
const PACE: Duration = Duration::from_secs(1);

/// How long nothing is to be done, if nothing is told.
pub type Pause = Duration;

/// Makes and keeps them.
pub struct Certificates {
    terms: Terms,
    namespace: String,
    authority: String,
    serving: String,
    configuration: String,
    writer: Writer,
    held: Held,
    events: Events,
    metrics: ControllerMetrics,
    woken: Notify,
    /// The authority that is in all caBundles, and since when.
    heard: Mutex<Option<(Certificate, Instant)>>,
    /// When caBundle was written last in each configuration.
    trusted: Mutex<BTreeMap<Which, Instant>>,
    failures: Failures<()>,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
enum CertificatesError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// The two Secrets, as they are.
struct Secrets {
    authority: Option<PairSecret>,
    serving: Option<PairSecret>,
}

impl Certificates {
    /// Those that the arguments ask for, of a webhook in this namespace.
    #[must_use]
    pub fn new(args: &CertificatesArgs, namespace: &str, parts: (Writer, Held, Events, ControllerMetrics)) -> Self {
        let (writer, held, events, metrics) = parts;
        Self {
            terms: Terms::new(args, namespace),
            namespace: namespace.to_owned(),
            authority: args.ca_secret.clone(),
            serving: args.serving_secret.clone(),
            configuration: args.webhook_name.clone(),
            writer,
            held,
            events,
            metrics,
            woken: Notify::new(),
            heard: Mutex::default(),
            trusted: Mutex::default(),
            failures: Failures::default(),
        }
    }

    /// Watches for as long as it is polled. Of what is told nothing is kept.
    pub async fn watch(&self, client: Client) {
        let secret = |name: &str| {
            let api: Api<PartialObjectMeta<Secret>> = Api::namespaced(client.clone(), &self.namespace);
            self.follow(api, name.to_owned())
        };
        tokio::join!(
            secret(&self.authority),
            secret(&self.serving),
            self.follow(
                Api::<PartialObjectMeta<MutatingWebhookConfiguration>>::all(client.clone()),
                self.configuration.clone()
            ),
            self.follow(
                Api::<PartialObjectMeta<ValidatingWebhookConfiguration>>::all(client.clone()),
                self.configuration.clone()
            ),
        );
    }

    async fn follow<K>(&self, api: Api<PartialObjectMeta<K>>, name: String)
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + 'static,
    {
        let config = Config::default().fields(&format!("metadata.name={name}"));
        follow(
            api,
            config,
            |_| Some(()),
            |news| {
                if let News::Broke(_) = news {
                    self.metrics.error("watch");
                    tracing::warn!(kind = %K::kind(&()), "a watch broke; it is begun again");
                }
                self.woken.notify_one();
            },
        )
        .await;
    }

    /// Does what is due, for as long as it is polled and the lease is held; what was begun goes on in `running`.
    pub async fn keep(self: &Arc<Self>, running: &mut JoinSet<Pause>) {
        loop {
            if self.held.check().is_err() {
                sleep(IDLE).await;
                continue;
            }
            let this = Arc::clone(self);
            running.spawn(async move { this.look().await });
            let pause = running.join_next().await.and_then(Result::ok).unwrap_or(IDLE);
            let _woken = timeout(pause, self.woken.notified()).await;
        }
    }

    /// One look, and how long to wait for the next.
    async fn look(&self) -> Pause {
        let now = SystemTime::now();
        match self.step(now).await {
            Ok(pause) => {
                self.failures.forget(&());
                pause
            }
            Err(CertificatesError::Apply(ApplyError::NotHeld(_))) => IDLE,
            // Somebody else was faster: it is looked at again.
            Err(CertificatesError::Apply(error)) if error.code() == Some(409) => IDLE,
            Err(error) => {
                let (count, pause) = self.failures.count(&());
                self.metrics.error("certificates");
                let why = chain(&error);
                tracing::warn!(why, count, ?pause, "the webhook's certificates could not be kept; it is tried again");
                pause
            }
        }
    }

    async fn step(&self, now: SystemTime) -> Result<Pause, CertificatesError> {
        let (authority, serving, bundles) = tokio::join!(
            self.writer.read::<PairSecret>(&self.namespace, &self.authority),
            self.writer.read::<PairSecret>(&self.namespace, &self.serving),
            self.bundles(),
        );
        let authority = authority.map_err(ApplyError::without_words)?;
        let secrets = Secrets { authority, serving: serving.map_err(ApplyError::without_words)? };
        let mut seen = Seen {
            authority: secrets.authority.as_ref().map_or(Found::Missing, PairSecret::read_authority),
            serving: secrets.serving.as_ref().map_or(Found::Missing, PairSecret::read_serving),
            bundles: bundles?,
            heard: None,
        };
        seen.heard = self.heard(&seen);
        match decision::next(&seen, &self.terms, now) {
            Step::Wait(until) => return Ok(until.duration_since(now).unwrap_or_default()),
            Step::Trust { which, bundle } => return self.trust(&seen, which, &bundle).await,
            Step::Disown(which) => self.disown(&seen, which).await?,
            Step::Authority { previous, why } => {
                self.make_authority(secrets.authority, previous.as_ref(), why, now).await?;
            }
            Step::Serving { why } => self.make_serving(secrets, why, now).await?,
        }
        Ok(Duration::ZERO)
    }

    async fn bundles(&self) -> Result<Vec<Bundle>, ApplyError> {
        let (mutating, validating) = tokio::join!(
            self.writer.read_of_cluster::<MutatingWebhookConfiguration>(&self.configuration),
            self.writer.read_of_cluster::<ValidatingWebhookConfiguration>(&self.configuration),
        );
        Ok(mutating?.map(Bundle::mutating).into_iter().chain(validating?.map(Bundle::validating)).collect())
    }

    /// For how long the authority has been in all caBundles, as far as this process has seen it.
    fn heard(&self, seen: &Seen) -> Option<Duration> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let Found::There(authority) = &seen.authority else { return None };
        if !seen.bundles.iter().all(|bundle| bundle.trusts(&authority.certificate)) {
            *heard = None;
            return None;
        }
        let known = heard.take().filter(|(certificate, _)| *certificate == authority.certificate);
        let (certificate, since) = known.unwrap_or_else(|| (authority.certificate.clone(), Instant::now()));
        *heard = Some((certificate, since));
        Some(since.elapsed())
    }

    async fn trust(&self, seen: &Seen, which: Which, text: &str) -> Result<Pause, CertificatesError> {
        if let Some(rest) = self.rest(which) {
            return Ok(rest);
        }
        let Some(bundle) = seen.bundles.iter().find(|bundle| bundle.which == which) else { return Ok(Duration::ZERO) };
        let (name, fields) = (self.configuration.as_str(), bundle.fields(text));
        match which {
            Which::Mutating => {
                drop(self.writer.own::<MutatingWebhookConfiguration>(name, &bundle.uid, MANAGER, &fields).await?);
            }
            Which::Validating => {
                drop(self.writer.own::<ValidatingWebhookConfiguration>(name, &bundle.uid, MANAGER, &fields).await?);
            }
        }
        tracing::info!(configuration = %which, name, "caBundle was made right");
        Ok(Duration::ZERO)
    }

    async fn disown(&self, seen: &Seen, which: Which) -> Result<(), ApplyError> {
        let bundle = seen.bundles.iter().find(|bundle| bundle.which == which);
        let Some(patch) = bundle.and_then(Bundle::disowned) else { return Ok(()) };
        let name = self.configuration.as_str();
        match which {
            Which::Mutating => {
                self.writer.merge_of_cluster::<MutatingWebhookConfiguration>(name, MANAGER, patch).await.map(drop)
            }
            Which::Validating => {
                self.writer.merge_of_cluster::<ValidatingWebhookConfiguration>(name, MANAGER, patch).await.map(drop)
            }
        }
    }

    /// How long to wait before caBundle may be written again in this configuration; none if it may, and is.
    fn rest(&self, which: Which) -> Option<Duration> {
        let mut trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = trusted.get(&which).map(|last| PACE.saturating_sub(last.elapsed())).filter(|rest| !rest.is_zero());
        if rest.is_none() {
            trusted.insert(which, Instant::now());
        }
        rest
    }

    async fn make_authority(
        &self,
        there: Option<PairSecret>,
        previous: Option<&Certificate>,
        why: &'static str,
        now: SystemTime,
    ) -> Result<(), CertificatesError> {
        let issued = issue::authority(&self.terms, now)?;
        let stored = self.store(&self.authority, there, |metadata| PairSecret::authority(metadata, issued, previous));
        if let Some(stored) = stored.await? {
            self.tell(&stored, "AuthorityMade", "a certificate authority was made", why);
        }
        Ok(())
    }

    async fn make_serving(
        &self,
        secrets: Secrets,
        why: &'static str,
        now: SystemTime,
    ) -> Result<(), CertificatesError> {
        let Some(authority) = secrets.authority else { return Ok(()) };
        let (Found::There(signer), Some(key)) = (authority.read_authority(), authority.key()) else { return Ok(()) };
        let signer = signer.certificate;
        let issued = issue::serving(&self.terms, &signer.pem(), &key, now)?;
        let stored =
            self.store(&self.serving, secrets.serving, |metadata| PairSecret::serving(metadata, issued, &signer));
        if let Some(stored) = stored.await? {
            self.tell(&stored, "CertificateMade", "a serving certificate was made", why);
        }
        Ok(())
    }

    /// Puts a pair in the place of what was read there; none where that has to go first.
    async fn store(
        &self,
        name: &str,
        there: Option<PairSecret>,
        make: impl FnOnce(ObjectMeta) -> PairSecret,
    ) -> Result<Option<PairSecret>, CertificatesError> {
        let (label, value) = MADE_BY;
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.namespace.clone()),
            labels: Some([(label.to_owned(), value.to_owned())].into()),
            ..ObjectMeta::default()
        };
        let Some(there) = there else {
            let made = self.writer.create(&make(metadata)).await.map_err(ApplyError::without_words)?;
            return Ok(Some(made));
        };
        let uid = there.metadata.uid.clone().unwrap_or_default();
        if !there.can_be_written() {
            let removed = self.writer.remove::<PairSecret>(&self.namespace, name, &uid).await;
            removed.map_err(ApplyError::without_words)?;
            return Ok(None);
        }
        // Of that version only: whoever has changed it meanwhile may have made it right.
        let metadata = ObjectMeta { resource_version: there.metadata.resource_version.clone(), ..metadata };
        let made = self.writer.apply(&make(metadata), &uid).await.map_err(ApplyError::without_words)?;
        Ok(Some(made))
    }

    fn tell(&self, made: &PairSecret, reason: &str, what: &str, why: &'static str) {
        let warns = ![FIRST, RENEWED, FOLLOWS].contains(&why);
        let secret = made.metadata.name.as_deref().unwrap_or_default();
        if warns {
            tracing::warn!(secret, why, "{what}");
        } else {
            tracing::info!(secret, why, "{what}");
        }
        let about = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Secret".into()),
            name: made.metadata.name.clone(),
            namespace: made.metadata.namespace.clone(),
            uid: made.metadata.uid.clone(),
            ..ObjectReference::default()
        };
        self.events.tell(Told::certificate(about, reason, format!("{what}: {why}"), warns));
    }
}
