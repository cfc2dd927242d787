//! The secret that a person names: by its key, or by a reference.

use apolo_api::secret::KUBE_SYSTEM;
use apolo_core::key::{Key, KeyError};
use apolo_core::reference::{Reference, ReferenceError};
use thiserror::Error;

use crate::connection::Connection;
use crate::explained::{Explained, Kind};

/// A secret: where it is, and its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The namespace that it is in.
    pub owner: String,
    /// Its key.
    pub key: String,
    /// The entry, where an ordinary Secret's is named.
    pub entry: Option<String>,
    /// The cluster, where it is named.
    pub cluster: Option<String>,
}

/// Why a text names no secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// It is no key.
    #[error("{text:?} is no key: {why}")]
    Key {
        /// The text.
        text: String,
        /// Why.
        why: KeyError,
    },
    /// It is no reference.
    #[error("{text:?} is no reference: {why}")]
    Reference {
        /// The text.
        text: String,
        /// Why.
        why: ReferenceError,
    },
}

impl Target {
    /// Takes a key, or a reference, seen from the namespace of a connection.
    ///
    /// # Errors
    /// Where the text is neither.
    pub fn parse(text: &str, from: &Connection) -> Result<Self, TargetError> {
        Self::of_key_or_reference(text, &from.namespace)
    }

    /// Takes a key, or a reference, seen from a namespace.
    ///
    /// # Errors
    /// Where the text is neither.
    pub fn of_key_or_reference(text: &str, namespace: &str) -> Result<Self, TargetError> {
        if text.contains(':') {
            return Self::of_reference(text, namespace);
        }
        let key = Key::parse(text).map_err(|why| TargetError::Key { text: text.to_owned(), why })?;
        Ok(Self { owner: namespace.to_owned(), key: key.to_string(), entry: None, cluster: None })
    }

    /// Takes a reference, seen from a namespace.
    ///
    /// # Errors
    /// Where the text is none.
    pub fn of_reference(text: &str, namespace: &str) -> Result<Self, TargetError> {
        let error = |why| TargetError::Reference { text: text.to_owned(), why };
        let reference = Reference::parse(text).map_err(error)?;
        Ok(Self {
            owner: reference.owner.unwrap_or(namespace).to_owned(),
            key: reference.key.to_string(),
            entry: reference.entry.map(str::to_owned),
            cluster: reference.cluster.map(str::to_owned),
        })
    }

    /// The name of the Secret that holds it.
    #[must_use]
    pub fn object(&self) -> String {
        Key::parse(&self.key).map_or_else(|_| self.key.clone(), |key| key.object_name().into_owned())
    }

    /// The name of the entry of that Secret's data.
    #[must_use]
    pub fn entry(&self) -> &str {
        self.entry.as_deref().unwrap_or(&self.key)
    }

    /// Whether it is in a namespace whose Secrets can be ours.
    #[must_use]
    pub fn is_for_us(&self) -> bool {
        self.owner != KUBE_SYSTEM
    }

    /// How it is asked for in this cluster, from any namespace, as a whole.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("secret:/{}/{}", self.owner, self.key)
    }

    /// How it is asked for in full.
    #[must_use]
    pub fn uri(&self, cluster: &str) -> String {
        let entry = self.entry.as_ref().map(|entry| format!("#{entry}")).unwrap_or_default();
        format!("secret://{cluster}/{}/{}{entry}", self.owner, self.key)
    }

    /// The cluster that it names is this one, or it names none.
    ///
    /// # Errors
    /// Where it is another.
    pub fn check_cluster(&self, this: &str) -> Result<(), TargetError> {
        match &self.cluster {
            Some(asked) if asked != this => Err(TargetError::Reference {
                text: self.uri(asked),
                why: ReferenceError::OtherCluster { asked: asked.clone(), this: this.to_owned() },
            }),
            _ => Ok(()),
        }
    }
}

impl Explained for TargetError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn hint(&self) -> Option<String> {
        let Self::Key { text, .. } = self else { return None };
        let meant = format!("secret:{text}");
        Reference::parse(&meant).is_ok().then(|| format!("write {meant}"))
    }
}
