//! What an event of the YAML parser says: its place, tag and style, and an error in words of ours.

use granit_parser::{ErrorKind, Options, Span, StructureStyle};

use crate::error::Refusal;
use crate::text::byte;
use crate::tree::{Style, Tag};
use crate::value::MAX_DEPTH;

/// kubectl ends the name of an anchor before any other character.
pub(crate) fn check_name(name: &str, span: &Span) -> Result<(), Refusal> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.bytes().all(is_part) {
        return Ok(());
    }
    Err(Refusal::new(start(span), "the name of an anchor may have letters, digits, \"-\" and \"_\" only"))
}

pub(crate) fn options() -> Options {
    let mut options = Options::default();
    options.emit_comments = false;
    options.emit_anchor_events = true;
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    options
}

/// An event's beginning. The parser knows byte offsets, since it reads from a string.
pub(crate) fn start(span: &Span) -> usize {
    span.start.byte_offset().unwrap_or_default()
}

pub(crate) fn end(span: &Span) -> usize {
    span.end.byte_offset().unwrap_or_default()
}

/// In words of ours where the parser's are about its own state, or could hold a character of the text.
pub(crate) fn syntax_error(text: &str, error: &granit_parser::ScanError) -> Refusal {
    let at = error.marker().byte_offset().unwrap_or(text.len());
    let words = match error.kind() {
        ErrorKind::RecursionLimitExceeded => too_deep(),
        ErrorKind::UnexpectedCharacter { .. } if byte(text, at) == b'\t' => TAB.to_owned(),
        kind => our_words(kind).map_or_else(|| kind.to_string(), str::to_owned),
    };
    Refusal::new(at, words)
}

pub(crate) const TAB: &str = "a tab cannot be used as indentation; use blanks";

fn our_words(kind: &ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar => TAB,
        ErrorKind::UnknownAnchor => "the alias has no anchor before it",
        ErrorKind::ExpectedDocumentStart => {
            "this does not belong to what stands before it: its indentation does not fit, or a line \"---\" is missing"
        }
        ErrorKind::ExpectedBlockMappingKey => "a key is expected here, at the indentation of those before it",
        ErrorKind::ExpectedBlockSequenceEntry => "a \"-\" is expected here, at the indentation of those before it",
        ErrorKind::SimpleKeyExpected => "a \":\" is expected behind this key",
        ErrorKind::MappingValueNotAllowed => "a \":\" cannot stand here; quote the text that holds it",
        ErrorKind::InvalidColonPlacement => "a \":\" cannot stand here; is the bracket before it closed?",
        ErrorKind::BlockEntryInFlowCollection => "a \"-\" cannot stand within brackets",
        ErrorKind::ExpectedFlowMappingSeparator => "a \",\" or \"}\" is expected here",
        ErrorKind::ExpectedFlowSequenceSeparator => "a \",\" or \"]\" is expected here",
        ErrorKind::UnclosedQuotedScalar => "the quotes that begin here do not end",
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            "this cannot stand behind the quotes"
        }
        ErrorKind::UnknownQuotedScalarEscape => "double quotes know no such escape; a backslash is written \"\\\\\"",
        ErrorKind::UnexpectedCharacter { .. } => "nothing can begin with this character; quote it",
        ErrorKind::Custom(_) | ErrorKind::InputIo { .. } | ErrorKind::InputDecoding { .. } => "this is not YAML",
        _ => return None,
    })
}

pub(crate) fn too_deep() -> String {
    format!("nested deeper than {MAX_DEPTH} levels")
}

/// The tag of a scalar. Where no blank follows it, kubectl takes what follows as a part of it.
pub(crate) fn scalar_tag(text: &str, tag: &granit_parser::Tag, span: &Span) -> Result<Tag, Refusal> {
    let end = span.tag_span().and_then(|tag| tag.end.byte_offset()).unwrap_or_default();
    let is_apart = byte(text, end).is_ascii_whitespace() || end >= text.len();
    match format!("{}{}", tag.handle(), tag.suffix()).strip_prefix("tag:yaml.org,2002:") {
        Some("str") if is_apart => Ok(Tag::Str),
        Some("int") if is_apart => Ok(Tag::Int),
        Some("float") if is_apart => Ok(Tag::Float),
        Some("bool") if is_apart => Ok(Tag::Bool),
        Some("null") if is_apart => Ok(Tag::Null),
        _ => Err(custom_tag(span)),
    }
}

pub(crate) fn check_collection_tag(
    tag: Option<&granit_parser::Tag>,
    expected: &str,
    span: &Span,
) -> Result<(), Refusal> {
    let core = |tag: &granit_parser::Tag| {
        format!("{}{}", tag.handle(), tag.suffix()) == format!("tag:yaml.org,2002:{expected}")
    };
    if tag.is_none_or(core) { Ok(()) } else { Err(custom_tag(span)) }
}

pub(crate) fn custom_tag(span: &Span) -> Refusal {
    let at = span.tag_start().and_then(|start| start.byte_offset()).unwrap_or_else(|| start(span));
    Refusal::new(at, "a tag that a manifest has no use for; remove it")
}

pub(crate) fn collection_style(style: StructureStyle, text: &str, span: &Span) -> Style {
    match style {
        StructureStyle::Block => Style::Block,
        StructureStyle::Flow if matches!(byte(text, start(span)), b'{' | b'[') => Style::Flow,
        StructureStyle::Flow => Style::Pair,
    }
}
