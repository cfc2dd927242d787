//! The catalog of each namespace that has something to list: what is known in, one object out, written only when it changes.
//!
//! Access comes before catalogs: they are looked at beside the grants, few at a time, and one after another where grants wait.

mod listed;
mod pace;
mod room;

use std::sync::Arc;

use apolo_api::catalog::{NAME, SecretCatalog, SecretCatalogStatus};
use apolo_runtime::telemetry::log::chain;
use apolo_runtime::watched::Watched;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use crate::apply::{ApplyError, Writer};
use crate::desired::Terms;
use crate::lane::{Failures, hand_out};
use crate::leader::Held;
use crate::metrics::ControllerMetrics;
use crate::queue::{Job, Queues};
use crate::store::{KnownCatalog, Store, digest};
use pace::INTERVAL;

pub use listed::listed;
pub use pace::Pace;

/// How many catalogs are worked on at once, and how many where access waits.
const WIDTHS: (usize, usize) = (4, 1);

/// What keeps the catalogs.
pub struct Catalogs {
    /// What is known.
    pub store: Arc<Store>,
    /// What holds for all.
    pub terms: Terms,
    /// What writes.
    pub writer: Writer,
    /// What is due.
    pub queues: Arc<Queues>,
    /// Whether anything may be done.
    pub held: Held,
    /// What is counted.
    pub metrics: ControllerMetrics,
    /// Namespaces that do not exist for us.
    pub excluded: Vec<String>,
    /// Where we act.
    pub watched: Watched,
    /// When each may be written again.
    pub pace: Pace,
    /// How often each has failed in a row.
    pub failures: Failures<String>,
}

/// What came of looking at a catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It was right.
    Settled,
    /// It is right now.
    Written,
    /// It was not there any more, or another was: what is known of it is behind.
    Behind,
    /// It is large, and others that are have their turn.
    Waits(Instant),
}

impl Catalogs {
    /// Looks at those that are due for as long as it is polled; what was begun goes on in `running`.
    pub async fn hand_out(self: &Arc<Self>, running: &mut JoinSet<()>) {
        let work = |job: Job<String>| Arc::clone(self).work(job);
        hand_out(&self.queues.catalogs, || self.width(), running, work).await;
    }

    fn width(&self) -> usize {
        let access_waits = self.queues.grants.is_behind() || self.queues.destinations.is_behind();
        if access_waits { WIDTHS.1 } else { WIDTHS.0 }
    }

    async fn work(self: Arc<Self>, job: Job<String>) {
        // Who is elected later looks at all of them.
        if self.held.check().is_ok() && self.store.missing().is_empty() && !self.excluded.contains(&job.key) {
            match self.pace.free_at(&job.key) {
                Some(later) => self.queues.catalogs.wake_at(job.key.clone(), later),
                None => self.look(&job.key).await,
            }
        }
        self.queues.catalogs.done(&job.key);
    }

    async fn look(&self, namespace: &str) {
        match self.reconcile(namespace, Timestamp::now()).await {
            Ok(outcome) => {
                self.failures.forget(&namespace.to_owned());
                match outcome {
                    Outcome::Settled => self.metrics.catalog("settled"),
                    Outcome::Written => self.metrics.catalog("written"),
                    Outcome::Waits(until) => self.queues.catalogs.wake_at(namespace.to_owned(), until),
                    Outcome::Behind => self.queues.catalogs.wake_at(namespace.to_owned(), Instant::now() + INTERVAL),
                }
            }
            Err(ApplyError::NotHeld(_)) => self.metrics.error("not-held"),
            Err(error) => {
                let (count, pause) = self.failures.count(&namespace.to_owned());
                self.metrics.catalog("failed");
                self.metrics.error(error.kind());
                let why = chain(&error);
                tracing::warn!(namespace, why, count, ?pause, "a catalog could not be made right; it is tried again");
                self.queues.catalogs.wake_at(namespace.to_owned(), Instant::now() + pause);
            }
        }
    }

    /// Makes the catalog of a namespace what it should be at the instant `now`.
    async fn reconcile(&self, namespace: &str, now: Timestamp) -> Result<Outcome, ApplyError> {
        let listing = self.store.listing(namespace, self.terms.max_access, now);
        // Nothing can be made in a namespace that goes, and what is there goes with it.
        if !listing.is_there {
            return Ok(Outcome::Settled);
        }
        let known = listing.catalog.clone();
        let terms = self.terms.clone();
        let is_watched = self.watched.includes(namespace);
        // Of many grants it takes a while, in which grants must not wait.
        let listed = spawn_blocking(move || is_watched.then(|| listed(&listing, &terms, now)).flatten()).await;
        let Ok(wanted) = listed else { return Ok(Outcome::Behind) };
        let wanted = match (wanted, &known) {
            (None, None) => return Ok(Outcome::Settled),
            (None, Some(known)) if !known.is_leaving => {
                let deleted = self.delete(namespace, known).await;
                self.pace.note(namespace, 0);
                return deleted;
            }
            // Somebody's finalizer keeps it.
            (None, Some(_)) => SecretCatalogStatus { cluster: self.terms.cluster_name.clone(), ..Default::default() },
            (Some(wanted), _) => wanted,
        };
        let (wanted_digest, size) = digest(&wanted);
        if known.as_ref().is_some_and(|known| known.digest == wanted_digest) {
            return Ok(Outcome::Settled);
        }
        if let Some(later) = self.pace.turn(namespace, size) {
            return Ok(Outcome::Waits(later));
        }
        let written = self.write(namespace, known, &wanted, &wanted_digest).await;
        self.pace.note(namespace, size);
        written
    }

    async fn write(
        &self,
        namespace: &str,
        known: Option<KnownCatalog>,
        wanted: &SecretCatalogStatus,
        wanted_digest: &str,
    ) -> Result<Outcome, ApplyError> {
        let known = match known {
            Some(known) => known,
            None => match self.create(namespace).await? {
                Some(created) => created,
                None => return Ok(Outcome::Behind),
            },
        };
        let Some(catalog) = self.writer.status::<SecretCatalog>(namespace, NAME, &known.uid, wanted).await? else {
            self.store.remove_catalog(namespace, &known.uid);
            return Ok(Outcome::Behind);
        };
        let now_known = KnownCatalog::of(&catalog);
        let is_right = now_known.digest == wanted_digest;
        self.store.put_answered_catalog(namespace, now_known.clone());
        if is_right {
            return Ok(Outcome::Written);
        }
        // What others apply to it as well is not taken from them by an apply: it is made anew, after a pause.
        self.delete(namespace, &now_known).await?;
        Err(ApplyError::Contested { object: format!("SecretCatalog {namespace}/{NAME}") })
    }

    /// None if there is one already, of which the watch has not told yet, or if there can be none any more.
    async fn create(&self, namespace: &str) -> Result<Option<KnownCatalog>, ApplyError> {
        let metadata =
            ObjectMeta { name: Some(NAME.into()), namespace: Some(namespace.into()), ..ObjectMeta::default() };
        let catalog = SecretCatalog { metadata, ..SecretCatalog::default() };
        match self.writer.create(&catalog).await {
            Ok(created) => {
                let created = KnownCatalog::of(&created);
                self.store.put_answered_catalog(namespace, created.clone());
                Ok(Some(created))
            }
            Err(error) if error.is_of_leaving_namespace() || matches!(error.code(), Some(404 | 409)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, namespace: &str, known: &KnownCatalog) -> Result<Outcome, ApplyError> {
        match self.writer.remove::<SecretCatalog>(namespace, NAME, &known.uid).await? {
            Some(kept) if kept.metadata.deletion_timestamp.is_some() => {
                self.queues.wake(self.store.put_answered_catalog(namespace, KnownCatalog::of(&kept)));
            }
            _ => drop(self.store.remove_catalog(namespace, &known.uid)),
        }
        Ok(Outcome::Written)
    }
}
