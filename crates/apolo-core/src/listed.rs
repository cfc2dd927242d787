//! What is listed of a namespace: which secrets are there, by name. Nothing is decided from it.

use crate::key::{Key, ends_in_suffix, is_dns_subdomain};
use crate::names::DELIVERY_PREFIX;
use crate::reference::Source;

/// The secrets of a namespace. There are many of these, so it is small: the names, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The keys of apolo's secrets.
    keys: Names,
    /// The names of ordinary Secrets, whose entries are to be named.
    ordinary: Names,
    /// Whether there may be more than these.
    is_cut: bool,
}

impl Listed {
    /// Lists the keys of apolo's secrets and the names of ordinary Secrets; what can be no such name is left out.
    #[must_use]
    pub fn new<'a>(
        keys: impl IntoIterator<Item = &'a str>,
        ordinary: impl IntoIterator<Item = &'a str>,
        is_cut: bool,
    ) -> Self {
        let keys = keys.into_iter().filter(|key| Key::parse(key).is_ok());
        let ordinary = ordinary.into_iter().filter(|name| is_dns_subdomain(name));
        Self { keys: Names::new(keys), ordinary: Names::new(ordinary), is_cut }
    }

    /// Whether there may be more than what is listed.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether what a reference stands for is a secret of apolo's.
    #[must_use]
    pub fn has(&self, source: &Source<'_>) -> bool {
        self.keys.has(source.key.as_str())
    }

    /// Whether what a reference stands for is an ordinary Secret.
    #[must_use]
    pub fn has_ordinary(&self, source: &Source<'_>) -> bool {
        self.ordinary.has(&source.secret)
    }

    /// All that can be asked for, as it is asked for.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        // A key that looks like this has an object of another name.
        let is_key = |name: &&str| !ends_in_suffix(name) && !name.starts_with(DELIVERY_PREFIX);
        self.keys.iter().chain(self.ordinary.iter().filter(is_key))
    }
}

/// Names in their order, each with a newline behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names(Box<str>);

impl Names {
    /// Of names of ASCII, in which no newline is.
    fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names.dedup();
        let mut text = String::with_capacity(names.iter().map(|name| name.len() + 1).sum());
        for name in names {
            text.push_str(name);
            text.push('\n');
        }
        Self(text.into_boxed_str())
    }

    fn has(&self, name: &str) -> bool {
        let mut rest = &*self.0;
        while let Some((before, middle, after)) = middle(rest) {
            rest = match name.cmp(middle) {
                std::cmp::Ordering::Less => before,
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Greater => after,
            };
        }
        false
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.lines()
    }
}

/// The line in the middle, and the lines before and after it.
fn middle(lines: &str) -> Option<(&str, &str, &str)> {
    let (left, right) = lines.split_at_checked(lines.len() / 2)?;
    let begin = left.rfind('\n').map_or(0, |at| at + 1);
    let end = left.len() + right.find('\n')?;
    Some((lines.get(..begin)?, lines.get(begin..end)?, lines.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{Reference, Scope};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn source(text: &str) -> Source<'_> {
        Reference::parse(text).unwrap().resolve(Scope { cluster: "default", namespace: Some("bob") }).unwrap()
    }

    #[test]
    fn an_ordinary_secret_is_there_by_the_name_of_its_object() {
        let listed = Listed::new(["AWS_KEY", "db"], ["aws-key-4cea0ddbcf43f8cf", "db-creds"], false);
        for (text, has, has_ordinary) in [
            ("secret:AWS_KEY", true, true),
            ("secret:db", true, false),
            ("secret:db-creds", false, true),
            ("secret:/bob/db-creds#password", false, true),
            ("secret:aws-key-4cea0ddbcf43f8cf", false, false),
            ("secret:d", false, false),
        ] {
            assert_eq!((listed.has(&source(text)), listed.has_ordinary(&source(text))), (has, has_ordinary), "{text}");
        }
        assert_eq!(listed.keys().collect::<Vec<_>>(), ["AWS_KEY", "db", "db-creds"]);
    }

    #[test]
    fn what_can_be_no_name_is_left_out() {
        let listed =
            Listed::new(["a", "", "..", "b\nc", "ä", "apolo-shared-x"], ["d", "", "E", "f\n", "apolo-shared-y"], false);
        assert_eq!(listed.keys().collect::<Vec<_>>(), ["a", "d"]);
    }

    proptest! {
        #[test]
        fn a_name_is_found_if_and_only_if_it_is_there(
            names in proptest::collection::vec("[a-c.-]{1,4}|[a-z]{1,40}", 0..40),
            other in "[a-c.-]{1,4}",
        ) {
            let listed = Names::new(names.iter().map(String::as_str));
            for name in &names {
                prop_assert!(listed.has(name));
            }
            prop_assert_eq!(listed.has(&other), names.contains(&other));
            prop_assert!(!listed.has(""));
            let sorted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
            prop_assert_eq!(listed.iter().collect::<Vec<_>>(), sorted.into_iter().collect::<Vec<_>>());
        }
    }
}
