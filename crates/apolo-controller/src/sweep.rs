//! The search for what the watches did not tell: all that bears our label, asked of the API server itself.

use std::collections::{BTreeMap, HashSet};

use apolo_core::names::{DELIVERY, GRANT_UID};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Client;
use kube::Resource;
use kube::api::{ListParams, Request};
use kube::core::PartialObjectMeta;
use serde::{Deserialize, Deserializer};

use crate::apply::Object;
use crate::key::GrantKey;
use crate::owned::Owned;
use crate::store::{Kept, Kind, Store, Woken};

/// A list, as much of it as is needed: all of them at once, with their managedFields, would be most of the memory of the process.
#[derive(Deserialize)]
struct Listed {
    metadata: Metadata,
    #[serde(deserialize_with = "or_none")]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

/// The API server may write a list of nothing as `null`.
fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(items: D) -> Result<Vec<T>, D::Error> {
    Option::deserialize(items).map(Option::unwrap_or_default)
}

/// Of a list, or of an object.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    namespace: String,
    name: String,
    uid: String,
    resource_version: String,
    labels: BTreeMap<String, String>,
}

impl Metadata {
    fn version(&self) -> u64 {
        self.resource_version.parse().unwrap_or(0)
    }

    /// What is kept of it; what it gives is not known.
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
pub async fn sweep(client: &Client, store: &Store, excluded: &[String]) -> Result<Woken, kube::Error> {
    let mut wrong = of_kind::<RoleBinding>(client, store, Kind::RoleBinding, excluded).await?;
    wrong.extend(of_kind::<Role>(client, store, Kind::Role, excluded).await?);
    wrong.extend(of_copies(client, store, excluded).await?);
    Ok(wrong)
}

async fn of_copies(client: &Client, store: &Store, excluded: &[String]) -> Result<Woken, kube::Error> {
    #[derive(Deserialize)]
    struct Listed {
        metadata: Metadata,
        #[serde(deserialize_with = "or_none")]
        items: Vec<PartialObjectMeta<Secret>>,
    }
    let namespaces = excluded.iter().map(|it| format!("metadata.namespace!={it}"));
    let fields: Vec<String> = namespaces.chain(["type=Opaque".to_owned()]).collect();
    let params = ListParams::default().match_any().labels(DELIVERY).fields(&fields.join(","));
    let request =
        Request::new(Secret::url_path(&(), None)).list_metadata(&params).map_err(kube::Error::BuildRequest)?;
    let listed: Listed = client.request(request).await?;
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
) -> Result<Woken, kube::Error> {
    let fields: Vec<String> = excluded.iter().map(|it| format!("metadata.namespace!={it}")).collect();
    // From version 0: as the API server remembers it, which is as it was a moment ago.
    let params = ListParams::default().match_any().labels(GRANT_UID).fields(&fields.join(","));
    let request = Request::new(K::url_path(&(), None)).list_metadata(&params).map_err(kube::Error::BuildRequest)?;
    let listed: Listed = client.request(request).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_nothing_is_read() {
        let answer = r#"{"kind":"PartialObjectMetadataList","metadata":{"resourceVersion":"379"},"items":null}"#;
        let listed: Listed = serde_json::from_str(answer).unwrap();
        assert!(listed.items.is_empty() && listed.metadata.version() == 379);
    }
}
