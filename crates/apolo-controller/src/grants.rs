//! One grant: what is known of it, what should be, and the writes that make it so.
//!
//! The status comes last, and where others wait for access, after theirs; but not that of a grant that gives nothing, for by it
//! is remembered that it has expired or was withdrawn.

mod writes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apolo_api::grant::{READY, SecretGrant, SecretGrantStatus};
use apolo_api::lineage;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::apply::{ApplyError, Writer};
use crate::desired::{Desired, Observed, Terms, desired, name_conflict, role_name};
use crate::events::{Events, News};
use crate::key::GrantKey;
use crate::owned;
use crate::store::{Ancestors, Known, Seen, Store, Woken};
use writes::Failure;

/// When a name that belongs to somebody else is tried again: nobody tells us when it is free.
const CONFLICT_AGAIN: Duration = Duration::from_secs(30);

/// What makes grants come true.
pub struct Grants {
    /// What is known.
    pub store: Arc<Store>,
    /// What holds for all.
    pub terms: Terms,
    /// What writes.
    pub writer: Writer,
    /// Where it is told.
    pub events: Events,
    /// The grants that cannot be read and of which that was told, by the version that it was told of.
    pub unreadable: Mutex<BTreeMap<GrantKey, u64>>,
}

/// What came of looking at a grant.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Whether something had to be written.
    pub changed: bool,
    /// When it is to be looked at again, whatever happens.
    pub wake: Option<Timestamp>,
    /// What is to be looked at because of this.
    pub woken: Woken,
    /// Whether its status is still to be written.
    pub words: bool,
}

impl Grants {
    /// Makes of a grant what it should be at the instant `now`; with `access_only` without the status of one that is in force.
    ///
    /// # Errors
    /// When something could not be written; it is to be tried again.
    pub async fn reconcile(
        &self,
        key: &GrantKey,
        now: Timestamp,
        access_only: impl Fn() -> bool,
    ) -> Result<Outcome, ApplyError> {
        let seen = self.store.see(key);
        let mut outcome = Outcome::default();
        let grant = match &seen.grant {
            Some(Known::Grant(grant)) => Arc::clone(grant),
            // In doubt the answer is no.
            other => {
                outcome.changed = self.withdraw(key, &seen).await?;
                self.tell_unreadable(key, other.as_ref());
                return Ok(outcome);
            }
        };
        let mut desired = self.desired(&seen, &grant, now);
        match &desired.rbac {
            None => outcome.changed = self.withdraw(key, &seen).await?,
            Some(rbac) => match self.give(key, &seen, rbac).await {
                Ok(changed) => outcome.changed = changed,
                Err(Failure::Apply(error)) => return Err(error),
                Err(Failure::Foreign(kind)) => {
                    outcome.changed = self.withdraw(key, &self.store.see(key)).await?;
                    let details = format!("{kind} \"{}\"", role_name(&key.name));
                    desired.status = Some(name_conflict(&grant, details, &self.terms, now));
                    desired.rbac = None;
                    desired.wake = now.checked_add(CONFLICT_AGAIN).ok();
                }
            },
        }
        outcome.wake = desired.wake;
        if let Some(status) = desired.status.as_ref().filter(|status| grant.status.as_ref() != Some(status)) {
            if outcome.changed && desired.rbac.is_some() && access_only() {
                outcome.words = true;
                return Ok(outcome);
            }
            outcome.changed |= self.tell(key, &grant, status, &mut outcome.woken).await?;
        }
        Ok(outcome)
    }

    fn desired(&self, seen: &Seen, grant: &SecretGrant, now: Timestamp) -> Desired {
        let Ancestors { readable, unreadable } = &seen.ancestors;
        let ancestors: BTreeMap<&str, &SecretGrant> =
            readable.iter().filter_map(|grant| Some((grant.metadata.uid.as_deref()?, grant.as_ref()))).collect();
        let descent = lineage::descent(grant, &ancestors, unreadable, self.terms.max_access, now);
        let observed = Observed { grant, secrets: seen.secrets.clone(), derived: seen.derived.clone(), descent };
        desired(&observed, &self.terms, now)
    }

    /// Names a grant that cannot be read, once for each of its versions.
    fn tell_unreadable(&self, key: &GrantKey, known: Option<&Known>) {
        let mut told = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Known::Unreadable { metadata, error }) = known else {
            told.remove(key);
            return;
        };
        let version = owned::version(metadata);
        if told.insert(key.clone(), version) != Some(version) {
            tracing::warn!(grant = %key, why = error, "a grant cannot be read, and gives nothing");
            let about = key.reference(metadata.uid.clone());
            self.events.tell(News::failure(about, "Unreadable", format!("the grant gives nothing: {error}")));
        }
    }

    /// Writes the status of a grant, and tells of a reason that is new.
    async fn tell(
        &self,
        key: &GrantKey,
        grant: &SecretGrant,
        status: &SecretGrantStatus,
        woken: &mut Woken,
    ) -> Result<bool, ApplyError> {
        let uid = grant.uid().unwrap_or_default();
        if let Some(stored) = self.writer.status::<SecretGrant>(&key.namespace, &key.name, &uid, status).await? {
            woken.extend(self.store.put_answer(grant, stored));
        }
        let reason = |status: &SecretGrantStatus| {
            status.conditions.iter().find(|it| it.type_ == READY).map(|it| (it.reason.clone(), it.message.clone()))
        };
        let before = grant.status.as_ref().and_then(reason);
        if let Some((reason, message)) = reason(status)
            && before.is_none_or(|before| before != (reason.clone(), message.clone()))
        {
            tracing::info!(grant = %key, reason, message, "a grant stands differently");
            self.events.tell(News::of(grant, reason, message));
        }
        Ok(true)
    }
}
