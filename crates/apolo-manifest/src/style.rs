//! How a document is indented, so that what is added looks like what is there.

use std::collections::HashMap;

use crate::text::{column, line_start, slice};
use crate::tree::{Id, Kind, Root, Style, Tree};

/// A document's habits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// How far a mapping in a mapping is indented.
    pub(crate) step: usize,
    /// How far the `-` of a list stands from the key that the list belongs to.
    pub(crate) dash: usize,
    /// How far an item's content stands from its `-`.
    pub(crate) item: usize,
}

impl Habits {
    /// What a document does most often; where it shows nothing, what kubectl writes.
    pub(crate) fn of(text: &str, tree: &Tree, root: &Root) -> Self {
        let (mut steps, mut dashes, mut items) = (Counts::default(), Counts::default(), Counts::default());
        for id in root.node..root.end {
            if let Some(step) = step(tree, id) {
                steps.add(step);
            }
            let Some(Kind::Sequence { style: Style::Block, dash, items: of }) = tree.node(id).map(|node| &node.kind)
            else {
                continue;
            };
            let at = column(text, *dash);
            if let Some(parent) = tree.node(id).and_then(|node| mapping_column(tree, node.parent?)) {
                dashes.add(at.saturating_sub(parent));
            }
            if let Some(content) = of.first().and_then(|item| item_width(text, tree, *item, *dash)) {
                items.add(content);
            }
        }
        Self {
            step: steps.most_often().unwrap_or(2),
            dash: dashes.most_often().unwrap_or(0),
            item: items.most_often().unwrap_or(2),
        }
    }

    /// The habits around a mapping: its own step where it or its parent shows one.
    pub(crate) fn near(self, tree: &Tree, mapping: Id) -> Self {
        let Some(node) = tree.node(mapping) else { return self };
        let Kind::Mapping { entries, .. } = &node.kind else { return self };
        let own = entries.iter().find_map(|entry| step(tree, entry.value)).or_else(|| step(tree, mapping));
        Self { step: own.unwrap_or(self.step), ..self }
    }
}

/// How far a block mapping is indented within a block mapping.
fn step(tree: &Tree, id: Id) -> Option<usize> {
    let own = mapping_column(tree, id)?;
    let parent = mapping_column(tree, tree.node(id)?.parent?)?;
    own.checked_sub(parent).filter(|step| *step > 0)
}

fn mapping_column(tree: &Tree, id: Id) -> Option<usize> {
    match tree.node(id)?.kind {
        Kind::Mapping { style: Style::Block, column, .. } => Some(column),
        _ => None,
    }
}

/// How far an item's content stands from its `-`, where it is on the same line.
pub(crate) fn item_width(text: &str, tree: &Tree, item: Id, dash: usize) -> Option<usize> {
    let start = tree.node(item)?.start;
    let between = slice(text, dash, start);
    (line_start(text, start) == line_start(text, dash) && !between.contains(['&', '!', '\t']) && start > dash + 1)
        .then(|| start - dash)
}

/// How often each number was seen.
#[derive(Default)]
struct Counts(HashMap<usize, usize>);

impl Counts {
    fn add(&mut self, number: usize) {
        *self.0.entry(number).or_default() += 1;
    }

    /// The number seen most often, the smaller one of two.
    fn most_often(&self) -> Option<usize> {
        self.0.iter().max_by_key(|(number, count)| (**count, usize::MAX - **number)).map(|(number, _)| *number)
    }
}
