//! A document's JSON: what kubectl makes of a [`Tree`], with aliases and merge keys resolved.

use serde_json::{Map, Value};

use crate::error::Refusal;
use crate::scalar::{self, Resolved};
use crate::tree::{Entry, Form, Id, Kind, Node, Scalar, Tree};

/// How many levels a document may have: more than any Kubernetes object, and few enough for a recursion.
pub(crate) const MAX_DEPTH: usize = 128;

/// What all that aliases add to a document may cost, in about as many bytes of memory.
const MAX_ALIASED: usize = 8 << 20;

/// The JSON of a document.
pub(crate) fn value(tree: &Tree, root: Id) -> Result<Value, Refusal> {
    Reading { tree, aliased: 0, within: Vec::new() }.value(root)
}

struct Reading<'a> {
    tree: &'a Tree,
    aliased: usize,
    /// The aliases and merge keys that we are in, outermost first.
    within: Vec<usize>,
}

impl Reading<'_> {
    fn value(&mut self, id: Id) -> Result<Value, Refusal> {
        let tree = self.tree;
        let Some(node) = tree.node(id) else { return Ok(Value::Null) };
        match &node.kind {
            Kind::Scalar(scalar) => {
                self.spend(scalar.text.len())?;
                scalar_value(scalar).ok_or_else(|| Refusal::new(node.start, unreadable(scalar)))
            }
            Kind::Sequence { items, .. } => {
                self.spend(0)?;
                items.iter().map(|item| self.value(*item)).collect()
            }
            Kind::Mapping { entries, .. } => {
                self.spend(0)?;
                let mut map = Map::new();
                self.fill(&mut map, entries)?;
                Ok(Value::Object(map))
            }
            Kind::Alias(target) => {
                self.within.push(node.start);
                let value = self.value(*target);
                self.within.pop();
                value
            }
        }
    }

    /// As goyaml v2 does it: in the order of the text, so that what comes later wins, a merge key too.
    fn fill(&mut self, map: &mut Map<String, Value>, entries: &[Entry]) -> Result<(), Refusal> {
        for entry in entries {
            if entry.merge {
                self.merge(map, entry.value)?;
            } else {
                let value = self.value(entry.value)?;
                map.insert(entry.name.clone(), value);
            }
        }
        Ok(())
    }

    /// A mapping, an alias of one, or a sequence of these, of which the earlier wins.
    fn merge(&mut self, map: &mut Map<String, Value>, id: Id) -> Result<(), Refusal> {
        let tree = self.tree;
        let sources: Vec<Id> = match tree.node(id) {
            Some(Node { kind: Kind::Sequence { items, .. }, .. }) => items.iter().rev().copied().collect(),
            _ => vec![id],
        };
        for source in sources {
            let at = tree.node(source).map_or(0, |node| node.start);
            let Some((_, Node { kind: Kind::Mapping { entries, .. }, .. })) = tree.resolved(source) else {
                return Err(Refusal::new(at, "what is merged must be a mapping, or a list of them"));
            };
            self.within.push(at);
            self.fill(map, entries)?;
            self.within.pop();
        }
        Ok(())
    }

    /// Bounds what aliases can make of a small file.
    fn spend(&mut self, bytes: usize) -> Result<(), Refusal> {
        let Some(outermost) = self.within.first() else { return Ok(()) };
        self.aliased += bytes + 64;
        if self.aliased > MAX_ALIASED {
            return Err(Refusal::new(*outermost, "the aliases of this document make too much of it"));
        }
        Ok(())
    }
}

fn scalar_value(scalar: &Scalar) -> Option<Value> {
    match scalar::resolve(scalar)? {
        Resolved::Null => Some(Value::Null),
        Resolved::Bool(value) => Some(Value::Bool(value)),
        Resolved::Integer(value) => {
            i64::try_from(value).map(Value::from).or_else(|_| u64::try_from(value).map(Value::from)).ok()
        }
        Resolved::Float(value) => scalar::json_number(value),
        Resolved::Text => Some(Value::String(scalar.text.clone())),
    }
}

fn unreadable(scalar: &Scalar) -> &'static str {
    match scalar.tag {
        None | Some(crate::tree::Tag::Float) if scalar.form == Form::Plain => {
            "JSON has no such number; quote it if it is text"
        }
        _ => "the value is not what its tag says",
    }
}
