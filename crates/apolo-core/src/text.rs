//! Strings out of JSON that are borrowed from it where they can be, and how strings of others are shown.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, de};

/// How many characters of a string are shown.
const LONGEST: usize = 120;

/// A JSON string, borrowed from the text unless it was written with escapes.
///
/// serde borrows a plain `Cow<str>` field on request, but never inside an `Option`, a list or a map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// The string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self(text)
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

/// A name as a token of a JSON Pointer (RFC 6901, section 3).
#[must_use]
pub fn pointer_token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// What was expected where JSON is out of form, or which field stands there twice; never what was found, which may be a value
/// and which serde quotes.
#[must_use]
pub fn expected(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    match text.rsplit_once(", expected ") {
        _ if ["duplicate", "missing", "there are more"].iter().any(|begin| text.starts_with(begin)) => text.to_owned(),
        // A Rust type is no word for people.
        Some((_, expected)) if expected.starts_with("struct ") => "expected an object".to_owned(),
        Some((_, "a sequence")) => "expected an array".to_owned(),
        Some((_, expected)) => format!("expected {expected}"),
        None => "something is out of place".to_owned(),
    }
}

/// The beginning of a string, as much of it as [`quoted`] shows.
#[must_use]
pub fn shortened(text: &str) -> String {
    text.chars().take(LONGEST + 1).collect()
}

/// Shows somebody else's string in double quotes on one line: control characters and quotes escaped, cut at 120
/// characters with `…`.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(LONGEST) + 2);
    shown.push('"');
    let mut characters = text.chars();
    for character in characters.by_ref().take(LONGEST) {
        if character == '\'' { shown.push(character) } else { shown.extend(character.escape_debug()) }
    }
    if characters.next().is_some() {
        shown.push('…');
    }
    shown.push('"');
    shown
}

/// Shows somebody else's name as it is where it is one word of printable ASCII that is not long, else as [`quoted`].
#[must_use]
pub fn named(name: &str) -> Cow<'_, str> {
    let is_word = name.len() <= LONGEST && name.bytes().all(|byte| byte.is_ascii_graphic());
    if is_word { Cow::Borrowed(name) } else { Cow::Owned(quoted(name)) }
}

/// Lists names in quotes, `"a", "b"`, at most ten of them and then how many more.
pub fn quoted_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 10;
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(MOST).map(quoted).collect();
    let more = names.count();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borrows_a_string_without_escapes_also_inside_an_option() {
        let read: Option<Text<'_>> = serde_json::from_str(r#""plain""#).unwrap();
        assert!(matches!(read.unwrap().0, Cow::Borrowed("plain")));
        let read: Text<'_> = serde_json::from_str(r#""two\nlines""#).unwrap();
        assert_eq!(read.as_str(), "two\nlines");
    }

    #[test]
    fn shows_a_string_on_one_line_and_cuts_it() {
        assert_eq!(quoted("it's"), r#""it's""#);
        assert_eq!(quoted("a\"b\n\u{1b}[31m\u{202e}"), r#""a\"b\n\u{1b}[31m\u{202e}""#);
        assert_eq!(quoted(&"é".repeat(200)).chars().count(), 120 + 3);
        assert_eq!(quoted_list((0..12).map(|_| "x")), format!("{} and 2 more", ["\"x\""; 10].join(", ")));
    }
}
