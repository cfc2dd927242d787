//! One grant: what is known of it, what should be, and the writes that make it so.
//!
//! At no time does anybody have access that neither the grant before nor the grant now gives: a binding goes before its role, a
//! role comes before its binding, and where both change, subjects that are no longer meant lose the old role before it changes.
//! The status comes last, and where others wait for access, after theirs; but not that of a grant that gives nothing, for by it
//! is remembered that it has expired or was withdrawn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apolo_api::grant::{READY, Reason, SecretGrant, SecretGrantStatus};
use apolo_api::lineage;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};

use crate::apply::{ApplyError, Object, Writer};
use crate::desired::{Desired, Observed, Rbac, Terms, desired, name_conflict, role_name};
use crate::events::{Events, News};
use crate::key::GrantKey;
use crate::owned::{self, Content, Owned};
use crate::store::{Ancestors, Kind, Known, Seen, Store};

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
    /// Which others are to be looked at because of this.
    pub others: BTreeSet<GrantKey>,
    /// Whether its status is still to be written.
    pub words: bool,
}

/// Why a grant's Role and RoleBinding are not there.
enum Failure {
    Apply(ApplyError),
    /// This one is not ours.
    Foreign(Kind),
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        Self::Apply(error)
    }
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
            outcome.changed |= self.tell(key, &grant, status, &mut outcome.others).await?;
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

    /// Takes away what is there. Tells whether anything was.
    async fn withdraw(&self, key: &GrantKey, seen: &Seen) -> Result<bool, ApplyError> {
        self.remove::<RoleBinding>(key, Kind::RoleBinding, seen.binding.as_ref()).await?;
        self.remove::<Role>(key, Kind::Role, seen.role.as_ref()).await?;
        Ok(seen.binding.is_some() || seen.role.is_some())
    }

    async fn remove<K: Object>(&self, key: &GrantKey, kind: Kind, owned: Option<&Owned>) -> Result<(), ApplyError> {
        let Some(owned) = owned else { return Ok(()) };
        self.writer.delete::<K>(&key.namespace, &role_name(&key.name), &owned.uid).await?;
        self.store.remove_owned(kind, key, &owned.uid);
        Ok(())
    }

    /// Makes the Role and RoleBinding what they should be. Tells whether anything had to be written.
    async fn give(&self, key: &GrantKey, seen: &Seen, rbac: &Rbac) -> Result<bool, Failure> {
        let (role, binding) = (Owned::of(&rbac.role), Owned::of(&rbac.binding));
        let mut role_there = seen.role.clone();
        let mut binding_there = seen.binding.clone();
        let of_another = |owned: &Owned| owned.grant_uid != role.grant_uid;
        if role_there.as_ref().is_some_and(of_another) || binding_there.as_ref().is_some_and(of_another) {
            // A grant of this name was deleted, and made anew.
            self.withdraw(key, seen).await?;
            (role_there, binding_there) = (None, None);
        }
        if role_there.is_none() && binding_there.is_none() {
            self.look_for_strangers(seen.grant.as_ref()).await?;
        }
        let role_differs = role_there.as_ref().is_none_or(|there| there.digest != role.digest);
        let binding_differs = binding_there.as_ref().is_none_or(|there| there.digest != binding.digest);
        if role_differs
            && binding_differs
            && let Some(there) = &binding_there
        {
            binding_there = self.narrow(key, there, rbac).await?;
        }
        if role_differs {
            self.ensure(key, Kind::Role, &rbac.role, role_there.as_ref()).await?;
        }
        if binding_differs {
            self.ensure_binding(key, &rbac.binding, binding_there.as_ref()).await?;
        }
        Ok(role_differs || binding_differs)
    }

    /// Where a name was somebody else's the last time: whether it still is, before half of it is made and taken away again.
    async fn look_for_strangers(&self, grant: Option<&Known>) -> Result<(), Failure> {
        let Some(Known::Grant(grant)) = grant else { return Ok(()) };
        let conflict = Reason::NameConflict.to_string();
        if !grant.status.iter().flat_map(|status| &status.conditions).any(|it| it.reason == conflict) {
            return Ok(());
        }
        let (namespace, name) = (grant.namespace().unwrap_or_default(), role_name(&grant.name_any()));
        let uid = grant.uid().unwrap_or_default();
        let role: Option<Role> = self.writer.read(&namespace, &name).await?;
        if role.is_some_and(|role| !owned::is_of(&role.metadata, &uid)) {
            return Err(Failure::Foreign(Kind::Role));
        }
        let binding: Option<RoleBinding> = self.writer.read(&namespace, &name).await?;
        if binding.is_some_and(|binding| !owned::is_of(&binding.metadata, &uid)) {
            return Err(Failure::Foreign(Kind::RoleBinding));
        }
        Ok(())
    }

    /// Before the role changes: leaves in the binding only those who are to have the new one too. Tells what is left of it.
    async fn narrow(&self, key: &GrantKey, there: &Owned, rbac: &Rbac) -> Result<Option<Owned>, ApplyError> {
        let stored: Option<RoleBinding> = self.writer.read(&key.namespace, &role_name(&key.name)).await?;
        let wanted = rbac.binding.subjects.as_deref().unwrap_or_default();
        let stored = stored.filter(|stored| stored.metadata.uid.as_deref() == Some(&there.uid));
        let Some(mut stored) = stored else { return Ok(None) };
        let before = stored.subjects.take().unwrap_or_default();
        let kept: Vec<_> = before.iter().filter(|subject| wanted.contains(subject)).cloned().collect();
        if kept.len() == before.len() && stored.role_ref == rbac.binding.role_ref {
            return Ok(Some(there.clone()));
        }
        if kept.is_empty() || stored.role_ref != rbac.binding.role_ref {
            self.remove::<RoleBinding>(key, Kind::RoleBinding, Some(there)).await?;
            return Ok(None);
        }
        let narrowed = RoleBinding { subjects: Some(kept), ..rbac.binding.clone() };
        let applied = Owned::of(&self.writer.apply(&narrowed, &there.uid).await?);
        self.store.put_owned(Kind::RoleBinding, key, applied.clone());
        Ok(Some(applied))
    }

    /// A binding's role cannot be changed: one that names another is made anew.
    async fn ensure_binding(
        &self,
        key: &GrantKey,
        binding: &RoleBinding,
        there: Option<&Owned>,
    ) -> Result<(), Failure> {
        match self.ensure(key, Kind::RoleBinding, binding, there).await {
            Err(Failure::Apply(error)) if error.code() == Some(422) => {
                self.remove::<RoleBinding>(key, Kind::RoleBinding, there).await?;
                self.ensure(key, Kind::RoleBinding, binding, None).await
            }
            other => other,
        }
    }

    /// Makes an object what it should be, if what bears its name is ours or nothing does.
    async fn ensure<K>(&self, key: &GrantKey, kind: Kind, wanted: &K, there: Option<&Owned>) -> Result<(), Failure>
    where
        K: Object + Content,
    {
        let applied = match there {
            Some(there) => match self.writer.apply(wanted, &there.uid).await {
                // It has gone, or another is in its place.
                Err(error) if error.code() == Some(409) => {
                    self.store.remove_owned(kind, key, &there.uid);
                    self.create(kind, wanted).await?
                }
                other => other?,
            },
            None => self.create(kind, wanted).await?,
        };
        self.store.put_owned(kind, key, Owned::of(&applied));
        Ok(())
    }

    async fn create<K: Object + Content>(&self, kind: Kind, wanted: &K) -> Result<K, Failure> {
        let taken = match self.writer.create(wanted).await {
            Err(error) if error.code() == Some(409) => error,
            other => return Ok(other?),
        };
        let namespace = wanted.namespace().unwrap_or_default();
        let Some(stored) = self.writer.read::<K>(&namespace, &wanted.name_any()).await? else {
            return Err(taken.into());
        };
        let grant_uid = owned::grant_uid(Resource::meta(wanted)).unwrap_or_default();
        if !owned::is_of(Resource::meta(&stored), grant_uid) {
            return Err(Failure::Foreign(kind));
        }
        let uid = stored.uid().unwrap_or_default();
        if Owned::of(&stored).digest == Owned::of(wanted).digest {
            return Ok(stored);
        }
        Ok(self.writer.apply(wanted, &uid).await?)
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
        others: &mut BTreeSet<GrantKey>,
    ) -> Result<bool, ApplyError> {
        let uid = grant.uid().unwrap_or_default();
        if let Some(stored) = self.writer.status(key, &uid, status).await? {
            others.extend(self.store.put_answer(grant, stored));
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
