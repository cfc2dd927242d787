//! References: the text that names a secret, and the Kubernetes Secret and entry that it stands for.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use crate::delivery;
use crate::key::{Key, KeyError, is_data_key, is_dns_label};

/// What every reference begins with.
const SCHEME: &str = "secret:";

/// A text that names a secret: `secret:KEY`, `secret:/OWNER/KEY` or `secret://CLUSTER/OWNER/KEY`, each with or without
/// `#ENTRY`.
///
/// Everything in it is ASCII, and nothing is decoded or normalised: [`fmt::Display`] gives back the text that was
/// parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reference<'a> {
    /// The cluster, a DNS-1123 label, where it is named; then the owner is named too.
    pub cluster: Option<&'a str>,
    /// The owner, a namespace's name, where it is named.
    pub owner: Option<&'a str>,
    /// The key.
    pub key: Key<'a>,
    /// The entry of an ordinary Secret, where it is named.
    pub entry: Option<&'a str>,
}

/// Why a text is no reference, or not one to something in this cluster.
///
/// None of these texts quotes what was read, but for the names of two clusters: the text may be a value.
#[derive(Clone, Debug, PartialEq, Eq, Error, strum::VariantNames, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum ReferenceError {
    /// It does not begin with `secret:`.
    #[error("a reference begins with \"secret:\"; write secret:KEY")]
    NotAReference,
    /// Its slashes are not those of one of the three forms.
    #[error("write secret:KEY, secret:/OWNER/KEY or secret://CLUSTER/OWNER/KEY")]
    BadForm,
    /// The cluster is no DNS-1123 label.
    #[error("the cluster is 1 to 63 of a-z, 0-9 and \"-\", beginning and ending with a letter or digit")]
    BadCluster,
    /// It names another cluster than this one.
    #[error("cluster {asked:?} is not this one, which is {this:?}; write secret://{this}/OWNER/KEY")]
    OtherCluster {
        /// The cluster that the reference names.
        asked: String,
        /// The name of this one.
        this: String,
    },
    /// It names an owner, and in which namespace the Pod will be is not known.
    #[error(
        "whether {owner} is another namespace than the Pod's is not known; say in which the Pod will be, with -n NAMESPACE or in \
         metadata.namespace"
    )]
    NoNamespace {
        /// The owner.
        owner: String,
    },
    /// The owner is no DNS-1123 label.
    #[error(
        "the owner is a namespace's name: 1 to 63 of a-z, 0-9 and \"-\", beginning and ending with a letter or digit"
    )]
    BadOwner,
    /// The key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The entry is no key of a Secret's data.
    #[error(
        "an entry (behind \"#\") is 1 to 253 of A-Z, a-z, 0-9, \"_\", \".\" and \"-\", is not \".\" and does not begin with \"..\""
    )]
    BadEntry,
}

impl ReferenceError {
    /// The kind of this error as one word, for the table of mistakes and for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Key(error) => error.into(),
            other => other.into(),
        }
    }
}

impl<'a> Reference<'a> {
    /// Takes a reference as it was written.
    ///
    /// # Errors
    /// The first thing in it, from the left, that is not as it must be.
    pub fn parse(text: &'a str) -> Result<Self, ReferenceError> {
        let Some(rest) = text.strip_prefix(SCHEME) else { return Err(ReferenceError::NotAReference) };
        let (path, entry) = match rest.split_once('#') {
            Some((path, entry)) => (path, Some(entry)),
            None => (rest, None),
        };
        let (cluster, owner, key) = split(path)?;
        if cluster.is_some_and(|cluster| !is_dns_label(cluster)) {
            return Err(ReferenceError::BadCluster);
        }
        if owner.is_some_and(|owner| !is_dns_label(owner)) {
            return Err(ReferenceError::BadOwner);
        }
        let key = Key::parse(key)?;
        if entry.is_some_and(|entry| !is_data_key(entry)) {
            return Err(ReferenceError::BadEntry);
        }
        Ok(Self { cluster, owner, key, entry })
    }

    /// Splits a text that begins with `secret:` at the next `:`, into what should be a reference and what follows it.
    #[must_use]
    pub fn split(text: &'a str) -> Option<(&'a str, Option<&'a str>)> {
        let rest = text.strip_prefix(SCHEME)?;
        let colon = rest.find(':').map(|at| SCHEME.len() + at);
        Some(match colon.and_then(|at| text.split_at_checked(at)) {
            Some((reference, follows)) => (reference, follows.strip_prefix(':')),
            None => (text, None),
        })
    }

    /// Finds what it stands for, seen from a namespace.
    ///
    /// # Errors
    /// Where it names another cluster, or an owner while the Pod's namespace is not known.
    pub fn resolve(self, from: Scope<'a>) -> Result<Source<'a>, ReferenceError> {
        if let Some(asked) = self.cluster.filter(|asked| *asked != from.cluster) {
            return Err(ReferenceError::OtherCluster { asked: asked.to_owned(), this: from.cluster.to_owned() });
        }
        let owner = match (self.owner, from.namespace) {
            (Some(owner), None) => return Err(ReferenceError::NoNamespace { owner: owner.to_owned() }),
            (owner, namespace) => owner.filter(|owner| Some(*owner) != namespace),
        };
        let entry = self.entry.unwrap_or(self.key.as_str());
        let object = self.key.object_name();
        let secret = match owner {
            Some(owner) => Cow::Owned(delivery::name(owner, &object, entry)),
            None => object,
        };
        Ok(Source { owner, key: self.key, secret, entry })
    }
}

impl fmt::Display for Reference<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(SCHEME)?;
        if let Some(cluster) = self.cluster {
            write!(formatter, "//{cluster}")?;
        }
        if let Some(owner) = self.owner {
            write!(formatter, "/{owner}/")?;
        }
        write!(formatter, "{}", self.key)?;
        match self.entry {
            Some(entry) => write!(formatter, "#{entry}"),
            None => Ok(()),
        }
    }
}

/// Where references are read: the cluster's name and the namespace of the Pod.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// What this cluster is called in references (`--cluster-name`).
    pub cluster: &'a str,
    /// The namespace that the Pod is in; a manifest that no cluster has seen yet need not say.
    pub namespace: Option<&'a str>,
}

/// What a reference stands for: an entry of a Secret in the Pod's namespace, its own or the delivery of another
/// owner's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// The owner, where that is another namespace than the Pod's.
    pub owner: Option<&'a str>,
    /// The key that was asked for.
    pub key: Key<'a>,
    /// The name of the Secret in the Pod's namespace.
    pub secret: Cow<'a, str>,
    /// The entry of its data.
    pub entry: &'a str,
}

/// Cluster, owner and key of `KEY`, `/OWNER/KEY` or `//CLUSTER/OWNER/KEY`.
fn split(path: &str) -> Result<(Option<&str>, Option<&str>, &str), ReferenceError> {
    let Some(absolute) = path.strip_prefix('/') else {
        return if path.contains('/') { Err(ReferenceError::BadForm) } else { Ok((None, None, path)) };
    };
    let (cluster, rest) = match absolute.strip_prefix('/') {
        Some(rest) => {
            let (cluster, rest) = rest.split_once('/').ok_or(ReferenceError::BadForm)?;
            (Some(cluster), rest)
        }
        None => (None, absolute),
    };
    match rest.split_once('/') {
        Some((owner, key)) if !key.contains('/') => Ok((cluster, Some(owner), key)),
        _ => Err(ReferenceError::BadForm),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: Scope<'_> = Scope { cluster: "default", namespace: Some("bob") };

    #[test]
    fn understands_the_three_forms_with_and_without_an_entry() {
        let reference = Reference::parse("secret:KEY").unwrap();
        assert_eq!((reference.cluster, reference.owner, reference.key.as_str()), (None, None, "KEY"));
        let reference = Reference::parse("secret:/alice/aws-key").unwrap();
        assert_eq!((reference.cluster, reference.owner, reference.key.as_str()), (None, Some("alice"), "aws-key"));
        let reference = Reference::parse("secret://default/alice/db#password").unwrap();
        assert_eq!((reference.cluster, reference.owner), (Some("default"), Some("alice")));
        assert_eq!((reference.key.as_str(), reference.entry), ("db", Some("password")));
    }

    #[test]
    fn a_key_of_the_own_namespace_is_an_entry_of_its_own_object() {
        for text in ["secret:AWS_KEY", "secret:/bob/AWS_KEY", "secret://default/bob/AWS_KEY"] {
            let source = Reference::parse(text).unwrap().resolve(HERE).unwrap();
            assert_eq!((source.owner, source.entry), (None, "AWS_KEY"));
            assert_eq!(source.secret, "aws-key-4cea0ddbcf43f8cf");
        }
    }

    #[test]
    fn a_key_of_another_owner_is_an_entry_of_its_delivery() {
        let source = Reference::parse("secret:/alice/db#password").unwrap().resolve(HERE).unwrap();
        assert_eq!((source.owner, source.entry), (Some("alice"), "password"));
        assert_eq!(source.secret, delivery::name("alice", "db", "password"));
    }

    #[test]
    fn another_cluster_is_named_together_with_this_one() {
        let error = Reference::parse("secret://prod/alice/db").unwrap().resolve(HERE).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"cluster "prod" is not this one, which is "default"; write secret://default/OWNER/KEY"#
        );
    }

    #[test]
    fn an_owner_asks_for_the_namespace_of_the_pod() {
        let nowhere = Scope { namespace: None, ..HERE };
        assert!(Reference::parse("secret:db").unwrap().resolve(nowhere).is_ok());
        let error = Reference::parse("secret:/alice/db").unwrap().resolve(nowhere).unwrap_err();
        assert_eq!(
            error.to_string(),
            "whether alice is another namespace than the Pod's is not known; say in which the Pod will be, with -n NAMESPACE or \
             in metadata.namespace"
        );
    }

    #[test]
    fn names_the_first_thing_that_is_wrong() {
        use ReferenceError::*;
        for (text, error) in [
            ("", NotAReference),
            ("p@ssw0rd", NotAReference),
            ("Secret:KEY", NotAReference),
            ("storage:KEY", NotAReference),
            ("secret:", Key(KeyError::BadKey)),
            ("secret: KEY", Key(KeyError::BadKey)),
            ("secret:alice/KEY", BadForm),
            ("secret:/KEY", BadForm),
            ("secret://alice/KEY", BadForm),
            ("secret:///alice/KEY", BadCluster),
            ("secret://c/alice/KEY/x", BadForm),
            ("secret:/Alice/KEY", BadOwner),
            ("secret://c_d/alice/KEY", BadCluster),
            ("secret:KEY#", BadEntry),
            ("secret:KEY#a#b", BadEntry),
            ("secret:/alice/apolo-shared-x", Key(KeyError::ReservedKey)),
            ("secret:caf%C3%A9", Key(KeyError::BadKey)),
        ] {
            assert_eq!(Reference::parse(text), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_reference_is_the_text_it_came_from(
            cluster in proptest::option::of("[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?"),
            owner in proptest::option::of("[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?"),
            key in "[A-Za-z0-9_-][A-Za-z0-9_.-]{0,40}",
            entry in proptest::option::of("[A-Za-z0-9_-][A-Za-z0-9_.-]{0,40}"),
        ) {
            let Ok(key) = Key::parse(&key) else { return Ok(()) };
            let cluster = cluster.as_deref().filter(|_| owner.is_some());
            let reference = Reference { cluster, owner: owner.as_deref(), key, entry: entry.as_deref() };
            let text = reference.to_string();
            prop_assert_eq!(Reference::parse(&text), Ok(reference));
        }

        #[test]
        fn whatever_is_parsed_is_written_back_to_the_letter(text in r"secret:[a-zA-Z0-9/#:. _-]{0,24}|\PC{0,24}") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}
