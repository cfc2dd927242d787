//! What is looked at before a file is parsed: its encoding, characters that kubectl takes otherwise than other readers do,
//! and the lines that separate documents.

use crate::error::Refusal;
use crate::text::{line_end, line_start, slice};

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The text of a file without its byte order mark, and whether it had one.
pub(crate) fn decode(bytes: &[u8]) -> Result<(bool, &str), Refusal> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || has_wide_characters(bytes) {
        return Err(Refusal::new(0, "the file is in UTF-16; save it as UTF-8"));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix(BYTE_ORDER_MARK).map_or((false, text), |text| (true, text))),
        Err(error) => Err(Refusal::new(error.valid_up_to(), "the file is not UTF-8")),
    }
}

/// The first two characters of any manifest are ASCII, so in UTF-16 one byte of each is zero.
fn has_wide_characters(bytes: &[u8]) -> bool {
    matches!(bytes, [0, b, 0, d, ..] | [b, 0, d, 0, ..] if *b != 0 && *d != 0)
}

/// Refuses what would be read differently by kubectl.
pub(crate) fn check(text: &str) -> Result<(), Refusal> {
    for (at, character) in text.char_indices().filter(|(_, character)| !is_ordinary(*character)) {
        match character {
            '\r' if slice(text, at + 1, at + 2) == "\n" => {}
            '\r' => return Err(Refusal::new(at, "a carriage return that does not end a line")),
            '\u{85}' | '\u{2028}' | '\u{2029}' => {
                let words = format!("the character U+{:04X} ends a line for kubectl; escape it", u32::from(character));
                return Err(Refusal::new(at, words));
            }
            _ => {
                let words = format!("the character U+{:04X} is not allowed in YAML", u32::from(character));
                return Err(Refusal::new(at, words));
            }
        }
    }
    separators(text)
}

/// Whether the line of a refusal has the marks of a Helm template.
pub(crate) fn is_template(text: &str, at: usize) -> bool {
    slice(text, line_start(text, at), line_end(text, at)).contains("{{")
}

/// What goyaml takes anywhere, but for the line breaks.
fn is_ordinary(character: char) -> bool {
    match character {
        '\t' | '\n' | ' '..='~' => true,
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => character >= '\u{a0}',
    }
}

/// kubectl cuts a file at the lines that begin with `---`, and takes nothing but a comment behind it.
fn separators(text: &str) -> Result<(), Refusal> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let behind = line.strip_prefix("---").map(str::trim);
        if behind.is_some_and(|behind| !behind.is_empty() && !behind.starts_with('#')) {
            return Err(Refusal::new(at + 3, "kubectl takes nothing but a comment behind \"---\"; begin a new line"));
        }
        at += line.len();
    }
    Ok(())
}
