//! The copy of an entry of a shared Secret: what it is made of, and how it is written.
//!
//! A value goes from one object to the other as it is, in base64, and is never looked at: it is [`Sealed`].

use std::collections::BTreeMap;
use std::fmt;

use apolo_core::names::{DELIVERY, SOURCE, SOURCE_UID, SOURCE_VERSION};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::store::{Asked, KnownCopy, KnownPod, KnownSecret};

/// How many Pods own a copy at most, so that Kubernetes removes it with the last of them even when nobody else does.
pub const MOST_OWNERS: usize = 16;
/// The type of every copy.
const OPAQUE: &str = "Opaque";

/// A value: it can be passed on, and shows nothing of itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl fmt::Debug for Sealed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sealed")
    }
}

/// A Secret whose values are sealed.
#[derive(Clone, Debug, Resource, Serialize, Deserialize)]
#[resource(inherit = Secret)]
pub struct SealedSecret {
    metadata: ObjectMeta,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    kind_of: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    data: BTreeMap<String, Sealed>,
}

/// What a copy is made of: the entry, and which version of which Secret it is from.
#[derive(Debug)]
pub struct Content {
    value: Sealed,
    uid: String,
    version: String,
}

impl SealedSecret {
    /// Its type.
    #[must_use]
    pub fn kind_of(&self) -> &str {
        self.kind_of.as_deref().unwrap_or(OPAQUE)
    }

    /// Whether it is of the type of every copy.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        self.kind_of() == OPAQUE
    }

    /// What a copy of one of its entries is made of; none where it has no such entry.
    #[must_use]
    pub fn content(mut self, entry: &str) -> Option<Content> {
        let value = self.data.remove(entry)?;
        Some(Content { value, uid: self.uid()?, version: self.resource_version()? })
    }

    /// The copy of an entry, owned by Pods.
    #[must_use]
    pub fn copy(asked: &Asked, namespace: &str, content: Content, owners: Vec<OwnerReference>) -> Self {
        let annotations = annotations(asked, &content);
        let metadata = ObjectMeta {
            name: Some(asked.copy.clone()),
            namespace: Some(namespace.to_owned()),
            labels: Some([(DELIVERY.to_owned(), "true".to_owned())].into()),
            annotations: Some(annotations.map(|(name, value)| (name.to_owned(), value)).into()),
            owner_references: Some(owners),
            ..ObjectMeta::default()
        };
        let data = [(asked.entry.clone(), content.value)].into();
        Self { metadata, kind_of: Some(OPAQUE.to_owned()), data }
    }
}

/// The merge patch (RFC 7386) that makes a copy one of this content, if it is as it is known.
#[must_use]
pub fn renewal(asked: &Asked, known: &KnownCopy, content: &Content) -> Value {
    let annotations: BTreeMap<_, _> = annotations(asked, content).into();
    json!({
        "metadata": {"uid": known.uid, "resourceVersion": known.version.to_string(), "annotations": annotations},
        "data": {&asked.entry: content.value},
    })
}

/// The merge patch that gives a copy other owners, if it is as it is known.
#[must_use]
pub fn handover(known: &KnownCopy, owners: &[OwnerReference]) -> Value {
    json!({"metadata": {"uid": known.uid, "resourceVersion": known.version.to_string(), "ownerReferences": owners}})
}

/// A Pod as the owner of a copy.
#[must_use]
pub fn owner(name: &str, pod: &KnownPod) -> OwnerReference {
    OwnerReference {
        api_version: "v1".into(),
        kind: "Pod".into(),
        name: name.into(),
        uid: pod.uid.clone(),
        ..OwnerReference::default()
    }
}

impl KnownCopy {
    /// Whether it is a copy of this, by us alone.
    #[must_use]
    pub fn is_of(&self, asked: &Asked) -> bool {
        self.source.as_ref().is_some_and(|source| *source == asked.source()) && self.is_opaque && !self.is_edited
    }

    /// Whether its value is that of a Secret as it is known.
    #[must_use]
    pub fn is_current(&self, secret: &KnownSecret) -> bool {
        self.source_uid == secret.uid && self.source_version >= secret.version
    }
}

fn annotations(asked: &Asked, content: &Content) -> [(&'static str, String); 3] {
    [(SOURCE, asked.source()), (SOURCE_UID, content.uid.clone()), (SOURCE_VERSION, content.version.clone())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "aHVudGVyMg==";

    fn asked() -> Asked {
        let text = |text: &str| text.to_owned();
        Asked {
            reference: text("secret:/alice/db#password"),
            owner: text("alice"),
            key: text("db"),
            object: text("db"),
            entry: text("password"),
            copy: text("apolo-shared-1"),
        }
    }

    fn secret() -> SealedSecret {
        serde_json::from_value(json!({
            "metadata": {"name": "db", "namespace": "alice", "uid": "u", "resourceVersion": "7", "labels": {"team": "a"},
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
            "type": "kubernetes.io/basic-auth",
            "data": {"password": VALUE, "username": "YQ=="},
        }))
        .unwrap()
    }

    #[test]
    fn a_copy_has_the_entry_asked_for_and_nothing_else_of_its_source() {
        let content = secret().content("password").unwrap();
        let copy = SealedSecret::copy(&asked(), "bob", content, Vec::new());
        assert_eq!(
            serde_json::to_value(copy).unwrap(),
            json!({
                "metadata": {
                    "name": "apolo-shared-1", "namespace": "bob", "labels": {"secrets.apolo.us/delivery": "true"},
                    "annotations": {"secrets.apolo.us/source": "alice/db/password", "secrets.apolo.us/source-uid": "u",
                        "secrets.apolo.us/source-version": "7"},
                    "ownerReferences": [],
                },
                "type": "Opaque",
                "data": {"password": VALUE},
            })
        );
        assert!(secret().content("other").is_none());
    }

    #[test]
    fn a_value_shows_nothing_of_itself() {
        let content = secret().content("password").unwrap();
        let shown = format!("{:?} {:?}", secret(), content);
        assert!(!shown.contains(VALUE) && shown.contains("Sealed"), "{shown}");
    }

    #[test]
    fn a_copy_is_current_while_its_source_is_the_same_and_not_newer() {
        let copy =
            |uid: &str, version| KnownCopy { source_uid: uid.into(), source_version: version, ..KnownCopy::default() };
        let secret = KnownSecret { uid: "u".into(), version: 7, ..KnownSecret::default() };
        for (uid, version, is_current) in [("u", 7, true), ("u", 8, true), ("u", 6, false), ("v", 8, false)] {
            assert_eq!(copy(uid, version).is_current(&secret), is_current, "{uid} {version}");
        }
    }
}
