//! One copy, made what it should be.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use apolo_api::secret::NOT_OURS;
use kube::Resource;
use serde_json::json;

use super::Deliveries;
use super::plan::{Asker, owners};
use crate::apply::ApplyError;
use crate::copies::{SealedSecret, renewal};
use crate::store::{Asked, Kept};

/// What came of ensuring a copy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ensured {
    /// It is there, with the value that its source has.
    There,
    /// There is nothing to be copied.
    NoSource,
    /// The source has no such entry.
    NoEntry,
    /// Somebody else's Secret bears its name.
    Foreign,
    /// The namespace is going.
    Leaving,
    /// Somebody else has changed it meanwhile; it is to be tried again.
    Conflict,
    /// The API server refuses to store it.
    Refused(Refusal),
}

/// Why the API server does not store a copy. Not in its own words: another webhook that has seen the copy may have said them, and may
/// have put into them what it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A ResourceQuota of the namespace is used up.
    Quota,
    /// Another reason, with this status code.
    Code(u16),
}

impl Deliveries {
    /// Makes a copy what it should be, owned by those of the askers who may use it. Once a quota is used up no copy more is tried.
    pub(super) async fn ensure(
        &self,
        namespace: &str,
        asked: &Asked,
        askers: &[Asker<'_>],
        is_quota_used_up: &AtomicBool,
    ) -> Result<Ensured, ApplyError> {
        let known = self.store.copy(namespace, &asked.copy);
        if known.as_ref().is_some_and(|copy| copy.source.is_none()) {
            return Ok(Ensured::Foreign);
        }
        if known.as_ref().is_some_and(|copy| copy.is_leaving || !copy.is_of(asked)) {
            // It has not gone yet.
            return Ok(Ensured::Conflict);
        }
        let Some(source) = self.store.secret(&asked.owner, &asked.object) else { return Ok(Ensured::NoSource) };
        if known.as_ref().is_some_and(|copy| copy.is_current(&source)) {
            return Ok(Ensured::There);
        }
        let read: Option<SealedSecret> =
            self.writer.read(&asked.owner, &asked.object).await.map_err(ApplyError::without_words)?;
        let source = read.filter(|source| !NOT_OURS.contains(&source.kind_of()));
        let missing = if source.is_none() { Ensured::NoSource } else { Ensured::NoEntry };
        let Some(content) = source.and_then(|source| source.content(&asked.entry)) else {
            // What is a copy of nothing goes.
            if let Some(known) = &known {
                self.take(namespace, &asked.copy, &known.uid).await?;
            }
            return Ok(missing);
        };
        let written = match &known {
            Some(known) => self.writer.merge(namespace, &asked.copy, &renewal(asked, known, &content)).await,
            None => {
                let owners = owners(&asked.copy, None, askers).unwrap_or_default();
                let copy = SealedSecret::copy(asked, namespace, content, owners);
                self.writer.create(&copy).await
            }
        };
        match written {
            Ok(stored) => {
                tracing::info!(namespace, secret = asked.copy, source = asked.source(), "a copy is written");
                self.put_copy(&stored);
                Ok(Ensured::There)
            }
            Err(error) if known.is_none() && (error.is_of_leaving_namespace() || error.code() == Some(404)) => {
                Ok(Ensured::Leaving)
            }
            Err(error) if known.is_none() && error.code() == Some(409) => self.in_the_way(namespace, &asked.copy).await,
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(Ensured::Conflict),
            Err(error) => match Refusal::of(&error) {
                Some(refusal) => {
                    tracing::warn!(namespace, secret = asked.copy, why = ?refusal, "a copy is refused");
                    self.metrics.error(error.kind());
                    is_quota_used_up.fetch_or(refusal == Refusal::Quota, Relaxed);
                    Ok(Ensured::Refused(refusal))
                }
                None => Err(error.without_words()),
            },
        }
    }

    /// What is there under a name that could not be had, and was not known: it may be of a type that is not watched.
    async fn in_the_way(&self, namespace: &str, name: &str) -> Result<Ensured, ApplyError> {
        let there: Option<SealedSecret> = self.writer.read(namespace, name).await.map_err(ApplyError::without_words)?;
        let is_ours = |there: &SealedSecret| match Kept::of(there.meta(), there.is_opaque()) {
            Kept::Copy(copy) => copy.source.is_some(),
            Kept::Secret(_) => false,
        };
        Ok(if there.is_some_and(|there| !is_ours(&there)) { Ensured::Foreign } else { Ensured::Conflict })
    }

    /// Deletes the copy of this UID.
    pub(super) async fn take(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ApplyError> {
        let left: Option<SealedSecret> =
            self.writer.remove(namespace, name, uid).await.map_err(ApplyError::without_words)?;
        tracing::info!(namespace, secret = name, "a copy is taken away");
        if left.is_some() {
            // A finalizer would keep it, with what is in it.
            let emptied = json!({"metadata": {"uid": uid, "finalizers": null}, "data": null});
            match self.writer.merge::<SealedSecret>(namespace, name, &emptied).await {
                Err(error) if !matches!(error.code(), Some(404 | 409)) => return Err(error.without_words()),
                _ => {}
            }
        }
        drop(self.store.remove_secret(namespace, name, uid));
        Ok(())
    }
}

impl Refusal {
    fn of(error: &ApplyError) -> Option<Self> {
        match error.code()? {
            403 if error.is_of_quota() => Some(Self::Quota),
            code @ (400 | 403 | 413 | 422 | 500) => Some(Self::Code(code)),
            _ => None,
        }
    }
}
