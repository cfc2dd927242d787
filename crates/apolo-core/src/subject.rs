//! Subjects: to whom a secret can be granted, as text and back.

use std::fmt;

use thiserror::Error;

use crate::key::{is_dns_label, is_dns_subdomain};

/// What the user name of every service account begins with, and what the group of all service accounts of a namespace begins
/// with.
///
/// Source: <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>
pub const SERVICE_ACCOUNT_USER: &str = "system:serviceaccount:";
/// See [`SERVICE_ACCOUNT_USER`].
pub const SERVICE_ACCOUNTS_GROUP: &str = "system:serviceaccounts:";

/// Users and groups that stand for everybody, or for those whom nothing is forbidden: nothing can be granted to them.
///
/// Source: <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles>
pub const EVERYBODY: [&str; 5] =
    ["system:anonymous", "system:unauthenticated", "system:authenticated", "system:serviceaccounts", "system:masters"];

/// The longest name of a user or group, in characters. Kubernetes knows no bound; this one keeps a grant readable.
pub const LONGEST_NAME: usize = 512;

/// Somebody to whom a secret can be granted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A user, by name.
    User(String),
    /// A group, by name.
    Group(String),
    /// A service account.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Every service account of a namespace, by its name.
    Namespace(String),
}

/// Why a text is no subject, or a subject that nothing can be granted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SubjectError {
    /// There is a `:`, and no kind before it.
    #[error("a subject is a user's name, user:NAME, group:NAME, serviceaccount:NAMESPACE/NAME or namespace:NAME")]
    UnknownKind,
    /// The name of a user or group is empty, too long, or holds a control character.
    #[error("a name is 1 to 512 characters, none of them a control character")]
    BadName,
    /// A service account's name is none that Kubernetes takes.
    #[error(
        r#"the name of a service account is 1 to 253 of a-z, 0-9, "-" and ".", with a letter or digit at both ends of each part"#
    )]
    BadAccount,
    /// A namespace's name is none that Kubernetes takes.
    #[error(r#"the name of a namespace is 1 to 63 of a-z, 0-9 and "-", with a letter or digit at both ends"#)]
    BadNamespace,
    /// A service account without its namespace.
    #[error("a service account is named with its namespace; add the namespace")]
    NoNamespace,
    /// A service account, named as a user.
    #[error("a user named system:serviceaccount:NAMESPACE:NAME is a service account; use the kind ServiceAccount")]
    AccountAsUser,
    /// The service accounts of a namespace, named as a group.
    #[error("a group named system:serviceaccounts:NAMESPACE is a whole namespace; use the kind Namespace")]
    NamespaceAsGroup,
    /// One of [`EVERYBODY`].
    #[error(
        "nothing can be granted to everybody, nor to system:masters; name a user, a group or an account of your own"
    )]
    Everybody,
}

impl Subject {
    /// The subject that a request's user name stands for.
    #[must_use]
    pub fn of_user_name(user_name: &str) -> Self {
        match user_name.strip_prefix(SERVICE_ACCOUNT_USER).and_then(|rest| rest.split_once(':')) {
            Some((namespace, name)) => Self::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() },
            None => Self::User(user_name.to_owned()),
        }
    }

    /// Takes a subject as the CLI does: the forms that [`Display`](fmt::Display) writes, and `user:NAME` for any user.
    ///
    /// # Errors
    /// Where the text is of no such form, or nothing can be granted to whom it names.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        let subject = match text.split_once(':') {
            None => Self::User(text.to_owned()),
            Some(("user", name)) => Self::User(name.to_owned()),
            Some(("group", name)) => Self::Group(name.to_owned()),
            Some(("namespace", name)) => Self::Namespace(name.to_owned()),
            Some(("serviceaccount", rest)) => {
                let (namespace, name) = rest.split_once('/').ok_or(SubjectError::NoNamespace)?;
                Self::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
            }
            Some(_) => return Err(SubjectError::UnknownKind),
        };
        subject.check().map(|()| subject)
    }

    /// Whether something can be granted to this subject.
    ///
    /// # Errors
    /// Why not. SecretGrant's schema refuses the same, in the same words.
    pub fn check(&self) -> Result<(), SubjectError> {
        let named = |name: &String| {
            let fits = (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
            if !fits {
                Err(SubjectError::BadName)
            } else if EVERYBODY.contains(&name.as_str()) {
                Err(SubjectError::Everybody)
            } else {
                Ok(())
            }
        };
        match self {
            Self::User(name) if name.starts_with(SERVICE_ACCOUNT_USER) => Err(SubjectError::AccountAsUser),
            Self::Group(name) if name.starts_with(SERVICE_ACCOUNTS_GROUP) => Err(SubjectError::NamespaceAsGroup),
            Self::User(name) | Self::Group(name) => named(name),
            Self::ServiceAccount { name, .. } if !is_dns_subdomain(name) => Err(SubjectError::BadAccount),
            Self::ServiceAccount { namespace, .. } | Self::Namespace(namespace) if !is_dns_label(namespace) => {
                Err(SubjectError::BadNamespace)
            }
            Self::ServiceAccount { .. } | Self::Namespace(_) => Ok(()),
        }
    }
}

/// As the CLI takes it: `bob`, `user:a:b` where a bare name would be read otherwise, `group:ml-team`,
/// `serviceaccount:jobs/trainer`, `namespace:nightly`.
impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) if name.contains(':') => write!(formatter, "user:{name}"),
            Self::User(name) => formatter.write_str(name),
            Self::Group(name) => write!(formatter, "group:{name}"),
            Self::ServiceAccount { namespace, name } => write!(formatter, "serviceaccount:{namespace}/{name}"),
            Self::Namespace(name) => write!(formatter, "namespace:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_user_name_reads_as_the_cli_takes_it() {
        for (user_name, subject) in [
            ("bob", "bob"),
            ("bob@example.com", "bob@example.com"),
            ("oidc:bob", "user:oidc:bob"),
            ("system:admin", "user:system:admin"),
            ("system:serviceaccount:jobs:trainer", "serviceaccount:jobs/trainer"),
        ] {
            assert_eq!(Subject::of_user_name(user_name).to_string(), subject);
        }
    }

    #[test]
    fn each_kind_is_taken_by_its_word() {
        let account = Subject::ServiceAccount { namespace: "jobs".into(), name: "trainer".into() };
        for (text, subject) in [
            ("bob", Subject::User("bob".into())),
            ("user:bob", Subject::User("bob".into())),
            ("user:oidc:bob", Subject::User("oidc:bob".into())),
            ("group:ml-team", Subject::Group("ml-team".into())),
            ("group:system:nodes", Subject::Group("system:nodes".into())),
            ("serviceaccount:jobs/trainer", account),
            ("namespace:nightly", Subject::Namespace("nightly".into())),
        ] {
            assert_eq!(Subject::parse(text), Ok(subject), "{text}");
        }
    }

    #[test]
    fn refuses_what_nothing_can_be_granted_to() {
        use SubjectError::*;
        let long = "é".repeat(513);
        for (text, error) in [
            ("", BadName),
            ("user:", BadName),
            ("group:a\nb", BadName),
            ("a\u{85}b", BadName),
            (&long, BadName),
            ("oidc:bob", UnknownKind),
            ("User:bob", UnknownKind),
            ("serviceaccount:trainer", NoNamespace),
            ("serviceaccount:/trainer", BadNamespace),
            ("serviceaccount:jobs/", BadAccount),
            ("serviceaccount:jobs/a/b", BadAccount),
            ("namespace:Nightly", BadNamespace),
            ("user:system:serviceaccount:jobs:trainer", AccountAsUser),
            ("group:system:serviceaccounts:jobs", NamespaceAsGroup),
            ("user:system:anonymous", Everybody),
            ("group:system:masters", Everybody),
            ("group:system:serviceaccounts", Everybody),
        ] {
            assert_eq!(Subject::parse(text), Err(error), "{text:?}");
        }
    }

    fn subjects() -> impl Strategy<Value = Subject> {
        let name = "\\PC{1,20}|[a-z]{1,5}:[a-z:/]{0,9}|system:[a-z]{1,9}|(user|group):[a-z]{1,5}";
        let label = "[a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?";
        prop_oneof![
            name.prop_map(Subject::User),
            name.prop_map(Subject::Group),
            label.prop_map(Subject::Namespace),
            (label, label).prop_map(|(namespace, name)| Subject::ServiceAccount { namespace, name }),
        ]
    }

    proptest! {
        #[test]
        fn a_subject_that_is_written_is_read_as_itself(subject in subjects()) {
            prop_assume!(subject.check().is_ok());
            prop_assert_eq!(Subject::parse(&subject.to_string()), Ok(subject));
        }

        #[test]
        fn a_subject_that_is_read_is_written_so_that_it_is_read_again(
            text in "(user:|group:|serviceaccount:|namespace:)?[a-z:/.-]{0,12}|\\PC{0,12}",
        ) {
            if let Ok(subject) = Subject::parse(&text) {
                prop_assert_eq!(subject.check(), Ok(()));
                prop_assert_eq!(Subject::parse(&subject.to_string()), Ok(subject));
            }
        }
    }
}
