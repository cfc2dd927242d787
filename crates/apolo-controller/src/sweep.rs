//! The search for what the watches did not tell: all that bears our label, asked of the API server itself.

use std::collections::{BTreeMap, HashSet};

use apolo_core::names::{DELIVERY, GRANT_UID};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Client;
use kube::Resource;
use kube::core::PartialObjectMeta;

use crate::apply::Object;
use crate::key::GrantKey;
use crate::lists::{Item, ListError, Metadata, list};
use crate::owned::Owned;
use crate::select::{Selected, list_params};
use crate::store::{Kept, Kind, Store, Woken};

impl Metadata {
    /// What is kept of a Role or RoleBinding; what it gives is not known.
    fn owned(mut self) -> Option<(GrantKey, Owned)> {
        let key = GrantKey::of_role(&self.namespace, &self.name)?;
        let (version, grant_uid) = (self.version(), self.labels.remove(GRANT_UID).unwrap_or_default());
        Some((key, Owned { uid: self.uid, grant_uid, version, digest: String::new() }))
    }
}

/// Puts into the store which Roles, RoleBindings and copies there are. Tells about which of them it was wrong.
///
/// # Errors
/// When the API server does not tell.
pub async fn sweep(client: &Client, store: &Store, excluded: &[String]) -> Result<Woken, ListError> {
    let mut wrong = of_kind::<RoleBinding>(client, store, Kind::RoleBinding, excluded).await?;
    wrong.extend(of_kind::<Role>(client, store, Kind::Role, excluded).await?);
    wrong.extend(of_copies(client, store, excluded).await?);
    Ok(wrong)
}

async fn of_copies(client: &Client, store: &Store, excluded: &[String]) -> Result<Woken, ListError> {
    let params = list_params(&Selected::outside(excluded).opaque_secrets).match_any().labels(DELIVERY);
    let listed = list::<PartialObjectMeta<Secret>>(client, &Secret::url_path(&(), None), &params).await?;
    let as_of = listed.metadata.version();
    let mut wrong = Woken::default();
    let mut there = HashSet::new();
    for PartialObjectMeta { metadata, .. } in listed.items {
        let (Some(namespace), Some(name)) = (&metadata.namespace, &metadata.name) else { continue };
        there.extend(metadata.uid.clone());
        wrong.extend(store.put_answered_copy(namespace, name, Kept::of(&metadata, true)));
    }
    for (namespace, name, copy) in store.all_copies() {
        // One that bears no label of ours is not among those that were asked for.
        if copy.source.is_some() && copy.is_opaque && copy.version <= as_of && !there.contains(&copy.uid) {
            wrong.extend(store.remove_secret(&namespace, &name, &copy.uid));
        }
    }
    Ok(wrong)
}

async fn of_kind<K: Object>(
    client: &Client,
    store: &Store,
    kind: Kind,
    excluded: &[String],
) -> Result<Woken, ListError> {
    // From version 0: as the API server remembers it, which is as it was a moment ago.
    let params = list_params(&Selected::outside(excluded).owned).match_any();
    let listed = list::<Item>(client, &K::url_path(&(), None), &params).await?;
    let as_of = listed.metadata.version();
    let there: BTreeMap<GrantKey, Owned> = listed.items.into_iter().filter_map(|item| item.metadata.owned()).collect();
    let mut wrong = Woken::default();
    for (key, known) in store.all_owned(kind) {
        let is_there = there.get(&key).is_some_and(|owned| owned.uid == known.uid);
        if !is_there && known.version <= as_of {
            wrong.extend(store.remove_owned(kind, &key, &known.uid));
        }
    }
    for (key, owned) in there {
        // What it gives is not known from this, so that it is written again, or deleted.
        wrong.extend(store.put_owned(kind, &key, owned));
    }
    Ok(wrong)
}
