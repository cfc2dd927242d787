//! Where additions go in the text of a block, and the lines that are inserted there.

use serde_json::Value;

use crate::manifest::Manifest;
use crate::style::{Habits, item_width};
use crate::text::{byte, column, indentation, line_end, line_start, next_line, rest, skip_trivia, slice};
use crate::tree::{Id, Kind, Node, Root, Style, Tree};
use crate::write::{Block, Flow};

/// Text to be inserted.
#[derive(Debug)]
pub(crate) struct Insertion {
    pub(crate) at: usize,
    /// Of two at one place, the one that belongs deeper comes first. A list may stand in the column of the keys around it,
    /// and is deeper still: so this is twice the column, and one more for a list.
    pub(crate) depth: usize,
    pub(crate) text: String,
}

/// How text is written into one document.
pub(crate) struct Writing<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) text: &'a str,
    pub(crate) tree: &'a Tree,
    habits: Habits,
    pub(crate) line_break: &'static str,
}

impl<'a> Writing<'a> {
    pub(crate) fn of(manifest: &'a Manifest, root: &Root) -> Self {
        let text = manifest.text.as_str();
        let start = manifest.tree.node(root.node).map_or(0, |node| node.start);
        let first = rest(text, line_start(text, start)).split_inclusive('\n').next().unwrap_or_default();
        let is_windows = first.ends_with("\r\n") || (!first.ends_with('\n') && text.contains("\r\n"));
        let habits = Habits::of(text, &manifest.tree, root);
        Self { manifest, text, tree: &manifest.tree, habits, line_break: if is_windows { "\r\n" } else { "\n" } }
    }

    pub(crate) fn keys(&self, id: Id, entries: &[(&str, &Value)]) -> Vec<Insertion> {
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

    pub(crate) fn items(&self, id: Id, items: &[&Value]) -> Vec<Insertion> {
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
    pub(crate) fn fill(&self, id: Id, value: &Value) -> Vec<Insertion> {
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
        let content = skip_trivia(self.text, at);
        let content = if content < self.text.len() { line_start(self.text, content).max(at) } else { content };
        let trivia = slice(self.text, at, content);
        Place { at, is_last: false, literal_from: trivia.lines().map(indentation).max().unwrap_or(0) }
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
