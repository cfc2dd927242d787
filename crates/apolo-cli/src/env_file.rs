//! Files of variables, `NAME=VALUE` a line, as shells and Docker read them. Pure.
//!
//! A value is what stands there: nothing of the environment is put into it, and nothing is run. It may stand in quotes, over several
//! lines; in double quotes `\n`, `\r`, `\t`, `\\`, `\"` and `\$` are read. What is wrong is told by its line, and never by what stands there.

use std::collections::BTreeMap;

use apolo_client::secrets::LARGEST;
use apolo_core::key::{Key, KeyError};
use thiserror::Error;

/// A key and its value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// The line that it begins on, from 1.
    pub(crate) line: usize,
    /// The key.
    pub(crate) key: String,
    /// The value.
    pub(crate) value: Vec<u8>,
}

/// What has to be mended, and on which line it begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The line, from 1.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) wrong: Wrong,
}

/// What is wrong with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Wrong {
    #[error("there is no \"=\"; write NAME=VALUE, and a value of several lines in quotes")]
    NoEquals,
    #[error("the name is no key: {0}")]
    Name(KeyError),
    #[error("the quote is never closed")]
    Open,
    #[error("something follows the closing quote")]
    Behind,
    #[error("the name stands on line {0} too")]
    Twice(usize),
    #[error("the value is empty; --allow-empty keeps it")]
    Empty,
    #[error("the value is too large: Kubernetes takes {LARGEST} bytes at most")]
    TooLarge,
}

/// Reads all of them.
///
/// # Errors
/// Every mistake.
pub(crate) fn parse(content: &[u8], allow_empty: bool) -> Result<Vec<Item>, Vec<Mistake>> {
    let mut rest = Rest { content: content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content), line: 1 };
    let (mut items, mut mistakes, mut lines) = (Vec::new(), Vec::new(), BTreeMap::new());
    while !rest.content.is_empty() {
        let line = rest.line;
        let wrong = match item(&mut rest) {
            Ok(None) => continue,
            Ok(Some(item)) => {
                let wrong = match lines.insert(item.key.clone(), line) {
                    Some(first) => Some(Wrong::Twice(first)),
                    None if item.value.len() > LARGEST => Some(Wrong::TooLarge),
                    None => (item.value.is_empty() && !allow_empty).then_some(Wrong::Empty),
                };
                items.push(item);
                wrong
            }
            Err(wrong) => Some(wrong),
        };
        mistakes.extend(wrong.map(|wrong| Mistake { line, wrong }));
    }
    if mistakes.is_empty() { Ok(items) } else { Err(mistakes) }
}

/// What has not been read.
struct Rest<'a> {
    content: &'a [u8],
    line: usize,
}

impl<'a> Rest<'a> {
    /// The next line, without its end.
    fn take_line(&mut self) -> &'a [u8] {
        let line = match self.content.iter().position(|byte| *byte == b'\n') {
            Some(at) => self.take(at + 1),
            None => self.take(self.content.len()),
        };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// So many bytes.
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.content.split_at_checked(count).unwrap_or((self.content, &[]));
        self.content = rest;
        self.line += taken.iter().filter(|byte| **byte == b'\n').count();
        taken
    }
}

/// The next item; none on a line that has nothing.
fn item(rest: &mut Rest<'_>) -> Result<Option<Item>, Wrong> {
    let line = rest.line;
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = rest.content.iter().take_while(|byte| is_blank(byte)).count();
    let first = rest.content.get(start..).unwrap_or_default();
    if matches!(first, [] | [b'#' | b'\n', ..] | [b'\r', b'\n', ..] | [b'\r']) {
        rest.take_line();
        return Ok(None);
    }
    let until = first.iter().position(|byte| matches!(byte, b'=' | b'\n')).unwrap_or(first.len());
    if first.get(until) != Some(&b'=') {
        rest.take_line();
        return Err(Wrong::NoEquals);
    }
    let name = first.get(..until).unwrap_or_default();
    rest.take(start + until + 1);
    let blanks = rest.content.iter().take_while(|byte| is_blank(byte)).count();
    rest.take(blanks);
    // What the value is has to be known before the name is looked at, for the next item begins behind it.
    let value = value(rest)?;
    let key = name_of(name)?;
    Ok(Some(Item { line, key, value }))
}

fn name_of(name: &[u8]) -> Result<String, Wrong> {
    let name = name.trim_ascii();
    let name = match name.strip_prefix(b"export") {
        Some(rest) if rest.first().is_some_and(u8::is_ascii_whitespace) => rest.trim_ascii(),
        _ => name,
    };
    let name = str::from_utf8(name).map_err(|_| Wrong::Name(KeyError::BadKey))?;
    Key::parse(name).map(|key| key.to_string()).map_err(Wrong::Name)
}

fn value(rest: &mut Rest<'_>) -> Result<Vec<u8>, Wrong> {
    let quote = match rest.content.first() {
        Some(quote @ (b'"' | b'\'')) => *quote,
        _ => return Ok(unquoted(rest.take_line())),
    };
    rest.take(1);
    let Some((value, length)) = quoted(rest.content, quote) else {
        rest.take(rest.content.len());
        return Err(Wrong::Open);
    };
    rest.take(length);
    let behind = rest.take_line().trim_ascii();
    if behind.is_empty() || behind.starts_with(b"#") { Ok(value) } else { Err(Wrong::Behind) }
}

/// A value that ends where its line does, or where a comment begins behind a blank.
fn unquoted(line: &[u8]) -> Vec<u8> {
    let comment = line.windows(2).position(|two| matches!(two, [b' ' | b'\t', b'#']));
    line.get(..comment.unwrap_or(line.len())).unwrap_or_default().trim_ascii_end().to_vec()
}

/// What stands in quotes, and how many bytes that are with the closing one; none where that is not there.
fn quoted(content: &[u8], quote: u8) -> Option<(Vec<u8>, usize)> {
    let mut value = Vec::new();
    let mut bytes = content.iter().copied().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            byte if byte == quote => return Some((value, at + 1)),
            b'\\' if quote == b'"' => {
                let (_, escaped) = bytes.next()?;
                match escaped {
                    b'n' => value.push(b'\n'),
                    b'r' => value.push(b'\r'),
                    b't' => value.push(b'\t'),
                    b'\\' | b'"' | b'$' => value.push(escaped),
                    other => value.extend([b'\\', other]),
                }
            }
            byte => value.push(byte),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(content: &str) -> Vec<(String, String)> {
        let items = parse(content.as_bytes(), true).unwrap();
        items.into_iter().map(|item| (item.key, String::from_utf8(item.value).unwrap())).collect()
    }

    fn value(content: &str) -> String {
        values(content).pop().unwrap().1
    }

    #[test]
    fn an_item_is_a_name_and_a_value() {
        let content = "\u{feff}# keys\n\nA=1\r\nexport B=2\n  C = 3 \n\texport\tD=4";
        let expected = [("A", "1"), ("B", "2"), ("C", "3"), ("D", "4")];
        assert_eq!(values(content), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(values("exported=1\nexport=2"), [("exported".into(), "1".into()), ("export".into(), "2".into())]);
        assert_eq!(values("\n \r\n# A=1"), []);
    }

    #[test]
    fn a_value_is_what_stands_there() {
        for (content, expected) in [
            ("A=p@ss=word", "p@ss=word"),
            ("A=a b  # why", "a b"),
            ("A=a#b", "a#b"),
            ("A=#b", "#b"),
            ("A=$HOME/${USER}$(id)`id`", "$HOME/${USER}$(id)`id`"),
            (r"A=C:\new", r"C:\new"),
            (r#"A=a"b'c"#, r#"a"b'c"#),
            ("A=", ""),
            ("A=''", ""),
            (r#"A="""#, ""),
            (r"A='a # b\n$HOME' # why", r"a # b\n$HOME"),
            (r#"A="a # \"b\"\n\r\t\\\$HOME $HOME \x"  "#, "a # \"b\"\n\r\t\\$HOME $HOME \\x"),
            ("A='one\r\ntwo\n'\r\n", "one\r\ntwo\n"),
            ("A=\"-----BEGIN\nA=B\n-----END\n\"", "-----BEGIN\nA=B\n-----END\n"),
        ] {
            assert_eq!(value(content), expected, "{content:?}");
        }
    }

    #[test]
    fn every_mistake_is_told_by_its_line() {
        let content = "A=1\nB\nbad name=2\nC='x' y\nA=3\nD=\n=4\napolo-shared-x=5\nE=\"\n\n";
        let mistakes = parse(content.as_bytes(), false).unwrap_err();
        let told: Vec<_> = mistakes.into_iter().map(|mistake| (mistake.line, mistake.wrong)).collect();
        assert_eq!(
            told,
            [
                (2, Wrong::NoEquals),
                (3, Wrong::Name(KeyError::BadKey)),
                (4, Wrong::Behind),
                (5, Wrong::Twice(1)),
                (6, Wrong::Empty),
                (7, Wrong::Name(KeyError::BadKey)),
                (8, Wrong::Name(KeyError::ReservedKey)),
                (9, Wrong::Open),
            ]
        );
    }

    #[test]
    fn a_value_is_as_large_as_kubernetes_takes_it() {
        let content = |size: usize| format!("A=1\nB={}\n", "x".repeat(size));
        assert_eq!(parse(content(LARGEST).as_bytes(), false).unwrap().len(), 2);
        let mistakes = parse(content(LARGEST + 1).as_bytes(), false).unwrap_err();
        assert_eq!(mistakes, [Mistake { line: 2, wrong: Wrong::TooLarge }]);
    }

    proptest! {
        #[test]
        fn any_value_can_be_written_in_double_quotes(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut content = b"A=\"".to_vec();
            for byte in &value {
                if matches!(byte, b'"' | b'\\') {
                    content.push(b'\\');
                }
                content.push(*byte);
            }
            content.extend(b"\"\nB=2\n");
            let items = parse(&content, true).unwrap();
            prop_assert_eq!((&items[0].value, items[1].value.as_slice()), (&value, b"2".as_slice()));
        }

        #[test]
        fn nothing_that_is_told_holds_what_stands_there(content in "([a-zA-Z=\"' \\n]|planted){0,60}") {
            if let Err(mistakes) = parse(content.as_bytes(), false) {
                for mistake in mistakes {
                    prop_assert!(!mistake.wrong.to_string().contains("planted"));
                }
            }
        }
    }
}
