//! A Secret with a certificate and its key, as the API server has it.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::certificate::Certificate;
use super::decision::{Authority, Found};
use super::issue::{Issued, is_key_of};

/// The type of both Secrets.
///
/// Source: <https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets>.
const TLS: &str = "kubernetes.io/tls";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
/// Beside a serving pair, whom to trust; nothing is decided from it.
const AUTHORITY: &str = "ca.crt";
/// Beside an authority, the one before it.
const PREVIOUS: &str = "previous.crt";

/// A Secret of a pair. What is in it shows nothing of itself.
#[derive(Clone, Debug, Resource, Serialize, Deserialize)]
#[resource(inherit = Secret)]
pub struct PairSecret {
    /// An apply has to say these two.
    #[serde(rename = "apiVersion", default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    /// Of the object.
    pub metadata: ObjectMeta,
    #[serde(rename = "type", default)]
    kind_of: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    immutable: Option<bool>,
    #[serde(default)]
    data: BTreeMap<String, Entry>,
}

#[derive(Clone)]
struct Entry(SecretSlice<u8>);

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Entry")
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ByteString(self.0.expose_secret().to_vec()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(ByteString::deserialize(deserializer)?.0.into()))
    }
}

impl PairSecret {
    /// An authority, and the one before it.
    #[must_use]
    pub fn authority(metadata: ObjectMeta, issued: Issued, previous: Option<&Certificate>) -> Self {
        let previous = previous.map(Certificate::pem).unwrap_or_default();
        Self::new(metadata, issued, PREVIOUS, previous)
    }

    /// A serving pair, and the certificate of the authority that signed it.
    #[must_use]
    pub fn serving(metadata: ObjectMeta, issued: Issued, authority: &Certificate) -> Self {
        Self::new(metadata, issued, AUTHORITY, authority.pem())
    }

    fn new(metadata: ObjectMeta, Issued { certificate, key }: Issued, beside: &str, text: String) -> Self {
        let entry = |text: String| Entry(text.into_bytes().into());
        let key = Entry(key.expose_secret().as_bytes().to_vec().into());
        let data = [(CERTIFICATE, entry(certificate)), (KEY, key), (beside, entry(text))];
        let data = data.into_iter().map(|(name, entry)| (name.to_owned(), entry)).collect();
        let (api_version, kind) = (Self::api_version(&()).into_owned(), Self::kind(&()).into_owned());
        Self { api_version, kind, metadata, kind_of: TLS.to_owned(), immutable: None, data }
    }

    /// Whether it can be made another: Kubernetes changes neither the type of a Secret nor one that is immutable.
    #[must_use]
    pub fn can_be_written(&self) -> bool {
        self.kind_of == TLS && self.immutable != Some(true) && self.metadata.deletion_timestamp.is_none()
    }

    /// The serving certificate in it.
    #[must_use]
    pub fn read_serving(&self) -> Found<Certificate> {
        self.read().map_or_else(Found::Unusable, Found::There)
    }

    /// The authority in it.
    #[must_use]
    pub fn read_authority(&self) -> Found<Authority> {
        match self.read() {
            Ok(certificate) if certificate.is_authority && certificate.is_signed_by(&certificate) => {
                let previous = Certificate::read(self.bytes(PREVIOUS)).filter(|previous| previous.is_authority);
                Found::There(Authority { certificate, previous })
            }
            Ok(_) => Found::Unusable("the one before is no certificate authority"),
            Err(why) => Found::Unusable(why),
        }
    }

    /// The key in it, if it is text.
    #[must_use]
    pub fn key(&self) -> Option<SecretString> {
        std::str::from_utf8(self.bytes(KEY)).ok().map(SecretString::from)
    }

    fn read(&self) -> Result<Certificate, &'static str> {
        let certificate = Certificate::read(self.bytes(CERTIFICATE)).ok_or("the one before cannot be read")?;
        let key = self.key().ok_or("the key of the one before cannot be read")?;
        if is_key_of(&key, &certificate.key) {
            Ok(certificate)
        } else {
            Err("the key of the one before is not its own")
        }
    }

    fn bytes(&self, name: &str) -> &[u8] {
        self.data.get(name).map_or(&[], |entry| entry.0.expose_secret())
    }
}
