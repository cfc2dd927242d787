//! The writes for one grant.
//!
//! At no time does anybody have access that neither the grant before nor the grant now gives: a binding goes before its role, a
//! role comes before its binding, and where both change, subjects that are no longer meant lose the old role before it changes.

use apolo_api::grant::Reason;
use apolo_runtime::telemetry::log::chain;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::{Resource, ResourceExt};

use super::Grants;
use crate::apply::{ApplyError, Object};
use crate::desired::{Rbac, role_name};
use crate::excess::gives_more;
use crate::key::GrantKey;
use crate::owned::{self, Content, Owned};
use crate::store::{Kind, Known, Seen};

/// Why a grant's Role and RoleBinding are not there.
pub(super) enum Failure {
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
    /// Takes away what is there. Tells whether there is less now.
    pub(super) async fn withdraw(&self, key: &GrantKey, seen: &Seen) -> Result<bool, ApplyError> {
        let binding = self.remove::<RoleBinding>(key, Kind::RoleBinding, seen.binding.as_ref()).await?;
        let role = self.remove::<Role>(key, Kind::Role, seen.role.as_ref()).await?;
        Ok(binding || role)
    }

    /// Takes away an object, if there is one. Tells whether it gives less now.
    async fn remove<K>(&self, key: &GrantKey, kind: Kind, owned: Option<&Owned>) -> Result<bool, ApplyError>
    where
        K: Object + Content,
    {
        let Some(owned) = owned else { return Ok(false) };
        match self.writer.delete::<K>(&key.namespace, &role_name(&key.name), &owned.uid).await? {
            Some(kept) => {
                let kept = Owned::of(&kept);
                let is_less = kept.version > owned.version;
                self.store.put_owned(kind, key, kept);
                Ok(is_less)
            }
            None => {
                self.store.remove_owned(kind, key, &owned.uid);
                Ok(true)
            }
        }
    }

    /// Makes the Role and RoleBinding what they should be. Tells whether anything had to be written. While that cannot be done and
    /// what is there gives more than it should, it gives nothing.
    pub(super) async fn give(&self, key: &GrantKey, seen: &Seen, rbac: &Rbac) -> Result<bool, Failure> {
        let given = self.write(key, seen, rbac).await;
        if let Err(Failure::Apply(error)) = &given
            && !matches!(error, ApplyError::NotHeld(_))
            && self.gives_more(key, rbac).await?
        {
            tracing::warn!(grant = %key, why = chain(error), "what gives too much cannot be changed, so it is taken away");
            let there = self.store.see(key).binding;
            self.remove::<RoleBinding>(key, Kind::RoleBinding, there.as_ref()).await?;
        }
        given
    }

    async fn gives_more(&self, key: &GrantKey, rbac: &Rbac) -> Result<bool, ApplyError> {
        let name = role_name(&key.name);
        let role = self.writer.read::<Role>(&key.namespace, &name).await?;
        let binding = self.writer.read::<RoleBinding>(&key.namespace, &name).await?;
        Ok(role.zip(binding).is_some_and(|(role, binding)| gives_more(&role, &binding, rbac)))
    }

    async fn write(&self, key: &GrantKey, seen: &Seen, rbac: &Rbac) -> Result<bool, Failure> {
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
}
