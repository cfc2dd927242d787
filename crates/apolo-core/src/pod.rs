//! What we read of a Pod, over JSON that we otherwise leave alone.
//!
//! Only the fields that decide something are here; the rest is skipped, unread, so that a Pod of a newer Kubernetes is
//! as good as any. Strings are borrowed from the JSON text. A list, an optional field or annotations that are `null` are
//! absent. A field that is read and stands there twice is an error of the JSON, never a choice.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, MapAccess};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::names;
use crate::text::Text;

/// A Pod, or the Pod template of a workload: its metadata and its spec.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct Pod<'a> {
    /// `metadata`
    pub metadata: Metadata<'a>,
    /// `spec`
    pub spec: Spec<'a>,
    /// Whether this is laid over a template that is kept elsewhere, so that not all of its containers are known.
    #[serde(skip)]
    pub is_partial: bool,
}

/// What we read of `metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct Metadata<'a> {
    /// `name`, absent where the API server is still to make one from `generateName`
    pub name: Option<Text<'a>>,
    /// `generateName`
    pub generate_name: Option<Text<'a>>,
    /// `annotations`, those that matter here
    pub annotations: Notes<'a>,
    /// `labels`, those that matter here
    pub labels: Notes<'a>,
    /// `ownerReferences`
    pub owner_references: List<OwnerReference<'a>>,
}

impl<'a> Metadata<'a> {
    /// The owner that manages the object: it was made by a controller.
    #[must_use]
    pub fn controlling_owner(&self) -> Option<&OwnerReference<'a>> {
        self.owner_references.0.iter().find(|owner| owner.controller == Some(true))
    }

    /// Whether a controller made the object.
    #[must_use]
    pub fn is_controlled(&self) -> bool {
        self.controlling_owner().is_some()
    }
}

/// One of `ownerReferences`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct OwnerReference<'a> {
    /// `apiVersion`
    pub api_version: Text<'a>,
    /// `kind`
    pub kind: Text<'a>,
    /// `controller`: whether this owner is the one that manages the object
    pub controller: Option<bool>,
}

impl OwnerReference<'_> {
    /// The API group of the owner.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// The API version of the owner, without the group.
    #[must_use]
    pub fn version(&self) -> &str {
        self.api_version.split_once('/').map_or(&self.api_version, |(_, version)| version)
    }
}

/// What we read of a Pod's `spec`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct Spec<'a> {
    /// `containers`
    pub containers: List<Container<'a>>,
    /// `initContainers`
    pub init_containers: List<Container<'a>>,
    /// `volumes`
    pub volumes: List<Volume<'a>>,
    /// `automountServiceAccountToken`
    pub automount_service_account_token: Option<bool>,
    /// `serviceAccountName`
    pub service_account_name: Option<Text<'a>>,
    /// `nodeName`
    pub node_name: Option<Text<'a>>,
    /// `schedulingGates`
    pub scheduling_gates: List<SchedulingGate<'a>>,
}

/// One of `schedulingGates`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct SchedulingGate<'a> {
    /// `name`
    pub name: Text<'a>,
}

/// What we read of a container or init container.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct Container<'a> {
    /// `name`
    pub name: Text<'a>,
    /// `env`
    pub env: List<Variable<'a>>,
    /// `volumeMounts`
    pub volume_mounts: List<Mount<'a>>,
    /// `volumeDevices`
    pub volume_devices: List<Device<'a>>,
}

/// One of a container's `volumeDevices`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct Device<'a> {
    /// `name` of the volume
    pub name: Text<'a>,
    /// `devicePath`
    pub device_path: Text<'a>,
}

/// One of a container's `env`: all of it where it is a `secretKeyRef`, else only its name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct Variable<'a> {
    /// `name`
    pub name: Text<'a>,
    /// `value`: whether there is one; it is not ours to read
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Present>,
    /// `valueFrom`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom<'a>>,
}

/// `valueFrom` of a variable; without a `secretKeyRef` where it comes from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct ValueFrom<'a> {
    /// `secretKeyRef`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKey<'a>>,
}

impl ValueFrom<'_> {
    /// Whether the variable comes from a Secret.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.secret_key_ref.is_some()
    }
}

/// A `secretKeyRef`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct SecretKey<'a> {
    /// `name` of the Secret
    pub name: Text<'a>,
    /// `key` of its data
    pub key: Text<'a>,
    /// `optional`; `false` is as good as absent
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "only_true")]
    pub optional: Option<bool>,
}

/// One of a container's `volumeMounts`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct Mount<'a> {
    /// `name` of the volume
    pub name: Text<'a>,
    /// `mountPath`
    pub mount_path: Text<'a>,
    /// `subPath`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<Text<'a>>,
    /// `readOnly`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// `subPathExpr`: never ours
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_path_expr: Option<Present>,
    /// `mountPropagation`: never ours
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_propagation: Option<Present>,
    /// `recursiveReadOnly`: never ours
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recursive_read_only: Option<Present>,
}

/// One of `volumes`: what kind it is as far as that matters, and all of it where it is projected from Secrets.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct Volume<'a> {
    /// `name`
    pub name: Text<'a>,
    /// `projected`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projected: Option<Projected<'a>>,
    /// `secret`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Present>,
    /// `configMap`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<Present>,
    /// `downwardAPI`
    #[serde(rename = "downwardAPI", skip_serializing_if = "Option::is_none")]
    pub downward_api: Option<Present>,
    /// `image`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Present>,
    /// `persistentVolumeClaim`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<Writable>,
    /// `csi`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csi: Option<Writable>,
    /// `nfs`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nfs: Option<Writable>,
}

impl Volume<'_> {
    /// Whether nothing can be created in it, wherever it is mounted: by its kind, or since it says so.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        let says_so = |source: &Option<Writable>| source.as_ref().is_some_and(|source| source.read_only == Some(true));
        self.projected.is_some()
            || self.secret.is_some()
            || self.config_map.is_some()
            || self.downward_api.is_some()
            || self.image.is_some()
            || says_so(&self.persistent_volume_claim)
            || says_so(&self.csi)
            || says_so(&self.nfs)
    }
}

/// A kind of volume that is writable unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Writable {
    /// `readOnly`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

/// A `projected` volume.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct Projected<'a> {
    /// `defaultMode`, in decimal
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_mode: Option<i64>,
    /// `sources`
    pub sources: List<ProjectedSource<'a>>,
}

/// One of the `sources` of a projected volume; without a `secret` where it is another kind.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct ProjectedSource<'a> {
    /// `secret`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<ProjectedSecret<'a>>,
}

/// A `secret` source of a projected volume.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct ProjectedSecret<'a> {
    /// `name` of the Secret
    pub name: Text<'a>,
    /// `items`
    pub items: List<KeyToPath<'a>>,
    /// `optional`; `false` is as good as absent
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "only_true")]
    pub optional: Option<bool>,
}

/// One of the `items` of a projected Secret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct KeyToPath<'a> {
    /// `key` of the Secret's data
    pub key: Text<'a>,
    /// `path` in the volume
    pub path: Text<'a>,
    /// `mode`, in decimal
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<i64>,
}

/// A JSON array, empty where the field is absent or `null`.
#[derive(Clone, Debug, PartialEq)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Option::deserialize(deserializer)?.unwrap_or_default()))
    }
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

fn only_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(Option::deserialize(deserializer)?.filter(|value| *value))
}

/// That a field is there, whatever stands in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present;

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl Serialize for Present {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

/// The most entries of ours in `annotations` or `labels`; more of them are mistakes than are told.
const MOST_NOTES: usize = 256;

/// The entries of `annotations` or `labels` that matter here: ours, and Kubernetes' mark of a mirror Pod.
#[derive(Debug, Default)]
pub struct Notes<'a> {
    /// Whether the object is there at all; an entry can be added only to one that is.
    pub exist: bool,
    entries: BTreeMap<Text<'a>, Text<'a>>,
}

impl<'a> Notes<'a> {
    /// The value of one of them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(Text::as_str)
    }

    /// Leaves out those whose value is not wanted.
    pub(crate) fn keep(&mut self, wanted: impl Fn(&str) -> bool) {
        self.entries.retain(|_, value| wanted(value));
    }

    /// Those that begin with our prefix, with their values.
    pub(crate) fn all_of_ours(&self) -> Vec<(String, String)> {
        let ours = self.entries.iter().filter(|(name, _)| name.starts_with(names::PREFIX));
        ours.map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    /// The names that begin with our prefix, in their order.
    pub fn ours(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(Text::as_str).filter(|name| name.starts_with(names::PREFIX))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Notes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<'a>(PhantomData<&'a str>);

        impl<'de: 'a, 'a> de::Visitor<'de> for Visitor<'a> {
            type Value = Notes<'a>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of strings")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Notes::default())
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut notes = Notes { exist: true, entries: BTreeMap::new() };
                while let Some(name) = map.next_key::<Text<'a>>()? {
                    if !name.starts_with(names::PREFIX) && &*name != names::MIRROR {
                        map.next_value::<IgnoredAny>()?;
                    } else if notes.get(&name).is_some() {
                        return Err(de::Error::custom(format_args!("duplicate key {}", crate::text::quoted(&name))));
                    } else if notes.entries.len() == MOST_NOTES {
                        let expected = format_args!("no more than {MOST_NOTES} that begin with {}", names::PREFIX);
                        return Err(de::Error::custom(format_args!("too many, expected {expected}")));
                    } else {
                        let value = map.next_value::<Option<Text<'a>>>()?.unwrap_or_default();
                        notes.entries.insert(name, value);
                    }
                }
                Ok(notes)
            }
        }

        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_matters_and_skips_the_rest() {
        let pod: Pod<'_> = serde_json::from_str(
            r#"{"future":[{}],"metadata":{"name":"p","annotations":{"a":"b","secrets.apolo.us/env":"x","c":null},
                "labels":null},"spec":{"volumes":null,"containers":[{"name":"main","image":"x","env":[
                {"name":"A","value":"v"},{"name":"B","valueFrom":{"fieldRef":{}}}]}]}}"#,
        )
        .unwrap();
        assert_eq!(pod.metadata.annotations.get(names::ENV), Some("x"));
        assert_eq!(pod.metadata.annotations.get("a"), None);
        assert!(pod.metadata.annotations.exist && !pod.metadata.labels.exist);
        let env = &pod.spec.containers.0[0].env.0;
        assert_eq!(env[0].value, Some(Present));
        assert_eq!(env[1].value_from, Some(ValueFrom::default()));
        assert!(pod.spec.volumes.0.is_empty());
    }

    #[test]
    fn refuses_a_field_or_an_annotation_that_stands_there_twice() {
        for twice in [
            r#"{"spec":{},"spec":{}}"#,
            r#"{"spec":{"containers":[],"containers":[]}}"#,
            r#"{"metadata":{"annotations":{"secrets.apolo.us/env":"","secrets.apolo.us/env":""}}}"#,
            r#"{"metadata":{"annotations":{"secrets.apolo.us/env":"","secrets.apolo.us\/env":""}}}"#,
        ] {
            let error = serde_json::from_str::<Pod<'_>>(twice).unwrap_err().to_string();
            assert!(error.contains("duplicate"), "{error}");
        }
    }

    #[test]
    fn keeps_only_so_many_annotations_of_ours() {
        let notes = |count: usize| {
            let ours = (0..count).map(|number| format!(r#""secrets.apolo.us/{number}":null"#));
            format!("{{{}}}", ours.collect::<Vec<_>>().join(","))
        };
        assert_eq!(serde_json::from_str::<Notes<'_>>(&notes(256)).unwrap().ours().count(), 256);
        let error = serde_json::from_str::<Notes<'_>>(&notes(257)).unwrap_err().to_string();
        assert!(error.contains("expected no more than 256 that begin with secrets.apolo.us/"), "{error}");
    }
}
