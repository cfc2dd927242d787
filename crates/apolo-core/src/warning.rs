//! Warnings: what whoever submits something is told about secrets of its own namespace, and what holds nothing up.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::listed::Listed;
use crate::nearness::{may_be_near, nearest};
use crate::request::{Asked, Request};

/// How long a warning is, in characters.
const LONGEST: usize = 120;
/// How many warnings of an object are told: less than half of the 4 KiB that the API server passes on.
const MOST: usize = 10;
/// How many more are counted.
const MOST_COUNTED: usize = 1000;
/// How many letters are held against letters for the warnings of one object, at most: some milliseconds. It is what five
/// misspelt keys take in a namespace with 1000 secrets.
const MOST_COMPARED: usize = 2_000_000;

/// The warnings that an object gives rise to, each secret once, in the order in which they are asked for.
#[derive(Debug)]
pub struct Warnings<'a> {
    namespace: &'a str,
    listed: &'a Listed,
    told: Vec<(String, Why)>,
    more: BTreeSet<String>,
}

/// Why there is a warning about a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It is not there.
    Absent,
    /// It is not listed, and an entry of it is asked for: it may be of a type that is listed nowhere, such as kubernetes.io/tls.
    Unlisted,
    /// It is an ordinary Secret, and which entry is meant is not said.
    NoEntry,
}

impl<'a> Warnings<'a> {
    /// None yet of an object in a namespace, in which these are the secrets.
    #[must_use]
    pub fn new(namespace: &'a str, listed: &'a Listed) -> Self {
        Self { namespace, listed, told: Vec::new(), more: BTreeSet::new() }
    }

    /// Looks at what is asked for: by a Pod, or by a Pod template of the object.
    pub fn look_at(&mut self, request: &Request<'_>) {
        for asked in request.asked() {
            if let Some(why) = why(self.listed, asked) {
                self.add(asked.source.key.as_str(), why);
            }
        }
    }

    fn add(&mut self, key: &str, why: Why) {
        if self.told.iter().any(|(told, known)| told == key && *known == why) {
            return;
        }
        if self.told.len() < MOST {
            self.told.push((key.to_owned(), why));
        } else if self.more.len() < MOST_COUNTED && !self.more.contains(key) {
            self.more.insert(key.to_owned());
        }
    }

    /// The warnings, a line each: ten at most, and then how many more.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        let mut left = MOST_COMPARED;
        let mut lines: Vec<String> = Vec::new();
        for (key, why) in &self.told {
            let line = match why {
                Why::Absent => absent(key, self.namespace, self.nearest(key, &mut left)),
                Why::Unlisted => match self.nearest(key, &mut left) {
                    Some(near) => absent(key, self.namespace, Some(near)),
                    None => continue,
                },
                Why::NoEntry => no_entry(key),
            };
            // Long names may differ only where they are cut.
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        if !self.more.is_empty() {
            lines.push(format!("and {} more of these", self.more.len()));
        }
        lines
    }

    fn nearest(&self, key: &str, left: &mut usize) -> Option<&'a str> {
        let affordable = |known: &&str| match left.checked_sub(key.len() * known.len()) {
            Some(rest) => {
                *left = rest;
                true
            }
            None => false,
        };
        nearest(key, self.listed.keys().filter(|known| may_be_near(key, known)).take_while(affordable))
    }
}

/// Whether there is anything to say about a reference, and what.
fn why(listed: &Listed, asked: &Asked<'_>) -> Option<Why> {
    let source = &asked.source;
    if source.owner.is_some() || listed.has(source) {
        None
    } else if listed.has_ordinary(source) {
        asked.reference.entry.is_none().then_some(Why::NoEntry)
    } else {
        let why = if asked.reference.entry.is_some() { Why::Unlisted } else { Why::Absent };
        (!listed.is_cut()).then_some(why)
    }
}

fn absent(key: &str, namespace: &str, near: Option<&str>) -> String {
    match near {
        Some(near) => line([key, namespace, near], |[key, namespace, near]| {
            format!("secret \"{key}\" is not in namespace {namespace} yet; nearest: {near}")
        }),
        None => {
            line([key, namespace], |[key, namespace]| format!("secret \"{key}\" is not in namespace {namespace} yet"))
        }
    }
}

fn no_entry(key: &str) -> String {
    line([key, key], |[name, key]| {
        format!("secret \"{name}\" was not made by apolo: name its entry, secret:{key}#ENTRY")
    })
}

/// A line with these names in it, the longest of them cut so that there is room for all.
fn line<const N: usize>(names: [&str; N], words: impl Fn([&str; N]) -> String) -> String {
    let room = LONGEST.saturating_sub(words([""; N]).chars().count());
    let takes = |most: usize| names.iter().map(|name| name.chars().count().min(most)).sum::<usize>();
    let most = (0..=room).rev().find(|most| takes(*most) <= room).unwrap_or_default();
    let cut = names.map(|name| cut(name, most));
    words(cut.each_ref().map(|name| &**name))
}

fn cut(name: &str, most: usize) -> Cow<'_, str> {
    match most.checked_sub(1) {
        Some(shown) if name.chars().count() > most => Cow::Owned(name.chars().take(shown).chain(['…']).collect()),
        _ => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mistake::Mistakes;
    use crate::pod::Pod;
    use crate::reference::Scope;
    use proptest::prelude::*;

    /// The warnings of an object whose Pod templates have these variables.
    fn warnings(templates: &[&[&str]], listed: &Listed, namespace: &str) -> Vec<String> {
        let mut warnings = Warnings::new(namespace, listed);
        for references in templates {
            let items: Vec<String> =
                references.iter().enumerate().map(|(number, reference)| format!("A{number}={reference}")).collect();
            let annotations = serde_json::json!({"secrets.apolo.us/env": items.join("\n")});
            let text = serde_json::json!({"metadata": {"annotations": annotations}}).to_string();
            let pod: Pod<'_> = serde_json::from_str(&text).unwrap();
            let scope = Scope { cluster: "default", namespace: Some(namespace) };
            let mut mistakes = Mistakes::default();
            warnings.look_at(&Request::read(&pod, scope, &mut mistakes));
            assert!(mistakes.is_empty(), "{mistakes}");
        }
        warnings.into_lines()
    }

    fn listed() -> Listed {
        Listed::new(["aws-key", "WANDB"], ["db-creds", "db-creds-2"], false)
    }

    #[test]
    fn a_secret_of_the_own_namespace_that_is_not_there_is_told_with_the_nearest() {
        for (reference, told) in [
            ("secret:aws-key", None),
            ("secret:/bob/aws-key", None),
            ("secret:WANDB#x", None),
            ("secret:aws-kye", Some("secret \"aws-kye\" is not in namespace bob yet; nearest: aws-key")),
            ("secret:/bob/aws-kye", Some("secret \"aws-kye\" is not in namespace bob yet; nearest: aws-key")),
            ("secret://default/bob/wandb", Some("secret \"wandb\" is not in namespace bob yet")),
            ("secret:/alice/aws-kye", None),
            ("secret:db-creds#password", None),
            (
                "secret:db-creds",
                Some("secret \"db-creds\" was not made by apolo: name its entry, secret:db-creds#ENTRY"),
            ),
            // Perhaps of a type that is not listed.
            ("secret:my-tls#tls.crt", None),
            ("secret:db-cred#password", Some("secret \"db-cred\" is not in namespace bob yet; nearest: db-creds")),
        ] {
            assert_eq!(
                warnings(&[&[reference]], &listed(), "bob"),
                told.into_iter().collect::<Vec<_>>(),
                "{reference}"
            );
        }
    }

    #[test]
    fn where_not_all_are_listed_nothing_is_said_of_what_is_not() {
        let listed = Listed::new(["aws-key"], ["db-creds"], true);
        let said = warnings(&[&["secret:aws-kye", "secret:db-creds"]], &listed, "bob");
        assert_eq!(said, ["secret \"db-creds\" was not made by apolo: name its entry, secret:db-creds#ENTRY"]);
    }

    #[test]
    fn each_is_told_once_an_object_in_the_order_of_asking() {
        let said = warnings(
            &[&["secret:x", "secret:db-creds", "secret:/bob/x#y"], &["secret:c", "secret:x", "secret:db-creds"]],
            &listed(),
            "bob",
        );
        let told: Vec<&str> = said.iter().filter_map(|line| line.split('"').nth(1)).collect();
        assert_eq!(told, ["x", "db-creds", "c"]);
    }

    #[test]
    fn of_many_it_is_said_how_many_more() {
        let references: Vec<String> = (0..64).map(|number| format!("secret:k{}", number % 40)).collect();
        let references: Vec<&str> = references.iter().map(String::as_str).collect();
        let said = warnings(&[&references, &references], &Listed::default(), "bob");
        assert_eq!((said.len(), said.last().map(String::as_str)), (11, Some("and 30 more of these")));
    }

    #[test]
    fn a_long_name_is_cut_so_that_the_others_can_be_read() {
        let (key, near) = ("k".repeat(60), "k".repeat(59));
        let said = warnings(&[&[&format!("secret:{key}")]], &Listed::new([&*near], [], false), "bob");
        let shown = "k".repeat(35);
        assert_eq!(said, [format!("secret \"{shown}…\" is not in namespace bob yet; nearest: {shown}…")]);
        let (key, namespace) = ("k".repeat(253), "n".repeat(63));
        let said = warnings(&[&[&format!("secret:{key}")]], &Listed::default(), &namespace);
        assert_eq!(said[0].chars().count(), 120);
        assert_eq!(said, [format!("secret \"{}…\" is not in namespace {}… yet", "k".repeat(42), "n".repeat(42))]);
        let said = warnings(&[&[&format!("secret:{key}")]], &Listed::new([], [&*key], false), "bob");
        let shown = "k".repeat(28);
        assert_eq!(said, [format!("secret \"{shown}…\" was not made by apolo: name its entry, secret:{shown}…#ENTRY")]);
    }

    #[test]
    fn two_that_look_alike_when_cut_are_one_line() {
        let references = ["a", "b"].map(|end| format!("secret:{}{end}", "k".repeat(200)));
        assert_eq!(warnings(&[&[&references[0], &references[1]]], &Listed::default(), "bob").len(), 1);
    }

    #[test]
    fn the_nearest_of_many_long_names_is_looked_for_only_so_long() {
        let names: Vec<String> = (0..1000).map(|number| format!("{}{number:04}", "k".repeat(76))).collect();
        let listed = Listed::new(names.iter().map(String::as_str), [], false);
        let references: Vec<String> = (0..10).map(|number| format!("secret:{}{number}", "k".repeat(79))).collect();
        let references: Vec<&str> = references.iter().map(String::as_str).collect();
        let said = warnings(&[&references], &listed, "bob");
        let (near, none): (Vec<_>, Vec<_>) = said.iter().partition(|line| line.contains("; nearest: "));
        assert_eq!((near.len(), none.len()), (1, 9), "{said:?}");
    }

    proptest! {
        #[test]
        fn a_warning_is_one_line_of_at_most_120_characters(
            keys in proptest::collection::vec("[A-Za-z0-9_-][A-Za-z0-9_.-]{0,252}|[ab]{60,253}", 1..30),
            known in proptest::collection::vec("[A-Za-z0-9_.-]{1,253}|[ab]{60,253}", 0..30),
            namespace in "[a-z]{1,63}",
            is_cut: bool,
        ) {
            let keys: Vec<String> = keys.iter().map(|key| format!("secret:{key}")).collect();
            prop_assume!(keys.iter().all(|key| crate::reference::Reference::parse(key).is_ok()));
            let (ordinary, own) = known.split_at(known.len() / 2);
            let listed =
                Listed::new(own.iter().map(String::as_str), ordinary.iter().map(String::as_str), is_cut);
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let said = warnings(&[&keys], &listed, &namespace);
            prop_assert!(said.len() <= MOST + 1);
            for line in &said {
                prop_assert!(line.chars().count() <= LONGEST, "{line}");
                prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            }
            prop_assert!(said.iter().map(String::len).sum::<usize>() < 4096);
            prop_assert!(!is_cut || said.iter().all(|line| !line.contains(" yet")));
        }

        #[test]
        fn what_is_there_is_not_warned_about(keys in proptest::collection::vec("[A-Za-z0-9_.-]{1,20}", 1..20)) {
            let right = |key: &&String| crate::key::Key::parse(key).is_ok();
            let references: Vec<String> = keys.iter().filter(right).map(|key| format!("secret:{key}")).collect();
            let listed = Listed::new(keys.iter().map(String::as_str), [], false);
            let references: Vec<&str> = references.iter().map(String::as_str).collect();
            prop_assert_eq!(warnings(&[&references], &listed, "bob"), Vec::<String>::new());
        }
    }
}
