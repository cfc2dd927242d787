//! How much a grant allows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray;
use thiserror::Error;

/// What a subject may do with a secret. Each level has the rights of those before it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::VariantArray,
)]
#[schemars(inline)]
pub enum Access {
    /// Jobs may use it.
    Use,
    /// And people may read it: the default.
    #[default]
    Read,
    /// And replace its value.
    Write,
    /// And delete it, and share it further.
    Manage,
}

/// A text that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an access is Use, Read, Write or Manage")]
pub struct NoAccess;

impl Access {
    /// Takes an access as it stands in a grant.
    ///
    /// # Errors
    /// For any other text.
    pub fn parse(text: &str) -> Result<Self, NoAccess> {
        Self::VARIANTS.iter().copied().find(|access| access.to_string() == text).ok_or(NoAccess)
    }

    /// The same as the command apolo has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Use => "use",
            Self::Read => "read",
            Self::Write => "write",
            Self::Manage => "manage",
        }
    }

    /// The verbs of RBAC on the Secret itself.
    #[must_use]
    pub fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::Use => &["use"],
            Self::Read => &["use", "get"],
            Self::Write => &["use", "get", "update", "patch"],
            Self::Manage => &["use", "get", "update", "patch", "delete", "share"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_has_the_verbs_of_those_before_it_and_more() {
        for (lower, higher) in Access::VARIANTS.iter().zip(&Access::VARIANTS[1..]) {
            assert!(lower < higher);
            assert!(higher.verbs().starts_with(lower.verbs()), "{lower} and {higher}");
            assert!(higher.verbs().len() > lower.verbs().len(), "{lower} and {higher}");
        }
        assert_eq!(Access::Manage.verbs(), ["use", "get", "update", "patch", "delete", "share"]);
        assert_eq!(Access::default(), Access::Read);
        assert!(Access::VARIANTS.iter().all(|access| Access::parse(&access.to_string()) == Ok(*access)));
        assert_eq!(Access::parse("read"), Err(NoAccess));
        assert!(Access::VARIANTS.iter().all(|access| access.word() == access.to_string().to_lowercase()));
    }
}
