//! Who may use what: the questions that a Pod raises, and the words of a refusal.

use std::fmt;

use crate::reference::Reference;
use crate::request::Request;
use crate::subject::Subject;
use crate::text::quoted;

/// The longest name of a launcher, in bytes, that is told as it is: a refusal repeats it for each secret.
const LONGEST_NAME: usize = 512;

/// Whether somebody may use another owner's secret in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// Who.
    pub launcher: &'a Subject,
    /// The secret, as the Pod names it; its owner is another namespace.
    pub reference: Reference<'a>,
    /// The namespace that owns it.
    pub owner: &'a str,
    /// The namespace of the Pod.
    pub namespace: &'a str,
}

/// The questions that a request raises, each key of an owner once, in the order in which they were asked for. A Pod that
/// uses the secrets of its own namespace raises none: that is Kubernetes' own rule.
#[must_use]
pub fn questions<'a>(request: &Request<'a>, launcher: &'a Subject, namespace: &'a str) -> Vec<Question<'a>> {
    let mut questions: Vec<Question<'a>> = Vec::new();
    for asked in request.asked() {
        let Some(owner) = asked.source.owner else { continue };
        let known = |it: &Question<'_>| it.owner == owner && it.reference.key == asked.reference.key;
        if !questions.iter().any(known) {
            questions.push(Question { launcher, reference: asked.reference, owner, namespace });
        }
    }
    questions
}

/// The refusal: the same words whether there is no such secret, no such grant, or one that is not for the launcher.
impl fmt::Display for Question<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { launcher, reference, owner, namespace } = self;
        let key = reference.key;
        let shown = shown(launcher);
        write!(
            formatter,
            "{shown} may not use secret:/{owner}/{key} in namespace {namespace}: there is none, or it is not shared with \
             {shown} for this namespace"
        )?;
        let Some(subject) = for_shell(launcher) else { return Ok(()) };
        write!(formatter, ". Its owner can run: apolo share secret:{key} {subject}")?;
        if matches!(launcher, Subject::User(_)) {
            write!(formatter, " --to {namespace}")?;
        }
        write!(formatter, " -n {owner}")
    }
}

/// Whether people see a character for what it is: no control character, and none that is invisible or turns the text.
fn is_shown_as_it_is(character: char) -> bool {
    character == ' ' || character.is_ascii_graphic() || character.is_alphanumeric()
}

/// A subject in a sentence: as it is, or quoted where people would not see it for what it is.
#[must_use]
pub fn shown(subject: &Subject) -> String {
    let name = subject.to_string();
    if name.len() <= LONGEST_NAME && name.chars().all(is_shown_as_it_is) { name } else { quoted(&name) }
}

/// A subject as a word of a command, so that a POSIX shell reads it back: in single quotes where it needs them; none for one that
/// people would not see for what it is, or that would be read as an option.
#[must_use]
pub fn for_shell(subject: &Subject) -> Option<String> {
    let word = subject.to_string();
    let plain = |character: char| character.is_ascii_alphanumeric() || "_@%+=:,./-".contains(character);
    if word.is_empty() || word.len() > LONGEST_NAME || word.starts_with('-') || !word.chars().all(is_shown_as_it_is) {
        None
    } else if word.chars().all(plain) {
        Some(word)
    } else {
        Some(format!("'{}'", word.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(user_name: &str) -> String {
        let launcher = Subject::of_user_name(user_name);
        let reference = Reference::parse("secret:/alice/aws-key").unwrap();
        Question { launcher: &launcher, reference, owner: "alice", namespace: "bob" }.to_string()
    }

    #[test]
    fn a_refusal_tells_the_owner_what_to_run() {
        assert_eq!(
            refusal("bob"),
            "bob may not use secret:/alice/aws-key in namespace bob: there is none, or it is not shared with bob for this \
             namespace. Its owner can run: apolo share secret:aws-key bob --to bob -n alice"
        );
        let to_account = refusal("system:serviceaccount:jobs:trainer");
        assert!(
            to_account.ends_with("apolo share secret:aws-key serviceaccount:jobs/trainer -n alice"),
            "{to_account}"
        );
    }

    #[test]
    fn a_name_is_quoted_for_a_shell_or_there_is_no_command() {
        assert!(refusal("o'brien $x").contains(r"apolo share secret:aws-key 'o'\''brien $x' --to bob -n alice"));
        assert!(refusal("zoë").contains("apolo share secret:aws-key 'zoë' --to bob -n alice"));
        for name in ["bob\nalice", "bob\u{202e}ecila", "bob\u{200b}"] {
            let unsayable = refusal(name);
            assert!(!unsayable.contains("apolo share") && unsayable.chars().all(is_shown_as_it_is), "{unsayable}");
        }
        assert!(!refusal("-rf").contains("apolo share"));
        let long = refusal(&"b".repeat(513));
        assert!(long.len() < 1024 && !long.contains("apolo share"), "{long}");
    }
}
