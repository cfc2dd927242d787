//! Where additions go within brackets, in YAML and in JSON files.

use crate::insert::{Insertion, Writing};
use crate::text::{byte, line_end, line_start, rest, skip_trivia, slice};
use crate::tree::{Kind, Node, Style};
use crate::write::Flow;

impl Writing<'_> {
    /// Text for a collection in brackets, whose last part begins and ends as given.
    pub(crate) fn flow(
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
        let like = slice(self.text, start, end);
        let is_compact =
            like.ends_with(['}', ']']) && !like.ends_with("{}") && !like.ends_with("[]") && !like.contains('\n');
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
    pub(crate) fn is_tight(&self, node: &Node) -> bool {
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
