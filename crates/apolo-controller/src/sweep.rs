//! The search for what the watches did not tell: all that bears our label, asked of the API server itself.

use std::collections::{BTreeMap, BTreeSet};

use apolo_core::names::GRANT_UID;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};

use crate::apply::Object;
use crate::key::GrantKey;
use crate::owned::Owned;
use crate::store::{Kind, Store};
use crate::watch::key_of;

/// Puts into the store which Roles and RoleBindings there are. Tells about which of them it was wrong.
///
/// # Errors
/// When the API server does not tell.
pub async fn sweep(client: &Client, store: &Store, excluded: &[String]) -> Result<BTreeSet<GrantKey>, kube::Error> {
    let mut wrong = of_kind::<RoleBinding>(client, store, Kind::RoleBinding, excluded).await?;
    wrong.extend(of_kind::<Role>(client, store, Kind::Role, excluded).await?);
    Ok(wrong)
}

async fn of_kind<K: Object>(
    client: &Client,
    store: &Store,
    kind: Kind,
    excluded: &[String],
) -> Result<BTreeSet<GrantKey>, kube::Error> {
    let fields: Vec<String> = excluded.iter().map(|it| format!("metadata.namespace!={it}")).collect();
    // From version 0: as the API server remembers it, which is as it was a moment ago.
    let params = ListParams::default().match_any().labels(GRANT_UID).fields(&fields.join(","));
    let listed = Api::<PartialObjectMeta<K>>::all(client.clone()).list(&params).await?;
    let as_of: u64 = listed.metadata.resource_version.as_deref().and_then(|it| it.parse().ok()).unwrap_or(0);
    let there: BTreeMap<GrantKey, Owned> =
        listed.items.iter().filter_map(|object| Some((key_of(object)?, Owned::of(object)))).collect();
    let mut wrong = BTreeSet::new();
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
