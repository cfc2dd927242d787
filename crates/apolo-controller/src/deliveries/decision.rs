//! Whether Pods may use what they ask for, asked of the API server now: the grants as it has them, and RBAC.

use std::sync::Arc;

use apolo_api::grant::SecretGrant;
use apolo_api::lineage::{self, Descent};
use apolo_core::requester::Requester;
use apolo_runtime::review::{Resource, Right};
use futures_util::future::{FutureExt, try_join, try_join_all};
use k8s_openapi::jiff::Timestamp;
use tokio::time::timeout;

use super::Deliveries;
use crate::apply::{ApplyError, DEADLINE};
use crate::key::GrantKey;
use crate::store::{Asked, Party, gives};

/// `use` comes with whatever a grant gives.
const VERBS: [&str; 2] = ["use", "get"];
/// How many grants are looked for at first: an owner may have thousands that give the same, and one is enough.
pub(super) const FEW: usize = 8;

impl Deliveries {
    /// Whether Pods of a party may use what they ask for in a namespace.
    ///
    /// # Errors
    /// When an answer cannot be had.
    pub(super) async fn may(&self, party: &Party, asked: &Asked, namespace: &str) -> Result<bool, ApplyError> {
        for to in &party.identities {
            let few = self.granting(asked, namespace, to, FEW);
            if few.is_empty() {
                continue;
            }
            let (is_given, is_right) =
                try_join(self.is_given(&few, asked, namespace, to), self.has_right(asked, to)).await?;
            if !is_right {
                continue;
            }
            if is_given {
                return Ok(true);
            }
            let mut others = if few.len() < FEW { Vec::new() } else { self.granting(asked, namespace, to, usize::MAX) };
            others.retain(|key| !few.contains(key));
            if self.is_given(&others, asked, namespace, to).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first grants, so many at most, that give somebody the use of a secret in a namespace, as they are known.
    fn granting(&self, asked: &Asked, namespace: &str, to: &Requester, most: usize) -> Vec<GrantKey> {
        let terms = (self.max_access, Timestamp::now());
        let granting = self.store.granting(asked, namespace, std::slice::from_ref(to), terms, most);
        granting.into_iter().map(|granting| granting.grant).collect()
    }

    /// Whether one of these grants, as the API server has it, gives somebody the use of a secret in a namespace.
    async fn is_given(
        &self,
        grants: &[GrantKey],
        asked: &Asked,
        namespace: &str,
        to: &Requester,
    ) -> Result<bool, ApplyError> {
        for key in grants {
            let Some(grant) = self.writer.read::<SecretGrant>(&key.namespace, &key.name).await? else { continue };
            let now = Timestamp::now();
            if gives(&grant, asked, namespace, to, self.max_access, now) && self.stands(key, &grant, now).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn stands(&self, key: &GrantKey, grant: &SecretGrant, now: Timestamp) -> Result<bool, ApplyError> {
        if lineage::stands_by_itself(grant) {
            return Ok(true);
        }
        let known = self.store.ancestors(&key.namespace, grant);
        let names = known.readable.iter().filter_map(|ancestor| ancestor.metadata.name.as_deref());
        let mut reads = Vec::new();
        for name in names {
            reads.push(self.writer.read::<SecretGrant>(&key.namespace, name).boxed());
        }
        let ancestors: Vec<SecretGrant> = try_join_all(reads).await?.into_iter().flatten().collect();
        let grants = ancestors.iter().filter_map(|it| Some((it.metadata.uid.as_deref()?, it))).collect();
        Ok(lineage::descent(grant, &grants, &known.unreadable, self.max_access, now) == Descent::Stands)
    }

    async fn has_right(&self, asked: &Asked, to: &Requester) -> Result<bool, ApplyError> {
        let to = Arc::new(to.clone());
        for verb in VERBS {
            let right = Right {
                verb,
                resource: Resource::Secrets,
                namespace: asked.owner.clone(),
                name: Some(asked.object.clone()),
            };
            let object = || format!("whether {} may {verb} Secret {}/{}", to.name, asked.owner, asked.object);
            let answers = timeout(DEADLINE, self.reviews.ask(&to, [right.clone()])).await;
            let answers = answers.map_err(|_| ApplyError::NoAnswer { operation: "ask", object: object() })??;
            if answers.allow(&right) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
