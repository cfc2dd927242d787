//! A file and its documents.

use serde_json::Value;

use crate::compose::compose;
use crate::error::{Position, ReadError, Refusal};
use crate::json::{self, Failure};
use crate::lines::Lines;
use crate::place;
use crate::syntax;
use crate::text::skip_trivia;
use crate::tree::{Id, Root, Tree};
use crate::value::value;

/// A file of manifests: YAML documents, or a stream of JSON values.
#[derive(Debug)]
pub struct Manifest {
    /// The text, without its byte order mark.
    pub(crate) text: String,
    pub(crate) has_mark: bool,
    pub(crate) is_json: bool,
    pub(crate) tree: Tree,
    pub(crate) lines: Lines,
    values: Vec<Value>,
}

impl Manifest {
    /// Reads a file as kubectl does. Empty documents are left out.
    ///
    /// # Errors
    /// Where it is not UTF-8 or not YAML; where a key stands twice in a mapping; where an alias has no anchor, stands in
    /// what it stands for, or makes too much of the file; where a key is no string; for tags, infinities and what is nested
    /// too deep; and where kubectl and other readers of YAML would not read the same.
    pub fn read(file: &[u8]) -> Result<Self, ReadError> {
        let (has_mark, text) = syntax::decode(file).map_err(|refusal| {
            let valid = String::from_utf8_lossy(file.get(..refusal.at).unwrap_or_default());
            ReadError { position: Lines::of(&valid).position(&valid, refusal.at), words: refusal.words }
        })?;
        Self::of(text, has_mark)
            .map_err(|refusal| ReadError { position: Lines::of(text).position(text, refusal.at), words: refusal.words })
    }

    /// Reads text that has been decoded.
    pub(crate) fn of(text: &str, has_mark: bool) -> Result<Self, Refusal> {
        let (is_json, tree) = parse(text)?;
        let values = tree.roots.iter().map(|root| value(&tree, root.node)).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), has_mark, is_json, tree, lines: Lines::of(text), values })
    }

    /// The documents, in order.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = Document<'_>> {
        self.tree.roots.iter().zip(&self.values).map(|(root, json)| Document { manifest: self, root, json })
    }

    pub(crate) fn position(&self, at: usize) -> Position {
        self.lines.position(&self.text, at)
    }

    pub(crate) fn root(&self, document: usize) -> Option<(&Root, &Value)> {
        self.tree.roots.get(document).zip(self.values.get(document))
    }
}

/// JSON first, where the text begins like it.
fn parse(text: &str) -> Result<(bool, Tree), Refusal> {
    let mut not_json = 0;
    if json::is_likely(text) {
        match json::read(text) {
            Ok(tree) => return Ok((true, tree)),
            Err(Failure::Refused(refusal)) => return Err(refusal),
            Err(Failure::NotJson(at)) => not_json = at,
        }
    }
    let tree = syntax::check(text).and_then(|()| compose(text));
    tree.map(|tree| (false, tree)).map_err(|refusal| {
        if syntax::is_template(text, refusal.at) {
            Refusal::new(refusal.at, "this is a template, not a manifest; give it what helm template prints")
        } else if refusal.at < not_json && json::is_certain(text) {
            Refusal::new(not_json, "this is neither JSON nor YAML")
        } else {
            refusal
        }
    })
}

/// A document that is not empty.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    manifest: &'a Manifest,
    root: &'a Root,
    json: &'a Value,
}

impl<'a> Document<'a> {
    /// What it says, as kubectl reads it; keys in the order of the text.
    #[must_use]
    pub fn json(&self) -> &'a Value {
        self.json
    }

    /// The line that it begins on: that of its first content.
    #[must_use]
    pub fn line(&self) -> usize {
        let node = self.manifest.tree.node(self.root.node);
        let at = node.map_or(0, |node| skip_trivia(&self.manifest.text, node.before).min(node.start));
        self.manifest.position(at).line
    }

    /// Where a value stands, named by a JSON Pointer (RFC 6901); where it is not there, the nearest that is and would hold it.
    #[must_use]
    pub fn position(&self, pointer: &str) -> Position {
        let found = place::find(&self.manifest.tree, self.root.node, pointer);
        self.at(found.value, |node| node.start)
    }

    /// Where the key of a mapping's entry stands; of anything else, where the value does.
    #[must_use]
    pub fn key_position(&self, pointer: &str) -> Position {
        let found = place::find(&self.manifest.tree, self.root.node, pointer);
        self.at(found.key.unwrap_or(found.value), |node| node.start)
    }

    /// Where a byte of a string stands. It is exact but in folded text, where it is on the right line.
    #[must_use]
    pub fn position_in(&self, pointer: &str, offset: usize) -> Position {
        let found = place::find(&self.manifest.tree, self.root.node, pointer);
        let id = self.manifest.tree.resolved(found.value).map_or(found.value, |(id, _)| id);
        self.at(id, |node| place::within(&self.manifest.text, node, offset))
    }

    fn at(&self, id: Id, place: impl Fn(&crate::tree::Node) -> usize) -> Position {
        self.manifest.position(self.manifest.tree.node(id).map_or(0, place))
    }
}
