//! From a path in the JSON to a place in the text.

use crate::text::{byte, indentation, next_line, rest, slice};
use crate::tree::{Entry, Form, Id, Kind, Node, Tree};

/// What a path leads to.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) value: Id,
    /// The key, where it is a mapping's entry.
    pub(crate) key: Option<Id>,
}

/// The tokens of a JSON Pointer.
pub(crate) fn tokens(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"))
}

/// Follows a JSON Pointer as far as it leads, through aliases and merge keys.
pub(crate) fn find(tree: &Tree, root: Id, pointer: &str) -> Found {
    let mut found = Found { value: root, key: None };
    for token in tokens(pointer) {
        match child(tree, found.value, &token) {
            Some(next) => found = next,
            None => break,
        }
    }
    found
}

fn child(tree: &Tree, parent: Id, token: &str) -> Option<Found> {
    match &tree.resolved(parent)?.1.kind {
        Kind::Sequence { items, .. } => {
            let value = *items.get(token.parse::<usize>().ok()?)?;
            Some(Found { value, key: None })
        }
        Kind::Mapping { entries, .. } => entry(tree, entries, token),
        _ => None,
    }
}

/// The entry that wins: the last one, a merge key's included.
fn entry(tree: &Tree, entries: &[Entry], name: &str) -> Option<Found> {
    entries.iter().rev().find_map(|entry| {
        if entry.merge {
            merged(tree, entry.value, name)
        } else {
            (entry.name == name).then_some(Found { value: entry.value, key: Some(entry.key) })
        }
    })
}

/// What a merge key brings under a name.
pub(crate) fn merged(tree: &Tree, source: Id, name: &str) -> Option<Found> {
    match &tree.resolved(source)?.1.kind {
        Kind::Mapping { entries, .. } => entry(tree, entries, name),
        Kind::Sequence { items, .. } => items.iter().find_map(|item| merged(tree, *item, name)),
        _ => None,
    }
}

/// The byte of the text at which a byte of a string stands.
pub(crate) fn within(text: &str, node: &Node, offset: usize) -> usize {
    let Kind::Scalar(scalar) = &node.kind else { return node.start };
    match scalar.form {
        Form::Literal(indent) => literal(text, node, &scalar.text, indent, offset),
        Form::Folded(_) => folded(text, node, &scalar.text, offset),
        Form::Plain | Form::Json => flowing(text, node.start, node.end, Quotes::None, offset),
        Form::Single => flowing(text, node.start + 1, node.end, Quotes::Single, offset),
        Form::Double => flowing(text, node.start + 1, node.end, Quotes::Double, offset),
    }
}

/// In a literal, each line of the text is a line of the string.
fn literal(text: &str, node: &Node, value: &str, indent: usize, offset: usize) -> usize {
    let before = slice(value, 0, offset.min(value.len()));
    let line = before.matches('\n').count();
    let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
    let mut at = node.start;
    for _ in 0..=line {
        at = next_line(text, at).unwrap_or(text.len());
    }
    let found = rest(text, at);
    at + indent.min(indentation(found)) + column
}

/// In folded text the words of a line are together in the string; so each line of the text is found in it in turn.
fn folded(text: &str, node: &Node, value: &str, offset: usize) -> usize {
    let (mut at, mut behind, mut last) = (node.start, 0, node.start);
    while let Some(line) = next_line(text, at).filter(|line| *line < node.end) {
        let content = rest(text, line).lines().next().unwrap_or_default();
        let words = content.trim();
        let begin = line + content.len() - content.trim_start().len();
        if let Some(found) = rest(value, behind).find(words).filter(|_| !words.is_empty()) {
            let found = behind + found;
            if offset < found {
                return last;
            }
            if offset < found + words.len() {
                return begin + offset - found;
            }
            behind = found + words.len();
            last = begin + words.len();
        }
        at = line;
    }
    last
}

#[derive(Clone, Copy, PartialEq)]
enum Quotes {
    None,
    Single,
    Double,
}

/// Goes through a plain or quoted scalar, counting the bytes that each piece of it gives.
fn flowing(text: &str, start: usize, end: usize, quotes: Quotes, offset: usize) -> usize {
    let (mut at, mut count) = (start, 0);
    while at < end {
        let (length, gives) = piece(rest(text, at), quotes);
        if length == 0 || count + gives > offset {
            return at;
        }
        at += length;
        count += gives;
    }
    at.min(end)
}

/// How long the next piece of a scalar's text is, and how many bytes of the string it gives.
fn piece(text: &str, quotes: Quotes) -> (usize, usize) {
    let blanks = text.len() - text.trim_start_matches([' ', '\t', '\r', '\n']).len();
    let breaks = slice(text, 0, blanks).matches('\n').count();
    let length = text.chars().next().map_or(0, char::len_utf8);
    match (quotes, byte(text, 0)) {
        _ if breaks > 0 => (blanks, (breaks - 1).max(1)),
        (Quotes::Single, b'\'') if byte(text, 1) == b'\'' => (2, 1),
        (Quotes::Double, b'\\') => escape(text),
        _ => (length, length),
    }
}

fn escape(text: &str) -> (usize, usize) {
    let hex = |from: usize, digits: usize| u32::from_str_radix(slice(text, from, from + digits), 16).unwrap_or(0);
    let width = |code: u32| char::from_u32(code).map_or(3, char::len_utf8);
    match byte(text, 1) {
        b'x' => (4, width(hex(2, 2))),
        b'u' if (0xd800..0xdc00).contains(&hex(2, 4)) => (12, 4),
        b'u' => (6, width(hex(2, 4))),
        b'U' => (10, width(hex(2, 8))),
        b'N' | b'_' => (2, 2),
        b'L' | b'P' => (2, 3),
        b'\r' | b'\n' => {
            let line = text.find('\n').map_or(text.len(), |at| at + 1);
            (line + rest(text, line).len() - rest(text, line).trim_start_matches([' ', '\t']).len(), 0)
        }
        _ => (2, 1),
    }
}
