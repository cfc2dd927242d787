//! A file as a tree: what stands in it, and where.

/// A node's place in [`Tree::nodes`].
pub(crate) type Id = usize;

/// All documents of a file.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Parents stand before their children.
    pub(crate) nodes: Vec<Node>,
    pub(crate) roots: Vec<Root>,
}

/// A document that is not empty.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) node: Id,
    /// One past its last node.
    pub(crate) end: Id,
}

/// A value, or the key of one.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) parent: Option<Id>,
    /// Behind what introduces it: the `:` of its key, or its `-`.
    pub(crate) before: usize,
    /// Where it begins, without its anchor and tag.
    pub(crate) start: usize,
    /// Where its content ends: of a block, where that of its last part does.
    pub(crate) end: usize,
    pub(crate) anchor: Option<String>,
    /// Whether an alias stands for it somewhere.
    pub(crate) used: bool,
    /// How many levels it has, itself included; 0 until it is complete.
    pub(crate) height: usize,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Scalar(Scalar),
    Sequence {
        style: Style,
        /// Where the first `-` is, in a block.
        dash: usize,
        items: Vec<Id>,
    },
    Mapping {
        style: Style,
        /// The column of the keys in bytes, from 0, in a block.
        column: usize,
        entries: Vec<Entry>,
    },
    Alias(Id),
}

/// How a collection is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Block,
    /// In brackets.
    Flow,
    /// One pair within a sequence's brackets, without braces of its own.
    Pair,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Id,
    pub(crate) value: Id,
    /// The key as JSON has it.
    pub(crate) name: String,
    /// A plain `<<`.
    pub(crate) merge: bool,
}

#[derive(Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) form: Form,
    pub(crate) tag: Option<Tag>,
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Single,
    Double,
    /// `|`, with the indentation of its lines.
    Literal(usize),
    /// `>`, with the indentation of its lines.
    Folded(usize),
    /// A string, number or word of a JSON file.
    Json,
}

/// The tags that YAML itself has for scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Str,
    Int,
    Float,
    Bool,
    Null,
}

impl Tree {
    pub(crate) fn node(&self, id: Id) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// What an alias stands for, or the node itself.
    pub(crate) fn resolved(&self, id: Id) -> Option<(Id, &Node)> {
        let node = self.node(id)?;
        match node.kind {
            Kind::Alias(target) => Some((target, self.node(target)?)),
            _ => Some((id, node)),
        }
    }
}
