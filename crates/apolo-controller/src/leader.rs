//! Which of the replicas writes: the one that holds a Lease.
//!
//! A holder renews every [`PERIOD`]. Another takes over when it has seen no renewal for [`DURATION`], by its own clock. A holder
//! stops to write [`MARGIN`] before that could be, counted from before it sent its last renewal that was answered: by a clock
//! that goes on while the process is stopped.
//!
//! Somebody may delete the lease. Who held it hears of that when he renews it, and stops to write until he has made it anew; others
//! wait as long as it would have lasted. Only one who has never seen it makes it at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How long a lease lasts.
pub const DURATION: Duration = Duration::from_secs(13);
/// How often it is renewed, or looked at.
pub const PERIOD: Duration = Duration::from_millis(2500);
/// How long before its end nothing is written any more; no write may take longer.
pub const MARGIN: Duration = Duration::from_secs(5);

/// Whether the lease is held. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Held(Arc<Mutex<Option<Instant>>>);

/// The lease is not surely held, so nothing may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease is not held any more")]
pub struct NotHeld;

impl Held {
    /// To be asked before each write.
    ///
    /// # Errors
    /// When nothing may be written.
    pub fn check(&self) -> Result<(), NotHeld> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_some_and(|until| Instant::now() < until) { Ok(()) } else { Err(NotHeld) }
    }

    fn set(&self, until: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// One who stands for election.
#[derive(Debug)]
pub struct Candidate {
    leases: Api<Lease>,
    name: String,
    identity: String,
    held: Held,
    terms: watch::Sender<u64>,
    /// The lease as it was last seen, and since when it has been so.
    seen: Option<(Lease, Instant)>,
    /// Until when another may count on a lease that was seen, even if it is there no more.
    taken_until: Option<Instant>,
}

impl Candidate {
    /// A candidate for the lease of this name. No two may have one identity.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: String) -> Self {
        let leases = Api::namespaced(client, namespace);
        let terms = watch::Sender::new(0);
        Self { leases, name: name.into(), identity, held: Held::default(), terms, seen: None, taken_until: None }
    }

    /// Whether it has won.
    #[must_use]
    pub fn held(&self) -> Held {
        self.held.clone()
    }

    /// Counts how often it has won.
    #[must_use]
    pub fn terms(&self) -> watch::Receiver<u64> {
        self.terms.subscribe()
    }

    /// Stands for as long as it is polled.
    pub async fn stand(&mut self) {
        loop {
            let asked = Instant::now();
            match timeout(MARGIN, self.attempt(asked)).await {
                Ok(Ok(true)) => self.won(asked),
                Ok(Ok(false)) => self.lost(),
                Ok(Err(error)) => {
                    if code(&error) == Some(404) {
                        self.lost();
                    }
                    self.seen = self.seen.take().filter(|_| code(&error) != Some(409));
                    tracing::warn!(why = %error, lease = self.name, "the lease could not be renewed or looked at");
                }
                Err(_) => tracing::warn!(lease = self.name, "the lease could not be renewed or looked at in time"),
            }
            sleep(PERIOD.saturating_sub(asked.elapsed())).await;
        }
    }

    /// Gives the lease back, so that another need not wait until it ends.
    pub async fn release(mut self) {
        if self.held.check().is_err() {
            return;
        }
        self.held.set(None);
        let Some((lease, _)) = self.seen.take() else { return };
        let mut released = self.claim(Some(lease));
        if let Some(spec) = &mut released.spec {
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
        }
        match timeout(PERIOD, self.leases.replace(&self.name, &PostParams::default(), &released)).await {
            Ok(Ok(_)) => tracing::info!(lease = self.name, "the lease is given back"),
            Ok(Err(error)) => tracing::warn!(why = %error, lease = self.name, "the lease could not be given back"),
            Err(_) => tracing::warn!(lease = self.name, "the lease could not be given back in time"),
        }
    }

    /// Takes or renews the lease, if it may. `now` is before anything is asked.
    async fn attempt(&mut self, now: Instant) -> Result<bool, kube::Error> {
        // Its own lease is renewed without a look: if another has taken it, that is a conflict.
        let known = match self.seen.take() {
            Some((lease, since)) if self.is_mine(&lease) => Some((lease, since)),
            before => match self.leases.get_opt(&self.name).await? {
                None if self.taken_until.is_some_and(|until| now < until) => return Ok(false),
                None => None,
                Some(lease) => {
                    let same =
                        before.filter(|(seen, _)| seen.metadata.resource_version == lease.metadata.resource_version);
                    let since = same.map_or(now, |(_, since)| since);
                    Some((lease, since))
                }
            },
        };
        if let Some((lease, since)) = &known
            && !self.is_mine(lease)
            && !is_free(lease, now.saturating_duration_since(*since))
        {
            self.taken_until = Some(*since + lasts(lease));
            self.seen = known;
            return Ok(false);
        }
        let claim = self.claim(known.map(|(lease, _)| lease));
        let params = PostParams::default();
        let stored = if claim.metadata.resource_version.is_some() {
            self.leases.replace(&self.name, &params, &claim).await?
        } else {
            self.leases.create(&params, &claim).await?
        };
        self.seen = Some((stored, now));
        self.taken_until = None;
        Ok(true)
    }

    fn won(&self, asked: Instant) {
        let again = self.held.check().is_ok();
        self.held.set(Some(asked + DURATION.saturating_sub(MARGIN)));
        if !again {
            tracing::info!(lease = self.name, identity = self.identity, "the lease is held: this replica writes");
            self.terms.send_modify(|terms| *terms += 1);
        }
    }

    fn lost(&self) {
        if self.held.check().is_ok() {
            tracing::warn!(lease = self.name, "the lease is lost: this replica does not write any more");
        }
        self.held.set(None);
    }

    fn is_mine(&self, lease: &Lease) -> bool {
        holder(lease) == Some(&self.identity)
    }

    fn claim(&self, lease: Option<Lease>) -> Lease {
        let now = MicroTime(Timestamp::now());
        let before = lease.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let mine = lease.as_ref().is_some_and(|lease| self.is_mine(lease));
        let transitions = before.lease_transitions.unwrap_or(0);
        let metadata = lease.map_or_else(
            || ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            |lease| ObjectMeta { managed_fields: None, ..lease.metadata },
        );
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            renew_time: Some(now.clone()),
            acquire_time: if mine { before.acquire_time } else { Some(now) },
            lease_transitions: Some(if mine { transitions } else { transitions.saturating_add(1) }),
            ..LeaseSpec::default()
        };
        Lease { metadata, spec: Some(spec) }
    }
}

/// Who holds it.
pub(crate) fn holder(lease: &Lease) -> Option<&String> {
    lease.spec.as_ref()?.holder_identity.as_ref().filter(|holder| !holder.is_empty())
}

/// Whether a lease that has been seen unchanged for so long may be taken.
pub(crate) fn is_free(lease: &Lease, unchanged: Duration) -> bool {
    holder(lease).is_none() || unchanged >= lasts(lease)
}

fn lasts(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or(0);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).max(DURATION)
}

fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn nothing_may_be_written_from_before_the_end_of_the_lease_on() {
        let held = Held::default();
        assert_eq!(held.check(), Err(NotHeld));
        held.set(Some(Instant::now() + DURATION - MARGIN));
        assert_eq!(held.check(), Ok(()));
        sleep(DURATION - MARGIN).await;
        assert_eq!(held.check(), Err(NotHeld));
    }

    #[test]
    fn a_lease_is_free_without_a_holder_or_when_it_was_not_renewed_for_as_long_as_it_lasts() {
        let lease = |holder: &str, seconds: i32| -> Lease {
            serde_json::from_value(json!({"spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds}}))
                .unwrap()
        };
        let second = Duration::from_secs(1);
        assert!(is_free(&lease("", 13), Duration::ZERO));
        assert!(!is_free(&lease("a", 13), DURATION - second));
        assert!(is_free(&lease("a", 13), DURATION));
        assert!(!is_free(&lease("a", 15), DURATION));
        assert!(!is_free(&lease("a", 0), DURATION - second));
    }
}
