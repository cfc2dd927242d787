//! What can be done to a document.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An operation of a JSON Patch (RFC 6902), of which there is only `add` here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Adds a key to a mapping, appends to a list (`/-`), or fills what is null or empty.
    Add {
        /// A JSON Pointer (RFC 6901).
        path: String,
        /// What is added there.
        value: Value,
    },
}

impl Operation {
    /// The same operation, on what stands below a place: a JSON Pointer (RFC 6901) that is put before its path.
    #[must_use]
    pub fn below(self, pointer: &str) -> Self {
        let Self::Add { path, value } = self;
        Self::Add { path: format!("{pointer}{path}"), value }
    }
}
