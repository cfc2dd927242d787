//! Additions to a file: each becomes text and the place where it is inserted; the result is read again before it is handed out.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{AddError, Refusal};
use crate::manifest::Manifest;
use crate::place::{merged, tokens};
use crate::style::{Habits, item_width};
use crate::text::{byte, column, indentation, line_end, line_start, next_line, rest, skip_trivia, slice};
use crate::tree::{Entry, Id, Kind, Node, Root, Style, Tree};
use crate::write::{Block, Flow, entries_of};

/// An operation of a JSON Patch (RFC 6902), of which there is only `add` here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Adds a key to a mapping, appends to a list (`/-`), or fills what is null or empty.
    Add {
        /// A JSON Pointer (RFC 6901).
        path: String,
        /// What is added there.
        value: Value,
    },
}

/// Inserts text for all operations, and proves the result.
pub(crate) fn add(
    manifest: &Manifest,
    edits: impl IntoIterator<Item = (usize, Vec<Operation>)>,
) -> Result<String, AddError> {
    let mut by_document: BTreeMap<usize, Vec<Operation>> = BTreeMap::new();
    for (document, operations) in edits {
        by_document.entry(document).or_default().extend(operations);
    }
    let refused = |refusal: Refusal| AddError { position: manifest.position(refusal.at), words: refusal.words };
    let mut insertions = Vec::new();
    let mut expected = HashMap::new();
    for (document, operations) in by_document {
        let (root, json) = manifest
            .root(document)
            .ok_or_else(|| refused(Refusal::new(0, format!("there is no document {document} in this file"))))?;
        let plan = Plan::of(manifest, root, json, operations).map_err(refused)?;
        insertions.extend(plan.insertions());
        expected.insert(document, (root, plan.json));
    }
    insertions.sort_by_key(|it: &Insertion| (it.at, usize::MAX - it.depth));
    let result = insert(&manifest.text, &insertions);
    prove(manifest, &insertions, &expected, &result).map_err(refused)?;
    Ok(if manifest.has_mark { format!("\u{feff}{result}") } else { result })
}

/// Text to be inserted.
#[derive(Debug)]
struct Insertion {
    at: usize,
    /// Of two at one place, the one that belongs deeper comes first. A list may stand in the column of the keys around it,
    /// and is deeper still: so this is twice the column, and one more for a list.
    depth: usize,
    text: String,
}

fn insert(text: &str, insertions: &[Insertion]) -> String {
    let added: usize = insertions.iter().map(|it| it.text.len()).sum();
    let mut out = String::with_capacity(text.len() + added);
    let mut done = 0;
    for insertion in insertions {
        out.push_str(slice(text, done, insertion.at));
        out.push_str(&insertion.text);
        done = insertion.at;
    }
    out.push_str(rest(text, done));
    out
}

/// Nothing leaves here that does not read as the patched documents, or that is not the old text but for what was inserted.
fn prove(
    manifest: &Manifest,
    insertions: &[Insertion],
    expected: &HashMap<usize, (&Root, Value)>,
    result: &str,
) -> Result<(), Refusal> {
    let first = insertions.first().map_or(0, |it| it.at);
    let unproven =
        |at: usize| Refusal::new(at, "nothing can be added here without changing what is there; use -o json");
    let mut left = String::with_capacity(manifest.text.len());
    let (mut done, mut shift) = (0, 0);
    for insertion in insertions {
        left.push_str(slice(result, done + shift, insertion.at + shift));
        (done, shift) = (insertion.at, shift + insertion.text.len());
    }
    left.push_str(rest(result, done + shift));
    let again = Manifest::read(result.as_bytes()).map_err(|_| unproven(first))?;
    if left != manifest.text
        || again.is_json != manifest.is_json
        || again.documents().len() != manifest.documents().len()
    {
        return Err(unproven(first));
    }
    for (index, (before, after)) in manifest.documents().zip(again.documents()).enumerate() {
        let wanted = expected.get(&index).map_or(before.json(), |(_, json)| json);
        if after.json() != wanted {
            let at =
                expected.get(&index).and_then(|(root, _)| manifest.tree.node(root.node)).map_or(first, |it| it.start);
            return Err(unproven(at));
        }
    }
    Ok(())
}

/// What is to be added to one document.
struct Plan<'a> {
    manifest: &'a Manifest,
    root: &'a Root,
    /// The document with all operations applied.
    json: Value,
    additions: Vec<Addition>,
    /// By path.
    index: HashMap<String, usize>,
    appended: HashMap<Id, usize>,
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
    fn of(manifest: &'a Manifest, root: &'a Root, json: &Value, operations: Vec<Operation>) -> Result<Self, Refusal> {
        let (index, appended) = (HashMap::new(), HashMap::new());
        let mut plan = Self { manifest, root, json: json.clone(), additions: Vec::new(), index, appended };
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
            Some(Kind::Mapping { entries, .. }) => {
                match entries.iter().find(|entry| !entry.merge && entry.name == last) {
                    Some(entry) => self.present(entry.value, value).map(|target| (path.to_owned(), target)),
                    None => {
                        self.check_not_merged(entries, &last)?;
                        Ok((path.to_owned(), Target::Key(parent, last)))
                    }
                }
            }
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

    fn child(&self, parent: Id, name: &str) -> Result<Id, Refusal> {
        let node = self.manifest.tree.node(parent);
        let at = node.map_or(0, |node| node.start);
        let found = match node.map(|node| &node.kind) {
            Some(Kind::Mapping { entries, .. }) => {
                let own = entries.iter().find(|entry| !entry.merge && entry.name == name).map(|entry| entry.value);
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
    fn insertions(&self) -> Vec<Insertion> {
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

/// How text is written into one document.
struct Writing<'a> {
    manifest: &'a Manifest,
    text: &'a str,
    tree: &'a Tree,
    habits: Habits,
    line_break: &'static str,
}

impl<'a> Writing<'a> {
    fn of(manifest: &'a Manifest, root: &Root) -> Self {
        let text = manifest.text.as_str();
        let start = manifest.tree.node(root.node).map_or(0, |node| node.start);
        let first = rest(text, line_start(text, start)).split_inclusive('\n').next().unwrap_or_default();
        let is_windows = first.ends_with("\r\n") || (!first.ends_with('\n') && text.contains("\r\n"));
        let habits = Habits::of(text, &manifest.tree, root);
        Self { manifest, text, tree: &manifest.tree, habits, line_break: if is_windows { "\r\n" } else { "\n" } }
    }

    fn keys(&self, id: Id, entries: &[(&str, &Value)]) -> Vec<Insertion> {
        let Some(node) = self.tree.node(id) else { return Vec::new() };
        let Kind::Mapping { style, column, entries: there } = &node.kind else { return Vec::new() };
        if *style == Style::Block {
            let place = self.behind(node);
            let block = self.block(&place, self.habits.near(self.tree, id));
            return vec![place.insertion(self, 2 * column, block.entries(*column, entries.iter().copied()))];
        }
        let last = there.last().and_then(|entry| Some((self.tree.node(entry.key)?, self.tree.node(entry.value)?)));
        let quoted = last.is_some_and(|(key, _)| byte(self.text, key.start) == b'"');
        let flow = Flow { is_json: self.manifest.is_json || quoted, is_tight: self.is_tight(node), lines: None };
        let parts = |flow: &Flow| entries.iter().map(|(name, value)| flow.entry(name, value)).collect();
        self.flow(node, last.map(|(key, value)| (key.start, value.end)), flow, parts)
    }

    fn items(&self, id: Id, items: &[&Value]) -> Vec<Insertion> {
        let Some(node) = self.tree.node(id) else { return Vec::new() };
        let Kind::Sequence { style, dash, items: there } = &node.kind else { return Vec::new() };
        if *style == Style::Block {
            let place = self.behind(node);
            let width = there.first().and_then(|item| item_width(self.text, self.tree, *item, *dash));
            let habits = Habits { item: width.unwrap_or(self.habits.item), ..self.habits };
            let column = column(self.text, *dash);
            let block = self.block(&place, habits);
            return vec![place.insertion(self, 2 * column + 1, block.items(column, items.iter().copied()))];
        }
        let last = there.last().and_then(|item| self.tree.node(*item));
        let quoted = last.is_some_and(|item| byte(self.text, item.start) == b'"');
        let flow = Flow { is_json: self.manifest.is_json || quoted, is_tight: self.is_tight(node), lines: None };
        let parts = |flow: &Flow| items.iter().map(|value| flow.value(value)).collect();
        self.flow(node, last.map(|item| (item.start, item.end)), flow, parts)
    }

    /// Behind a `:` that has nothing behind it.
    fn fill(&self, id: Id, value: &Value) -> Vec<Insertion> {
        let Some(node) = self.tree.node(id) else { return Vec::new() };
        let is_collection =
            value.as_object().is_some_and(|it| !it.is_empty()) || value.as_array().is_some_and(|it| !it.is_empty());
        let parent = node.parent.and_then(|parent| Some((parent, self.tree.node(parent)?)));
        match parent {
            Some((parent, Node { kind: Kind::Mapping { style: Style::Block, column, .. }, .. })) if is_collection => {
                let place = self.behind(node);
                let block = self.block(&place, self.habits.near(self.tree, parent));
                let mut text = String::new();
                block.value(&mut text, *column, value);
                let text = text.strip_prefix(block.line_break).unwrap_or(&text).to_owned();
                vec![place.insertion(self, 2 * column + 1, text)]
            }
            _ => vec![Insertion { at: node.end, depth: 0, text: format!(" {}", Flow::default().value(value)) }],
        }
    }

    fn block(&self, place: &Place, habits: Habits) -> Block<'_> {
        Block { habits, line_break: self.line_break, literal_from: place.literal_from }
    }

    /// The line behind a block's last content, and behind the comment that belongs to that.
    fn behind(&self, node: &Node) -> Place {
        let end = line_end(self.text, node.end);
        let comment = slice(self.text, node.end, end).find('#').map(|at| column(self.text, node.end + at));
        let mut next = next_line(self.text, node.end);
        while let Some(at) = next {
            let line = slice(self.text, at, line_end(self.text, at));
            if !line.trim_start_matches(' ').starts_with('#') || Some(indentation(line)) != comment {
                break;
            }
            next = next_line(self.text, at);
        }
        let Some(at) = next else { return Place { at: self.text.len(), is_last: true, literal_from: usize::MAX } };
        let trivia = slice(self.text, at, line_start(self.text, skip_trivia(self.text, at)).max(at));
        Place { at, is_last: false, literal_from: trivia.lines().map(indentation).max().unwrap_or(0) }
    }

    /// Text for a collection in brackets, whose last part begins and ends as given.
    fn flow(
        &self,
        node: &Node,
        last: Option<(usize, usize)>,
        flow: Flow,
        parts: impl Fn(&Flow) -> Vec<String>,
    ) -> Vec<Insertion> {
        let depth = 0;
        let Some((start, end)) = last else {
            let flow = self.like_outside(node, flow);
            let text = flow.parts(parts(&flow.inner()).into_iter());
            return vec![Insertion { at: node.start + 1, depth, text }];
        };
        let is_line = |at: usize| slice(self.text, line_start(self.text, at), at).trim_matches([' ', '\t']).is_empty();
        let comma = skip_trivia(self.text, end);
        let comma = (byte(self.text, comma) == b',').then_some(comma);
        if !is_line(start) {
            let parts = parts(&flow).join(if flow.is_tight { "," } else { ", " });
            let blank = if flow.is_tight { "" } else { " " };
            let text = if comma.is_some() { format!("{blank}{parts}") } else { format!(",{blank}{parts}") };
            return vec![Insertion { at: comma.map_or(end, |comma| comma + 1), depth, text }];
        }
        let begin = format!("{}{}", self.line_break, slice(self.text, line_start(self.text, start), start));
        let step = self.flow_step(node, &begin);
        let is_compact =
            matches!(byte(self.text, end - 1), b'}' | b']') && !slice(self.text, start, end).contains('\n');
        let flow = Flow { lines: (!is_compact).then(|| (begin.clone(), step)), ..flow };
        let parts: Vec<String> = parts(&flow);
        let (behind, closing) = comma.map_or((end, ""), |comma| (comma + 1, ","));
        let text = format!("{begin}{}{closing}", parts.join(&format!(",{begin}")));
        let line = line_end(self.text, behind);
        let is_comment = slice(self.text, behind, line).trim_start().starts_with('#');
        let (comma, at) = if comma.is_some() { ("", behind) } else { (",", behind) };
        if is_comment {
            let text = Insertion { at: line, depth, text };
            return vec![Insertion { at, depth, text: comma.to_owned() }, text];
        }
        vec![Insertion { at, depth, text: format!("{comma}{text}") }]
    }

    /// Whether no blanks stand around the `:` of a JSON file here.
    fn is_tight(&self, node: &Node) -> bool {
        let mut node = node;
        while let Some(parent) = node.parent.and_then(|parent| self.tree.node(parent)) {
            if matches!(parent.kind, Kind::Mapping { .. }) {
                break;
            }
            node = parent;
        }
        let value = match &node.kind {
            Kind::Mapping { entries, .. } if node.parent.is_none() => {
                entries.first().and_then(|entry| self.tree.node(entry.value)).unwrap_or(node)
            }
            _ => node,
        };
        self.manifest.is_json && value.before == value.start
    }

    /// How empty brackets are filled: over several lines where those around them are.
    fn like_outside(&self, node: &Node, flow: Flow) -> Flow {
        let outside = node.parent.and_then(|parent| self.tree.node(parent));
        let is_block = |node: &Node| {
            matches!(node.kind, Kind::Mapping { style: Style::Block, .. } | Kind::Sequence { style: Style::Block, .. })
        };
        let Some(outside) = outside.filter(|outside| !is_block(outside)) else { return flow };
        let first = skip_trivia(self.text, outside.start + 1);
        let is_json = flow.is_json || byte(self.text, first) == b'"';
        let lines = (line_start(self.text, first) > outside.start).then(|| {
            let start = line_start(self.text, node.start);
            let line = slice(self.text, start, self.text.len());
            let blanks = slice(line, 0, line.len() - line.trim_start_matches([' ', '\t']).len());
            let begin = format!("{}{blanks}", self.line_break);
            let step = self.flow_step(outside, &begin);
            (begin, step)
        });
        Flow { is_json, lines, ..flow }
    }

    /// What a line within brackets has more in front than the line of the brackets themselves.
    fn flow_step(&self, node: &Node, inner: &str) -> String {
        let line = rest(self.text, line_start(self.text, node.start));
        let outer = slice(line, 0, line.len() - line.trim_start_matches([' ', '\t']).len());
        inner
            .trim_start_matches(['\r', '\n'])
            .strip_prefix(outer)
            .filter(|step| !step.is_empty())
            .unwrap_or("  ")
            .to_owned()
    }
}

/// Where lines are inserted.
struct Place {
    at: usize,
    /// Behind the last line, which has no line break.
    is_last: bool,
    literal_from: usize,
}

impl Place {
    fn insertion(&self, writing: &Writing<'_>, depth: usize, lines: String) -> Insertion {
        let text = if self.is_last {
            format!("{}{}", writing.line_break, lines.strip_suffix(writing.line_break).unwrap_or(&lines))
        } else {
            lines
        };
        Insertion { at: self.at, depth, text }
    }
}
