//! What a person wants to share, and where it may be used. Pure.

use apolo_api::access::Access;
use apolo_api::grant::{SecretGrant, SecretGrantSpec};
use apolo_api::subject::GrantSubject;
use apolo_core::access::{for_shell, shown};
use apolo_core::key::is_dns_label;
use apolo_core::subject::Subject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use thiserror::Error;

use super::Expires;
use crate::explained::{Explained, Kind};
use crate::target::Target;

/// What is to be shared, with whom, how much, where and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The secret.
    pub target: Target,
    /// With whom.
    pub subject: Subject,
    /// What he may do with it.
    pub access: Access,
    /// Where his jobs may use it.
    pub destinations: Destinations,
    /// Until when.
    pub expires: Expires,
}

/// In which namespaces jobs may use a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Destinations {
    /// Where the subject is at home: a service account and a namespace in their own, a user in that of his name.
    #[default]
    OfSubject,
    /// In these, too.
    Named(Vec<String>),
    /// In none.
    KubectlOnly,
}

/// Why something cannot be wanted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WishError {
    /// Nobody can tell where jobs of the subject are.
    #[error("in which namespace jobs of {} are to use secret:/{owner}/{key} cannot be told from that name", shown(.subject))]
    NoDestination {
        /// With whom it was to be shared.
        subject: Subject,
        /// The namespace of the secret.
        owner: String,
        /// Its key.
        key: String,
    },
    /// The subject has a namespace, in which its jobs may use whatever is granted to it.
    #[error("{} may use in its own namespace whatever is granted to it, so it cannot be for kubectl only", shown(.0))]
    OpensItself(Subject),
    /// A single entry of a Secret was named.
    #[error("a secret is shared as a whole, and not entry {entry:?} of {key:?} alone")]
    Entry {
        /// The secret, as a word of a command.
        secret: String,
        /// The key.
        key: String,
        /// The entry.
        entry: String,
        /// With whom it was to be shared.
        subject: Subject,
    },
}

impl Wish {
    /// That a whole secret is wanted.
    ///
    /// # Errors
    /// Where only an entry of it is named.
    pub fn check(&self) -> Result<(), WishError> {
        match (&self.target.entry, &self.destinations, &self.subject) {
            (Some(entry), _, _) => Err(WishError::Entry {
                secret: self.target.reference(),
                key: self.target.key.clone(),
                entry: entry.clone(),
                subject: self.subject.clone(),
            }),
            (None, Destinations::KubectlOnly, Subject::ServiceAccount { .. } | Subject::Namespace(_)) => {
                Err(WishError::OpensItself(self.subject.clone()))
            }
            _ => Ok(()),
        }
    }

    /// The namespaces that a new grant has to name. In that of the secret, jobs need no grant.
    ///
    /// # Errors
    /// Where nobody can tell.
    pub fn opened(&self) -> Result<Vec<String>, WishError> {
        let mut opened = match (&self.destinations, &self.subject) {
            (Destinations::Named(named), _) => named.clone(),
            (Destinations::KubectlOnly, _) => Vec::new(),
            (Destinations::OfSubject, Subject::ServiceAccount { .. } | Subject::Namespace(_)) => Vec::new(),
            (Destinations::OfSubject, Subject::User(name)) if is_dns_label(name) => vec![name.clone()],
            (Destinations::OfSubject, subject) => {
                return Err(WishError::NoDestination {
                    subject: subject.clone(),
                    owner: self.target.owner.clone(),
                    key: self.target.key.clone(),
                });
            }
        };
        opened.retain(|namespace| *namespace != self.target.owner);
        opened.sort_unstable();
        opened.dedup();
        Ok(opened)
    }

    /// Whether the namespace of the secret itself is among those that were named.
    #[must_use]
    pub fn names_owner(&self) -> bool {
        matches!(&self.destinations, Destinations::Named(named) if named.contains(&self.target.owner))
    }

    /// The grant that gives it, where none is there yet, with the namespaces that it opens.
    #[must_use]
    pub(super) fn grant(&self, namespaces: Vec<String>) -> SecretGrant {
        let expires_at = match self.expires {
            Expires::At(time) => Some(Time(time)),
            Expires::AsBefore | Expires::Never => None,
        };
        let spec = SecretGrantSpec {
            secrets: vec![self.target.key.clone()],
            access: self.access,
            subjects: vec![GrantSubject::from(&self.subject)],
            namespaces,
            expires_at,
        };
        let mut grant = SecretGrant::new(&super::name(&self.target.key, &self.subject), spec);
        grant.metadata.namespace = Some(self.target.owner.clone());
        grant
    }
}

impl Explained for WishError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoDestination { .. } => {
                "say where with --to NAMESPACE; or --kubectl-only, if no job is to use it".to_owned()
            }
            Self::OpensItself(_) => "leave out --kubectl-only".to_owned(),
            Self::Entry { secret, subject, .. } => format!("apolo share {secret} {}", for_shell(subject)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(subject: &str, destinations: Destinations) -> Wish {
        Wish {
            target: Target::of_reference("secret:/alice/aws-key", "alice").unwrap(),
            subject: Subject::parse(subject).unwrap(),
            access: Access::Read,
            destinations,
            expires: Expires::AsBefore,
        }
    }

    fn named(names: &[&str]) -> Destinations {
        Destinations::Named(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn jobs_use_it_where_the_subject_is_at_home() {
        let opened = |subject, destinations| wish(subject, destinations).opened().ok();
        for (subject, home) in [
            ("bob", Some(vec!["bob"])),
            ("serviceaccount:jobs/trainer", Some(vec![])),
            ("namespace:nightly", Some(vec![])),
            ("alice", Some(vec![])),
            ("bob@example.com", None),
            ("user:oidc:bob", None),
            ("group:ml-team", None),
        ] {
            let home = home.map(|home| home.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(opened(subject, Destinations::OfSubject), home, "{subject}");
        }
        assert_eq!(
            opened("group:ml-team", named(&["jobs", "alice", "bob", "jobs"])),
            Some(vec!["bob".into(), "jobs".into()])
        );
        assert_eq!(opened("bob", Destinations::KubectlOnly), Some(vec![]));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut entry = wish("bob", Destinations::OfSubject);
        assert_eq!(entry.check(), Ok(()));
        entry.target.entry = Some("password".into());
        assert!(matches!(entry.check(), Err(WishError::Entry { .. })));
        for subject in ["namespace:nightly", "serviceaccount:jobs/trainer"] {
            assert!(matches!(wish(subject, Destinations::KubectlOnly).check(), Err(WishError::OpensItself(_))));
        }
        assert_eq!(wish("bob", Destinations::KubectlOnly).check(), Ok(()));
    }

    #[test]
    fn a_grant_is_of_one_key_to_one_subject() {
        let mut until = wish("bob", Destinations::OfSubject);
        until.expires = Expires::At("2027-01-01T00:00:00Z".parse().unwrap());
        let grant = until.grant(vec!["bob".into()]);
        let expected = serde_json::json!({
            "apiVersion": "secrets.apolo.us/v1alpha1", "kind": "SecretGrant",
            "metadata": {"name": "aws-key-bob", "namespace": "alice"},
            "spec": {"secrets": ["aws-key"], "access": "Read", "subjects": [{"kind": "User", "name": "bob"}],
                "namespaces": ["bob"], "expiresAt": "2027-01-01T00:00:00Z"},
        });
        assert_eq!(serde_json::to_value(grant).unwrap(), expected);
    }
}
