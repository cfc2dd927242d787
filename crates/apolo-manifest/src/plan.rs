//! What is to be added to one document: for each operation, the collection that it goes into or the value that it fills.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::error::Refusal;
use crate::insert::{Insertion, Writing};
use crate::manifest::Manifest;
use crate::operation::Operation;
use crate::place::{merged, tokens};
use crate::text::{rest, slice};
use crate::tree::{Entry, Id, Kind, Root, Style};
use crate::write::entries_of;

/// What is to be added to one document.
pub(crate) struct Plan<'a> {
    manifest: &'a Manifest,
    root: &'a Root,
    /// The document with all operations applied.
    pub(crate) json: Value,
    additions: Vec<Addition>,
    /// By path.
    index: HashMap<String, usize>,
    appended: HashMap<Id, usize>,
    /// The keys of the mappings that were looked into.
    names: HashMap<Id, HashMap<&'a str, Id>>,
}

/// One value, and what it is added to.
struct Addition {
    target: Target,
    value: Value,
}

enum Target {
    Key(Id, String),
    Item(Id),
    /// Something null or empty.
    Fill(Id),
    /// It is there already.
    Nothing,
}

impl<'a> Plan<'a> {
    pub(crate) fn of(
        manifest: &'a Manifest,
        root: &'a Root,
        json: &Value,
        operations: Vec<Operation>,
    ) -> Result<Self, Refusal> {
        let mut plan = Self {
            manifest,
            root,
            json: json.clone(),
            additions: Vec::new(),
            index: HashMap::new(),
            appended: HashMap::new(),
            names: HashMap::new(),
        };
        for Operation::Add { path, value } in operations {
            let at = manifest.tree.node(root.node).map_or(0, |node| node.start);
            apply(&mut plan.json, &path, &value).map_err(|words| Refusal::new(at, words))?;
            plan.add(&path, value)?;
        }
        Ok(plan)
    }

    fn add(&mut self, path: &str, value: Value) -> Result<(), Refusal> {
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let known = self.index.get(slice(path, 0, end)).and_then(|index| self.additions.get_mut(*index));
            if let Some(addition) = known {
                if matches!(addition.target, Target::Nothing) {
                    continue;
                }
                let at = self.manifest.tree.node(self.root.node).map_or(0, |node| node.start);
                return apply(&mut addition.value, rest(path, end), &value).map_err(|words| Refusal::new(at, words));
            }
        }
        let (path, target) = self.target(path, &value)?;
        self.index.insert(path, self.additions.len());
        self.additions.push(Addition { target, value });
        Ok(())
    }

    /// What a path means in the document as it is written, and the path with `-` made a number.
    fn target(&mut self, path: &str, value: &Value) -> Result<(String, Target), Refusal> {
        let tree = &self.manifest.tree;
        let mut names: Vec<String> = tokens(path).collect();
        let Some(last) = names.pop() else {
            return self.present(self.root.node, value).map(|target| (path.to_owned(), target));
        };
        let mut parent = self.root.node;
        for name in &names {
            self.check_own(parent)?;
            parent = self.child(parent, name)?;
        }
        self.check_own(parent)?;
        let at = tree.node(parent).map_or(0, |node| node.start);
        match tree.node(parent).map(|node| &node.kind) {
            Some(Kind::Mapping { entries, .. }) => match self.own(parent, entries, &last) {
                Some(id) => self.present(id, value).map(|target| (path.to_owned(), target)),
                None => {
                    self.check_not_merged(entries, &last)?;
                    Ok((path.to_owned(), Target::Key(parent, last)))
                }
            },
            Some(Kind::Sequence { items, .. }) => {
                let appended = self.appended.entry(parent).or_default();
                let next = items.len() + *appended;
                if last != "-" && last != next.to_string() {
                    return Err(Refusal::new(at, "something can only be added to the end of this list"));
                }
                *appended += 1;
                let base = slice(path, 0, path.rfind('/').unwrap_or(0));
                Ok((format!("{base}/{next}"), Target::Item(parent)))
            }
            _ => Err(Refusal::new(at, "nothing can be added within this value")),
        }
    }

    fn child(&mut self, parent: Id, name: &str) -> Result<Id, Refusal> {
        let node = self.manifest.tree.node(parent);
        let at = node.map_or(0, |node| node.start);
        let found = match node.map(|node| &node.kind) {
            Some(Kind::Mapping { entries, .. }) => {
                let own = self.own(parent, entries, name);
                if own.is_none() {
                    self.check_not_merged(entries, name)?;
                }
                own
            }
            Some(Kind::Sequence { items, .. }) => name.parse().ok().and_then(|index: usize| items.get(index)).copied(),
            _ => None,
        };
        found.ok_or_else(|| Refusal::new(at, "the path of what is to be added does not lead anywhere here"))
    }

    /// The value of a mapping's own key.
    fn own(&mut self, mapping: Id, entries: &'a [Entry], name: &str) -> Option<Id> {
        let own = entries.iter().filter(|entry| !entry.merge).map(|entry| (entry.name.as_str(), entry.value));
        self.names.entry(mapping).or_insert_with(|| own.collect()).get(name).copied()
    }

    /// What stands there already: it may be filled where it is null or empty.
    fn present(&self, id: Id, value: &Value) -> Result<Target, Refusal> {
        self.check_own(id)?;
        let tree = &self.manifest.tree;
        let there = crate::value::value(tree, id)?;
        let Some(node) = tree.node(id) else { return Ok(Target::Nothing) };
        let is_absent = node.start == node.end;
        let is_empty = match &node.kind {
            Kind::Mapping { entries, style: Style::Flow, .. } => entries.is_empty() && value.is_object(),
            Kind::Sequence { items, style: Style::Flow, .. } => items.is_empty() && value.is_array(),
            Kind::Scalar(_) => is_absent && there.is_null(),
            _ => false,
        };
        if there == *value {
            Ok(Target::Nothing)
        } else if is_empty {
            Ok(Target::Fill(id))
        } else if there.is_null() {
            Err(Refusal::new(node.start, "null stands here; remove that word, or use -o json"))
        } else {
            Err(Refusal::new(node.start, "another value stands here already; remove it, or use -o json"))
        }
    }

    /// Refuses to change what is written once and stands in several places.
    fn check_own(&self, id: Id) -> Result<(), Refusal> {
        let Some(node) = self.manifest.tree.node(id) else { return Ok(()) };
        let (source, name) = match node.kind {
            Kind::Alias(target) => {
                let source = self.manifest.tree.node(target);
                (source, source.and_then(|source| source.anchor.as_ref()))
            }
            _ if node.used => (Some(node), node.anchor.as_ref()),
            _ => return Ok(()),
        };
        let line = source.map_or(0, |source| self.manifest.position(source.start).line);
        let name = name.map_or("", String::as_str);
        let words = match node.kind {
            Kind::Alias(_) => {
                format!("this comes from line {line}, by the alias *{name}; write it out here, or use -o json")
            }
            _ => format!(
                "what stands here is used elsewhere too, by the alias *{name}; write it out there, or use -o json"
            ),
        };
        Err(Refusal::new(node.start, words))
    }

    fn check_not_merged(&self, entries: &[Entry], name: &str) -> Result<(), Refusal> {
        let tree = &self.manifest.tree;
        for entry in entries.iter().filter(|entry| entry.merge) {
            if let Some(found) = merged(tree, entry.value, name) {
                let at = tree.node(entry.key).map_or(0, |key| key.start);
                let line = self.manifest.position(tree.node(found.value).map_or(0, |it| it.start)).line;
                let words = format!(
                    "a part of this comes from line {line}, by the merge key <<; write it out here, or use -o json"
                );
                return Err(Refusal::new(at, words));
            }
        }
        Ok(())
    }

    /// The text for all additions: those to one collection together.
    pub(crate) fn insertions(&self) -> Vec<Insertion> {
        let text = Writing::of(self.manifest, self.root);
        let mut keys: BTreeMap<Id, Vec<(&str, &Value)>> = BTreeMap::new();
        let mut items: BTreeMap<Id, Vec<&Value>> = BTreeMap::new();
        let mut insertions = Vec::new();
        for addition in &self.additions {
            match &addition.target {
                Target::Key(mapping, name) => keys.entry(*mapping).or_default().push((name, &addition.value)),
                Target::Item(list) => items.entry(*list).or_default().push(&addition.value),
                Target::Fill(id) => match (self.manifest.tree.node(*id).map(|node| &node.kind), &addition.value) {
                    (Some(Kind::Mapping { .. }), value) => keys.entry(*id).or_default().extend(entries_of(value)),
                    (Some(Kind::Sequence { .. }), Value::Array(list)) => items.entry(*id).or_default().extend(list),
                    (_, value) => insertions.extend(text.fill(*id, value)),
                },
                Target::Nothing => {}
            }
        }
        insertions.extend(keys.iter().flat_map(|(mapping, entries)| text.keys(*mapping, entries)));
        insertions.extend(items.iter().flat_map(|(list, items)| text.items(*list, items)));
        insertions
    }
}

/// Applies an `add` to JSON, by the same crate that reads patches elsewhere: the measure of what the text has to say.
fn apply(json: &mut Value, path: &str, value: &Value) -> Result<(), String> {
    let path = json_patch::jsonptr::PointerBuf::parse(path.to_owned())
        .map_err(|_| "the path of what is to be added is no JSON Pointer".to_owned())?;
    let operation = json_patch::PatchOperation::Add(json_patch::AddOperation { path, value: value.clone() });
    json_patch::patch(json, &[operation])
        .map_err(|_| "the path of what is to be added does not lead anywhere in this document".to_owned())
}
