//! JSON values as YAML text, in a block or in brackets.

use serde_json::Value;

use crate::scalar::{self, Resolved};
use crate::style::Habits;

/// Text in a block, line by line.
pub(crate) struct Block<'a> {
    pub(crate) habits: Habits,
    pub(crate) line_break: &'a str,
    /// Lines that follow may be taken as part of a `|` whose lines are indented less than this or as much; so none is written.
    pub(crate) literal_from: usize,
}

impl Block<'_> {
    /// Whole lines for a mapping's entries, whose keys stand at `column`.
    pub(crate) fn entries<'v>(&self, column: usize, entries: impl Iterator<Item = (&'v str, &'v Value)>) -> String {
        let mut out = String::new();
        for (name, value) in entries {
            out.push_str(&" ".repeat(column));
            self.entry(&mut out, column, name, value);
        }
        out
    }

    /// Whole lines for a list's items, whose `-` stands at `column`.
    pub(crate) fn items<'v>(&self, column: usize, items: impl Iterator<Item = &'v Value>) -> String {
        let mut out = String::new();
        for value in items {
            out.push_str(&" ".repeat(column));
            self.item(&mut out, column, value);
        }
        out
    }

    /// What stands behind a key, to the end of its last line.
    pub(crate) fn value(&self, out: &mut String, column: usize, value: &Value) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push_str(self.line_break);
                out.push_str(&self.entries(column + self.habits.step, entries_of(value)));
            }
            Value::Array(list) if !list.is_empty() => {
                out.push_str(self.line_break);
                out.push_str(&self.items(column + self.habits.dash, list.iter()));
            }
            Value::String(text) if self.is_literal(text, column + self.habits.step) => {
                out.push_str(if text.ends_with('\n') { " |" } else { " |-" });
                out.push_str(self.line_break);
                for line in text.lines() {
                    if !line.is_empty() {
                        out.push_str(&" ".repeat(column + self.habits.step));
                        out.push_str(line);
                    }
                    out.push_str(self.line_break);
                }
            }
            _ => {
                out.push(' ');
                out.push_str(&inline(value));
                out.push_str(self.line_break);
            }
        }
    }

    fn entry(&self, out: &mut String, column: usize, name: &str, value: &Value) {
        out.push_str(&text(name, false));
        out.push(':');
        self.value(out, column, value);
    }

    fn item(&self, out: &mut String, column: usize, value: &Value) {
        out.push('-');
        let within = column + self.habits.item;
        let blanks = " ".repeat(self.habits.item - 1);
        match value {
            Value::Object(map) if !map.is_empty() => {
                let lines = self.entries(within, entries_of(value));
                out.push_str(&blanks);
                out.push_str(lines.trim_start_matches(' '));
            }
            Value::Array(list) if !list.is_empty() => {
                let lines = self.items(within, list.iter());
                out.push_str(&blanks);
                out.push_str(lines.trim_start_matches(' '));
            }
            Value::String(_) => self.value(out, column, value),
            _ => {
                out.push_str(&blanks);
                out.push_str(&inline(value));
                out.push_str(self.line_break);
            }
        }
    }

    /// Whether text is written as `|`: several lines, of which none would be read otherwise than it is.
    fn is_literal(&self, text: &str, indent: usize) -> bool {
        let body = text.strip_suffix('\n').unwrap_or(text);
        let plain = |line: &str| line.trim_end() == line && line.chars().all(|c| is_printable(c) || c == '\t');
        text.contains('\n')
            && !body.ends_with('\n')
            && !body.starts_with(['\n', ' ', '\t'])
            && !body.is_empty()
            && body.split('\n').all(plain)
            && indent > self.literal_from
    }
}

/// A value in a block that fits behind its key: a scalar, or empty brackets.
fn inline(value: &Value) -> String {
    match value {
        Value::String(string) => text(string, false),
        _ => Flow::default().value(value),
    }
}

/// The entries of an object, none of anything else.
pub(crate) fn entries_of(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// Text in brackets.
#[derive(Clone, Default)]
pub(crate) struct Flow {
    /// All strings in double quotes, as JSON has them.
    pub(crate) is_json: bool,
    /// No blanks behind `:` and `,`.
    pub(crate) is_tight: bool,
    /// Each part on a line of its own: the line break and the blanks before the bracket's line, and those of one more level.
    pub(crate) lines: Option<(String, String)>,
}

impl Flow {
    pub(crate) fn value(&self, value: &Value) -> String {
        match value {
            Value::Object(map) if !map.is_empty() => {
                let inner = self.inner();
                self.bracketed('{', entries_of(value).map(|(name, value)| inner.entry(name, value)), '}')
            }
            Value::Array(list) if !list.is_empty() => {
                let inner = self.inner();
                self.bracketed('[', list.iter().map(|value| inner.value(value)), ']')
            }
            Value::String(string) => self.string(string),
            other => other.to_string(),
        }
    }

    pub(crate) fn entry(&self, name: &str, value: &Value) -> String {
        let colon = if self.is_tight { ":" } else { ": " };
        format!("{}{colon}{}", self.string(name), self.value(value))
    }

    fn string(&self, string: &str) -> String {
        if self.is_json { quoted(string) } else { text(string, true) }
    }

    /// For what stands within these brackets.
    pub(crate) fn inner(&self) -> Self {
        let lines = self.lines.as_ref().map(|(line, step)| (format!("{line}{step}"), step.clone()));
        Self { lines, ..self.clone() }
    }

    fn bracketed(&self, open: char, parts: impl Iterator<Item = String>, close: char) -> String {
        format!("{open}{}{close}", self.parts(parts))
    }

    /// What stands between brackets that were empty.
    pub(crate) fn parts(&self, parts: impl Iterator<Item = String>) -> String {
        let parts: Vec<String> = parts.collect();
        match &self.lines {
            Some((line, step)) => format!("{line}{step}{}{line}", parts.join(&format!(",{line}{step}"))),
            None => parts.join(if self.is_tight { "," } else { ", " }),
        }
    }
}

/// Text on one line: as it is where that is read as the same text, else in double quotes.
fn text(text: &str, within_brackets: bool) -> String {
    if is_plain(text, within_brackets) { text.to_owned() } else { quoted(text) }
}

/// Whether text may stand without quotes, for kubectl and for readers of YAML 1.2 alike.
fn is_plain(text: &str, within_brackets: bool) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '/');
    let is_numeric = text
        .chars()
        .all(|c| matches!(c, '0'..='9' | '+' | '-' | '_' | '.' | ':' | ',' | 'e' | 'E' | 'x' | 'o' | 'b' | 'T' | 'Z'));
    let mut previous = ' ';
    let fits = text.chars().all(|c| {
        let fits = match c {
            '#' => previous != ' ',
            ',' | '[' | ']' | '{' | '}' => !within_brackets,
            ' ' => previous != ':',
            _ => {
                is_printable(c) && (c.is_ascii() || c.is_alphanumeric()) && (previous != ':' || is_word(c) || c == ':')
            }
        };
        previous = c;
        fits
    });
    text.starts_with(is_word)
        && !text.ends_with([' ', ':'])
        && fits
        && (!is_numeric || !text.starts_with(|c: char| c.is_ascii_digit()))
        && scalar::plain(text) == Resolved::Text
}

fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Text in double quotes, with the escapes that JSON and YAML share.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            _ if is_printable(c) => out.push(c),
            _ => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}
