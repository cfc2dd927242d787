//! YAML text to a [`Tree`]: the parser's events, each with its place.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::error::Refusal;
use crate::event::{
    TAB, check_collection_tag, check_name, collection_style, end, options, scalar_tag, start, syntax_error, too_deep,
};
use crate::scalar::{self, Resolved};
use crate::text::{
    byte, column, indentation, line_end, line_start, next_line, rest, skip_properties, skip_trivia, slice,
};
use crate::tree::{Entry, Form, Id, Kind, Node, Root, Scalar, Style, Tag, Tree};
use crate::value::MAX_DEPTH;

/// Reads all documents of a file.
pub(crate) fn compose(text: &str) -> Result<Tree, Refusal> {
    let mut composer = Composer { text, tree: Tree::default(), open: Vec::new(), anchors: HashMap::new(), begin: 0 };
    let (mut documents, mut ended_at) = (0, 0);
    // kubectl reads the last line as if it ended, wherever it does not.
    let ended = if text.ends_with('\n') { Cow::Borrowed(text) } else { Cow::Owned(format!("{text}\n")) };
    let mut parser = Parser::new_from_str_with_options(&ended, options()).peekable();
    while let Some(event) = parser.next() {
        let (event, span) = event.map_err(|error| syntax_error(text, &error))?;
        let anchor = match parser.peek() {
            Some(Ok((Event::Anchor(_, name), _))) => Some(name.clone().into_owned()),
            _ => None,
        };
        match event {
            Event::DocumentStart(explicit, _) => {
                if documents > 0 && !explicit {
                    let words = "kubectl reads nothing behind \"...\" but what follows a line \"---\"; add that line";
                    return Err(Refusal::new(start(&span), words));
                }
                check_directives(text, ended_at, end(&span))?;
                documents += 1;
                composer.begin = if explicit { end(&span) } else { start(&span) };
            }
            Event::Scalar(value, style, id, tag) => {
                let tag = tag.map(|tag| scalar_tag(text, &tag, &span)).transpose()?;
                composer.scalar(value.into_owned(), style, &span, tag, (id, anchor))?;
            }
            Event::SequenceStart(style, id, tag) => {
                check_collection_tag(tag.as_deref(), "seq", &span)?;
                let kind = Kind::Sequence { style: collection_style(style, text, &span), dash: 0, items: Vec::new() };
                composer.open(kind, &span, (id, anchor));
            }
            Event::MappingStart(style, id, tag) => {
                check_collection_tag(tag.as_deref(), "map", &span)?;
                let style = collection_style(style, text, &span);
                let column = if style == Style::Block { column(text, start(&span)) } else { 0 };
                let kind = Kind::Mapping { style, column, entries: Vec::new() };
                composer.open(kind, &span, (id, anchor));
            }
            Event::Anchor(_, name) => check_name(&name, &span)?,
            Event::Alias(id) => {
                check_name(slice(text, start(&span) + 1, end(&span)), &span)?;
                composer.alias(id, &span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => composer.close(&span)?,
            Event::DocumentEnd => ended_at = start(&span),
            _ => {}
        }
    }
    Ok(composer.tree)
}

struct Composer<'a> {
    text: &'a str,
    tree: Tree,
    open: Vec<Open>,
    anchors: HashMap<usize, Id>,
    /// Where the content of the document begins.
    begin: usize,
}

/// A collection whose end has not come yet.
struct Open {
    node: Id,
    /// A key whose value has not come yet.
    key: Option<Id>,
    names: HashSet<String>,
    /// Behind what is known of it.
    cursor: usize,
    height: usize,
}

impl Composer<'_> {
    fn scalar(
        &mut self,
        value: String,
        style: ScalarStyle,
        span: &Span,
        tag: Option<Tag>,
        anchor: (usize, Option<String>),
    ) -> Result<(), Refusal> {
        let before = self.before(start(span));
        let mut node = Node {
            kind: Kind::Alias(0),
            parent: self.open.last().map(|open| open.node),
            before,
            start: start(span),
            end: end(span).min(self.text.len()),
            anchor: anchor.1,
            used: false,
            height: 1,
        };
        let form = match style {
            ScalarStyle::SingleQuoted => Form::Single,
            ScalarStyle::DoubleQuoted => Form::Double,
            ScalarStyle::Literal => Form::Literal(self.block_scalar(&mut node)),
            ScalarStyle::Folded => Form::Folded(self.block_scalar(&mut node)),
            _ => Form::Plain,
        };
        if form == Form::Plain && value.starts_with('?') && self.is_within_brackets() {
            return Err(Refusal::new(start(span), "kubectl takes this \"?\" as the mark of a key; quote it"));
        }
        let is_absent = form == Form::Plain && node.start == node.end;
        if is_absent {
            let named = tag.is_some() || node.anchor.is_some();
            node.start = if named { skip_properties(self.text, before) } else { before };
            node.end = node.start;
        }
        let text = if is_absent { String::new() } else { value };
        node.kind = Kind::Scalar(Scalar { text, form, tag });
        let id = self.push(node);
        if anchor.0 > 0 {
            self.anchors.insert(anchor.0, id);
        }
        self.complete(id)
    }

    fn is_within_brackets(&self) -> bool {
        let node = self.open.last().and_then(|open| self.tree.node(open.node));
        matches!(node.map(|node| &node.kind), Some(Kind::Mapping { style, .. } | Kind::Sequence { style, .. }) if *style != Style::Block)
    }

    /// Finds where a block scalar begins (at its header) and ends (with its last line); gives the indentation of its lines.
    fn block_scalar(&self, node: &mut Node) -> usize {
        let header = skip_trivia(self.text, skip_properties(self.text, node.before));
        let body = next_line(self.text, header).unwrap_or(self.text.len());
        let raw = slice(self.text, body, node.end);
        let marks = slice(self.text, header, line_end(self.text, header));
        let marks = marks.split('#').next().unwrap_or_default();
        let keeps = marks.contains('+');
        // Blanks behind the last line break belong to what follows, but where nothing does.
        let last = if keeps && node.end == self.text.len() { raw.len() } else { raw.trim_end_matches(' ').len() };
        let raw = slice(raw, 0, raw.rfind('\n').map_or(0, |at| at + 1).max(last));
        let lines = || raw.lines().filter(|line| !line.trim_matches(' ').is_empty());
        let indent = match marks.bytes().find(u8::is_ascii_digit) {
            Some(digit) => self.parent_indentation() + usize::from(digit - b'0'),
            None => lines().map(indentation).next().unwrap_or(usize::MAX),
        };
        let kept = if keeps {
            raw
        } else {
            let is_blank = |line: &str| line.trim_matches([' ', '\r', '\n']).is_empty() && indentation(line) <= indent;
            let blank: usize = raw.split_inclusive('\n').rev().take_while(|line| is_blank(line)).map(str::len).sum();
            slice(raw, 0, raw.len() - blank)
        };
        node.start = header;
        node.end = match kept.strip_suffix('\n') {
            Some(kept) => body + kept.strip_suffix('\r').unwrap_or(kept).len(),
            None if kept.is_empty() => line_end(self.text, header),
            None => body + kept.len(),
        };
        indent
    }

    /// The indentation that an indentation indicator counts from: that of the innermost block.
    fn parent_indentation(&self) -> usize {
        let nodes = self.open.iter().rev().filter_map(|open| self.tree.node(open.node));
        nodes
            .filter_map(|node| match node.kind {
                Kind::Mapping { style: Style::Block, column, .. } => Some(column),
                Kind::Sequence { style: Style::Block, dash, .. } => Some(column(self.text, dash)),
                _ => None,
            })
            .next()
            .unwrap_or(0)
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<(), Refusal> {
        let target = self.anchors.get(&anchor).copied().unwrap_or_default();
        let height = self.tree.node(target).map_or(0, |node| node.height);
        if height == 0 {
            return Err(Refusal::new(start(span), "the alias stands within what it stands for"));
        }
        if let Some(node) = self.tree.nodes.get_mut(target) {
            node.used = true;
        }
        let node = Node {
            kind: Kind::Alias(target),
            parent: self.open.last().map(|open| open.node),
            before: self.before(start(span)),
            start: start(span),
            end: end(span).min(self.text.len()),
            anchor: None,
            used: false,
            height,
        };
        let id = self.push(node);
        self.complete(id)
    }

    fn open(&mut self, kind: Kind, span: &Span, anchor: (usize, Option<String>)) {
        let before = self.before(start(span));
        let cursor = match kind {
            Kind::Sequence { style: Style::Block, .. } => skip_properties(self.text, before),
            _ => start(span),
        };
        let node = Node {
            kind,
            parent: self.open.last().map(|open| open.node),
            before,
            start: start(span),
            end: start(span),
            anchor: anchor.1,
            used: false,
            height: 0,
        };
        let id = self.push(node);
        if anchor.0 > 0 {
            self.anchors.insert(anchor.0, id);
        }
        self.open.push(Open { node: id, key: None, names: HashSet::new(), cursor, height: 0 });
    }

    fn close(&mut self, span: &Span) -> Result<(), Refusal> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        if let Some(node) = self.tree.nodes.get_mut(open.node) {
            let style = match &node.kind {
                Kind::Sequence { style, .. } | Kind::Mapping { style, .. } => *style,
                _ => Style::Flow,
            };
            node.end = if style == Style::Flow { end(span) } else { open.cursor };
            node.height = open.height + 1;
            if node.height > MAX_DEPTH {
                return Err(Refusal::new(node.start, too_deep()));
            }
        }
        self.complete(open.node)
    }

    fn push(&mut self, node: Node) -> Id {
        self.tree.nodes.push(node);
        self.tree.nodes.len() - 1
    }

    /// Behind what introduces the node that comes now: a `:`, a `-`, or the beginning of the document.
    fn before(&mut self, start: usize) -> usize {
        let Some(open) = self.open.last_mut() else { return self.begin };
        if let Some(key) = open.key {
            let end = self.tree.nodes.get(key).map_or(start, |key| key.end);
            let colon = skip_trivia(self.text, end);
            return if byte(self.text, colon) == b':' { colon + 1 } else { end };
        }
        let Some(Kind::Sequence { style: Style::Block, dash, items }) =
            self.tree.nodes.get_mut(open.node).map(|node| &mut node.kind)
        else {
            return start;
        };
        let found = skip_trivia(self.text, open.cursor);
        if items.is_empty() {
            *dash = found;
        }
        if rest(self.text, found).starts_with('-') { found + 1 } else { start }
    }

    /// Puts a complete node where it belongs.
    fn complete(&mut self, id: Id) -> Result<(), Refusal> {
        let (end, height) = self.tree.node(id).map_or((0, 0), |node| (node.end, node.height));
        let Some(open) = self.open.last_mut() else {
            return self.complete_document(id);
        };
        open.cursor = open.cursor.max(end);
        open.height = open.height.max(height);
        let parent = open.node;
        if open.key.is_none() && self.tree.node(parent).is_some_and(|it| matches!(it.kind, Kind::Mapping { .. })) {
            open.key = Some(id);
            return Ok(());
        }
        let Some(key) = open.key.take() else {
            if let Some(Node { kind: Kind::Sequence { items, .. }, .. }) = self.tree.nodes.get_mut(parent) {
                items.push(id);
            }
            return Ok(());
        };
        check_colon(self.text, &self.tree, parent, key)?;
        let (name, merge) = key_name(&self.tree, key)?;
        if !open.names.insert(name.clone()) {
            let at = self.tree.node(key).map_or(0, |key| key.start);
            return Err(Refusal::new(at, "the key stands here a second time"));
        }
        if let Some(Node { kind: Kind::Mapping { entries, .. }, .. }) = self.tree.nodes.get_mut(parent) {
            entries.push(Entry { key, value: id, name, merge });
        }
        Ok(())
    }

    fn complete_document(&mut self, id: Id) -> Result<(), Refusal> {
        match self.tree.node(id) {
            Some(Node { kind: Kind::Scalar(it), .. }) if scalar::resolve(it) == Some(Resolved::Null) => Ok(()),
            Some(Node { kind: Kind::Scalar(_), start, .. }) => {
                Err(Refusal::new(*start, "the document is not a mapping"))
            }
            Some(Node { start, .. }) => {
                check_indentation(self.text, *start)?;
                self.tree.roots.push(Root { node: id, end: self.tree.nodes.len() });
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// kubectl takes a file apart before it reads it, so that a directive is one document to it, and what follows is another.
fn check_directives(text: &str, from: usize, to: usize) -> Result<(), Refusal> {
    let lines = slice(text, from, to).split_inclusive('\n');
    let mut at = from;
    for line in lines {
        if line.starts_with('%') && at == line_start(text, at) {
            return Err(Refusal::new(at, "kubectl takes no directive such as %YAML; remove it"));
        }
        at += line.len();
    }
    Ok(())
}

/// A document that begins behind a tab is none to kubectl.
fn check_indentation(text: &str, start: usize) -> Result<(), Refusal> {
    let line = line_start(text, start);
    let before = slice(text, line, start);
    match before.find('\t') {
        Some(tab) if before.trim_ascii().is_empty() => Err(Refusal::new(line + tab, TAB)),
        _ => Ok(()),
    }
}

/// A key as kubectl makes a string of it, and whether it is the merge key.
fn key_name(tree: &Tree, key: Id) -> Result<(String, bool), Refusal> {
    let at = tree.node(key).map_or(0, |key| key.start);
    let Some((_, Node { kind: Kind::Scalar(scalar), .. })) = tree.resolved(key) else {
        return Err(Refusal::new(at, "the key is not a string"));
    };
    let merge = scalar.form == Form::Plain && scalar.tag.is_none() && scalar.text == "<<";
    match scalar::resolve(scalar) {
        Some(Resolved::Text) => Ok((scalar.text.clone(), merge)),
        Some(Resolved::Bool(value)) => Ok((value.to_string(), false)),
        Some(Resolved::Integer(value)) if i64::try_from(value).is_ok() => Ok((value.to_string(), false)),
        _ => Err(Refusal::new(at, "the key is not a string; quote it")),
    }
}

/// In brackets, kubectl takes a `:` without a blank behind it as a part of a plain key.
fn check_colon(text: &str, tree: &Tree, mapping: Id, key: Id) -> Result<(), Refusal> {
    let is_block = matches!(tree.node(mapping), Some(Node { kind: Kind::Mapping { style: Style::Block, .. }, .. }));
    let Some(Node { kind: Kind::Scalar(Scalar { form: Form::Plain, .. }) | Kind::Alias(_), end, .. }) = tree.node(key)
    else {
        return Ok(());
    };
    let colon = skip_trivia(text, *end);
    let is_close = byte(text, colon) == b':' && matches!(byte(text, colon + 1), b',' | b'[' | b']' | b'{' | b'}');
    if is_close && !is_block {
        return Err(Refusal::new(colon, "kubectl takes this \":\" as a part of the key; put a blank behind it"));
    }
    Ok(())
}
