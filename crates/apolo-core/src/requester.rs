//! Who asks the API server for something, as it knows him.

use std::collections::BTreeMap;

use crate::subject::{SERVICE_ACCOUNT_USER, SERVICE_ACCOUNTS_GROUP, Subject};

/// A user with what the API server's authenticators say of him.
///
/// Source: `UserInfo` of <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/>
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requester {
    /// The name of the user or service account.
    pub name: String,
    /// What tells users of one name apart over time; empty for most.
    pub uid: String,
    /// The groups that he is in.
    pub groups: Vec<String>,
    /// What else an authenticator knows.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Requester {
    /// Whether he is, or is among, a subject.
    #[must_use]
    pub fn is(&self, subject: &Subject) -> bool {
        let is_in = |group: &str| self.groups.iter().any(|it| it == group);
        match subject {
            Subject::User(name) => self.name == *name,
            Subject::Group(name) => is_in(name),
            Subject::ServiceAccount { namespace, name } => {
                self.name.strip_prefix(SERVICE_ACCOUNT_USER).and_then(|rest| rest.split_once(':'))
                    == Some((namespace, name))
            }
            Subject::Namespace(name) => is_in(&format!("{SERVICE_ACCOUNTS_GROUP}{name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requester_is_who_he_is_called_and_all_whose_groups_he_is_in() {
        let requester = |name: &str, groups: &[&str]| Requester {
            name: name.into(),
            groups: groups.iter().map(|&group| group.into()).collect(),
            ..Requester::default()
        };
        let bob = requester("bob", &["ml-team", "system:authenticated"]);
        let trainer = requester(
            "system:serviceaccount:jobs:trainer",
            &["system:serviceaccounts", "system:serviceaccounts:jobs", "system:authenticated"],
        );
        for (subject, is_bob, is_trainer) in [
            ("bob", true, false),
            ("ml-team", false, false),
            ("group:ml-team", true, false),
            ("group:bob", false, false),
            ("serviceaccount:jobs/trainer", false, true),
            ("serviceaccount:jobs/train", false, false),
            ("serviceaccount:job/trainer", false, false),
            ("namespace:jobs", false, true),
            ("namespace:bob", false, false),
        ] {
            let parsed = Subject::parse(subject).unwrap();
            assert_eq!((bob.is(&parsed), trainer.is(&parsed)), (is_bob, is_trainer), "{subject}");
        }
    }
}
