//! JSON text to a [`Tree`]: a file that begins with `{` is a stream of JSON values to kubectl, as long as it can be read as one.

use crate::error::Refusal;
use crate::event::too_deep;
use crate::text::{byte, slice};
use crate::tree::{Entry, Form, Id, Kind, Node, Root, Scalar, Style, Tree};
use crate::value::MAX_DEPTH;

/// Why it is not read as JSON.
pub(crate) enum Failure {
    /// It is not JSON from this byte on; it may be YAML.
    NotJson(usize),
    /// It is JSON, but refused.
    Refused(Refusal),
}

/// Whether kubectl would try to read the text as JSON first.
pub(crate) fn is_likely(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Whether the text begins as JSON objects do, and YAML in brackets seldom does.
pub(crate) fn is_certain(text: &str) -> bool {
    text.trim_start().strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with('"'))
}

/// Reads all values of a file.
pub(crate) fn read(text: &str) -> Result<Tree, Failure> {
    let mut reader = Reader { text, at: 0, tree: Tree::default() };
    loop {
        reader.skip_blanks();
        if reader.at == text.len() {
            return Ok(reader.tree);
        }
        let node = reader.value(None, 1)?;
        let end = reader.tree.nodes.len();
        let is_null = matches!(reader.tree.node(node), Some(Node { kind: Kind::Scalar(it), .. }) if it.form == Form::Json && it.text == "null");
        if !is_null {
            reader.tree.roots.push(Root { node, end });
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    tree: Tree,
}

impl Reader<'_> {
    fn skip_blanks(&mut self) {
        while matches!(byte(self.text, self.at), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
    }

    fn value(&mut self, parent: Option<Id>, depth: usize) -> Result<Id, Failure> {
        self.skip_blanks();
        let start = self.at;
        if depth > MAX_DEPTH {
            return Err(Failure::Refused(Refusal::new(start, too_deep())));
        }
        let kind = match byte(self.text, start) {
            b'{' => Kind::Mapping { style: Style::Flow, column: 0, entries: Vec::new() },
            b'[' => Kind::Sequence { style: Style::Flow, dash: 0, items: Vec::new() },
            _ => Kind::Scalar(self.scalar()?),
        };
        let id = self.tree.nodes.len();
        let is_mapping = matches!(kind, Kind::Mapping { .. });
        let is_scalar = matches!(kind, Kind::Scalar(_));
        let node = Node { kind, parent, before: start, start, end: self.at, anchor: None, used: false, height: 1 };
        self.tree.nodes.push(node);
        if is_mapping {
            self.mapping(id, depth)?;
        } else if !is_scalar {
            self.sequence(id, depth)?;
        }
        if let Some(node) = self.tree.nodes.get_mut(id) {
            node.end = self.at;
        }
        Ok(id)
    }

    fn mapping(&mut self, id: Id, depth: usize) -> Result<(), Failure> {
        let mut names = std::collections::HashSet::new();
        self.at += 1;
        let mut more = !self.takes(b'}');
        while more {
            self.skip_blanks();
            let at = self.at;
            if byte(self.text, at) != b'"' {
                return Err(Failure::NotJson(at));
            }
            let key = self.value(Some(id), depth)?;
            if !self.takes(b':') {
                return Err(Failure::NotJson(self.at));
            }
            let before = self.at;
            let value = self.value(Some(id), depth + 1)?;
            if let Some(node) = self.tree.nodes.get_mut(value) {
                node.before = before;
            }
            let name = match self.tree.node(key) {
                Some(Node { kind: Kind::Scalar(scalar), .. }) => scalar.text.clone(),
                _ => return Err(Failure::NotJson(at)),
            };
            if !names.insert(name.clone()) {
                return Err(Failure::Refused(Refusal::new(at, "the key stands here a second time")));
            }
            if let Some(Node { kind: Kind::Mapping { entries, .. }, .. }) = self.tree.nodes.get_mut(id) {
                entries.push(Entry { key, value, name, merge: false });
            }
            more = self.goes_on(b'}')?;
        }
        Ok(())
    }

    fn sequence(&mut self, id: Id, depth: usize) -> Result<(), Failure> {
        self.at += 1;
        let mut more = !self.takes(b']');
        while more {
            let item = self.value(Some(id), depth + 1)?;
            if let Some(Node { kind: Kind::Sequence { items, .. }, .. }) = self.tree.nodes.get_mut(id) {
                items.push(item);
            }
            more = self.goes_on(b']')?;
        }
        Ok(())
    }

    /// Whether another part follows, or the bracket that closes.
    fn goes_on(&mut self, close: u8) -> Result<bool, Failure> {
        if self.takes(b',') {
            Ok(true)
        } else if self.takes(close) {
            Ok(false)
        } else {
            Err(Failure::NotJson(self.at))
        }
    }

    fn takes(&mut self, expected: u8) -> bool {
        self.skip_blanks();
        let is_there = byte(self.text, self.at) == expected;
        self.at += usize::from(is_there);
        is_there
    }

    /// A string, or a number or word, which is kept as it stands.
    fn scalar(&mut self) -> Result<Scalar, Failure> {
        let start = self.at;
        if byte(self.text, start) == b'"' {
            self.at += 1;
            while !matches!(byte(self.text, self.at), b'"' | 0) {
                self.at += if byte(self.text, self.at) == b'\\' { 2 } else { 1 };
            }
            self.at += 1;
            let text = serde_json::from_str(slice(self.text, start, self.at)).map_err(|_| Failure::NotJson(start))?;
            return Ok(Scalar { text, form: Form::Double, tag: None });
        }
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        while is_part(byte(self.text, self.at)) {
            self.at += 1;
        }
        let text = slice(self.text, start, self.at);
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(_) => Ok(Scalar { text: text.to_owned(), form: Form::Json, tag: None }),
            Err(_) => Err(Failure::NotJson(start)),
        }
    }
}
