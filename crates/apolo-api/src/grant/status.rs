//! What the controller says of a grant.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::checks;

/// The type of the condition that says whether a grant is in force.
pub const READY: &str = "Ready";

/// What has become of the grant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = checks::on_one_line)]
pub struct SecretGrantStatus {
    /// The generation of the grant that this status is about. If it is less than metadata.generation, the last change is yet
    /// to come into force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub observed_generation: Option<i64>,
    /// How the grant stands. The type Ready says whether it is in force; its reason is Granted, SecretNotFound (those secrets
    /// are named; the others are granted), Expired, Withdrawn (none of the grants that allowed its author to share is left),
    /// AccessNotAllowed (the cluster does not allow that much) or NameConflict (somebody else's Role or RoleBinding bears the
    /// name of this grant's).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The secrets as references that jobs in the namespaces of the grant can use, such as secret://default/alice/aws-key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub uris: Vec<String>,
    /// The expiry that has come. The grant stays expired until spec.expiresAt is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    pub expired: Option<Time>,
    /// The grants, as the annotation secrets.apolo.us/granted-via has them, of which none was left. The grant stays
    /// withdrawn until that annotation is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub withdrawn: Option<String>,
}

/// Why a grant is in force, or is not: the reasons of the condition [`READY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString, strum::VariantArray)]
pub enum Reason {
    /// In force.
    Granted,
    /// A secret of the grant is not there; the others are granted.
    SecretNotFound,
    /// `expiresAt` has come.
    Expired,
    /// None of the Manage grants is left through which the author of the grant could share its secrets.
    Withdrawn,
    /// The access is above what the cluster allows.
    AccessNotAllowed,
    /// An object that is not the controller's bears the name of the grant's Role or RoleBinding.
    NameConflict,
}

impl Reason {
    /// Whether the grant is in force, as far as it can be: the status of the condition.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self == Self::Granted
    }

    /// A sentence for people, to which the controller adds the names that are meant.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Granted => "the subjects have access to the secrets",
            Self::SecretNotFound => "the others are granted; these are not there, and are granted when they come",
            Self::Expired => "the grant has expired; to grant again, change spec.expiresAt",
            Self::Withdrawn => {
                "the author of this grant may no longer share these secrets; their owner can grant them anew"
            }
            Self::AccessNotAllowed => "this cluster does not allow that much access; lower spec.access",
            Self::NameConflict => {
                "a Role or RoleBinding of this grant's name belongs to somebody else; rename the grant, or remove it"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions;
    use std::collections::BTreeSet;
    use strum::VariantArray;

    #[test]
    fn each_reason_is_explained_in_the_description_of_conditions() {
        let [grant, _] = definitions();
        let schema = serde_json::to_value(&grant.spec.versions[0].schema).unwrap();
        let conditions = "/openAPIV3Schema/properties/status/properties/conditions/description";
        let description = schema.pointer(conditions).unwrap().as_str().unwrap();
        for reason in Reason::VARIANTS {
            assert!(description.contains(&reason.to_string()), "{reason}: {description}");
            assert_eq!(reason.to_string().parse(), Ok(*reason));
        }
        let sentences: BTreeSet<&str> = Reason::VARIANTS.iter().map(|reason| reason.sentence()).collect();
        assert_eq!(sentences.len(), Reason::VARIANTS.len());
    }
}
