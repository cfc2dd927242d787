//! Finding one's way in YAML text: lines, and what is not content (blanks, line breaks, comments).

/// The byte at an offset, 0 past the end.
pub(crate) fn byte(text: &str, at: usize) -> u8 {
    text.as_bytes().get(at).copied().unwrap_or(0)
}

/// The text from an offset on, empty where there is none.
pub(crate) fn rest(text: &str, from: usize) -> &str {
    text.get(from..).unwrap_or_default()
}

/// The text of a range, empty where there is none.
pub(crate) fn slice(text: &str, from: usize, to: usize) -> &str {
    text.get(from..to).unwrap_or_default()
}

/// Where the line that holds `at` begins.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    slice(text, 0, at).rfind('\n').map_or(0, |found| found + 1)
}

/// Where the line that holds `at` ends: before its line break.
pub(crate) fn line_end(text: &str, at: usize) -> usize {
    match rest(text, at).find('\n') {
        Some(found) if found > 0 && byte(text, at + found - 1) == b'\r' => at + found - 1,
        Some(found) => at + found,
        None => text.len(),
    }
}

/// Where the line after the one that holds `at` begins; nothing where the text ends without a line break.
pub(crate) fn next_line(text: &str, at: usize) -> Option<usize> {
    rest(text, at).find('\n').map(|found| at + found + 1)
}

/// The column of `at` in bytes, from 0.
pub(crate) fn column(text: &str, at: usize) -> usize {
    at - line_start(text, at)
}

/// How many blanks a line begins with.
pub(crate) fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The first byte at or after `from` that is neither blank, line break nor comment.
pub(crate) fn skip_trivia(text: &str, from: usize) -> usize {
    let mut at = from;
    loop {
        match byte(text, at) {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b'#' if at == 0 || byte(text, at - 1).is_ascii_whitespace() => at = line_end(text, at),
            _ => return at,
        }
    }
}

/// The first byte after `from` that is not part of an anchor, a tag, or the trivia before and between them; where there
/// is none of either, `from`.
pub(crate) fn skip_properties(text: &str, from: usize) -> usize {
    let (mut at, mut end) = (skip_trivia(text, from), from);
    while matches!(byte(text, at), b'&' | b'!') {
        let length = rest(text, at).find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len() - at);
        end = at + length;
        at = skip_trivia(text, end);
    }
    end
}
