//! What holds for any manifest: it is read without a panic, and what is added to it is all that changes.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test reads files, and fails by panicking"
)]

use std::fs;

use apolo_manifest::{Manifest, Operation};
use proptest::prelude::*;
use serde_json::{Map, Value};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");

/// Strings that are read as something else where they are not quoted, or end a scalar early.
const AWKWARD: [&str; 30] = [
    "",
    "yes",
    "0400",
    "null",
    "~",
    "1e3",
    "a: b",
    "a #b",
    "- a",
    "*a",
    "&a",
    "!a",
    "%a",
    "@a",
    "it's",
    "\"",
    "\\",
    "a,b",
    "{a}",
    "[a",
    "#",
    "a\nb\n",
    "a\n\nb",
    "\n",
    " a",
    "a ",
    "\ta",
    "größe 日本 😀",
    "a\u{2028}b",
    "secret:a:/etc/a",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_was_written(documents in documents(), choices in choices()) {
        let text = Writer::new(choices).file(&documents);
        let manifest = read(&text)?;
        let read: Vec<&Value> = manifest.documents().map(|document| document.json()).collect();
        prop_assert_eq!(read, documents.iter().collect::<Vec<_>>(), "\n{}", text);
    }

    #[test]
    fn adds_what_is_asked_for_and_nothing_else(documents in documents(), choices in choices(), value in value()) {
        let text = Writer::new(choices.clone()).file(&documents);
        let mut writer = Writer::new(choices);
        let edits: Vec<_> =
            documents.iter().map(|document| writer.additions(document, &value)).enumerate().collect();
        let manifest = read(&text)?;
        let result = manifest.add(edits.clone())
            .map_err(|refusal| TestCaseError::fail(format!("{refusal}\n{text}\n{edits:?}")))?;
        let again = read(&result)?;
        for ((document, (_, operations)), result) in documents.iter().zip(&edits).zip(again.documents()) {
            prop_assert_eq!(result.json(), &added(document, operations));
        }
        prop_assert!(is_subsequence(&text, &result), "{}\n{}", text, result);
    }

    #[test]
    fn fills_a_key_that_has_nothing_behind_it(documents in documents(), choices in choices(), value in value()) {
        let text = Writer::new(choices).file(&documents);
        let manifest = read(&text)?;
        for (index, document) in documents.iter().enumerate() {
            for path in nulls(document, "") {
                let operations = vec![Operation::Add { path, value: value.clone() }];
                match manifest.add([(index, operations.clone())]) {
                    Ok(result) => {
                        prop_assert!(is_subsequence(&text, &result), "{}\n{}", text, result);
                        let again = read(&result)?;
                        let json = again.documents().nth(index).unwrap().json().clone();
                        prop_assert_eq!(json, added(document, &operations));
                    }
                    Err(refusal) => prop_assert!(refusal.words.contains("null stands here"), "{}\n{}", refusal, text),
                }
            }
        }
    }

    #[test]
    fn never_panics_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        exercise(&bytes);
    }

    #[test]
    fn never_panics_on_what_looks_like_yaml(text in "([ \t\n:#\"'{}\\[\\],&*!|>~?%a-c0-]|- |: |\r\n|---\n|<<: \\*a){0,60}") {
        exercise(text.as_bytes());
    }

    #[test]
    fn never_panics_on_a_damaged_manifest(file in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>(), piece in "[ \t\n:#\"'{},&*|>-]{0,4}") {
        let files: Vec<_> = fs::read_dir(CORPUS).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file()).collect();
        let mut bytes = fs::read(&files[file.index(files.len())]).unwrap();
        let at = cut.index(bytes.len());
        bytes.splice(at..(at + piece.len()).min(bytes.len()), piece.bytes());
        exercise(&bytes);
    }
}

fn read(text: &str) -> Result<Manifest, TestCaseError> {
    Manifest::read(text.as_bytes()).map_err(|refusal| TestCaseError::fail(format!("{refusal}\n{text}")))
}

/// Asks everything of a file that can be read.
fn exercise(bytes: &[u8]) {
    let Ok(manifest) = Manifest::read(bytes) else { return };
    let operation = |path: &str, value: Value| Operation::Add { path: path.to_owned(), value };
    for (index, document) in manifest.documents().enumerate() {
        for pointer in ["", "/a", "/metadata/annotations", "/0/a", "a~"] {
            assert!(document.position(pointer).line >= 1 && document.key_position(pointer).column >= 1);
            for offset in [0, 1, 7, usize::MAX] {
                assert!(document.position_in(pointer, offset).line >= 1);
            }
        }
        for path in ["/new", "/spec/-", "/-", "", "/metadata/annotations", "new"] {
            let _ = manifest.add([(index, vec![operation(path, serde_json::json!({"a": ["b\nc\n"]}))])]);
        }
    }
}

fn documents() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(mapping(value()), 1..4)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => string().prop_map(Value::from),
        1 => prop_oneof![any::<i64>().prop_map(Value::from), any::<bool>().prop_map(Value::from), Just(Value::Null)],
        1 => prop_oneof![Just(Value::Array(Vec::new())), Just(Value::Object(Map::new()))],
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![mapping(inner.clone()), prop::collection::vec(inner, 1..4).prop_map(Value::from)]
    })
}

fn mapping(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec((string(), value), 1..4).prop_map(|entries| Value::Object(entries.into_iter().collect()))
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z]{1,6}", 2 => prop::sample::select(&AWKWARD[..]).prop_map(str::to_owned), 1 => "[ -~\\n]{0,12}"]
}

fn choices() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..80)
}

fn added(document: &Value, operations: &[Operation]) -> Value {
    let mut document = document.clone();
    for Operation::Add { path, value } in operations {
        let (parent, last) = path.rsplit_once('/').unwrap();
        match document.pointer_mut(parent).unwrap() {
            Value::Object(map) => drop(map.insert(last.replace("~1", "/").replace("~0", "~"), value.clone())),
            Value::Array(list) => list.push(value.clone()),
            _ => panic!("{path}"),
        }
    }
    document
}

/// The keys whose value is null.
fn nulls(value: &Value, path: &str) -> Vec<String> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(name, value)| {
                let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
                if value.is_null() { vec![path] } else { nulls(value, &path) }
            })
            .collect(),
        Value::Array(list) => {
            list.iter().enumerate().flat_map(|(index, value)| nulls(value, &format!("{path}/{index}"))).collect()
        }
        _ => Vec::new(),
    }
}

fn is_subsequence(text: &str, result: &str) -> bool {
    let mut result = result.bytes();
    text.bytes().all(|byte| result.any(|other| other == byte))
}

/// Writes JSON as YAML in one of its many styles, by a row of choices that begins again at its end.
struct Writer {
    choices: Vec<u8>,
    at: usize,
    line_break: &'static str,
}

impl Writer {
    fn new(choices: Vec<u8>) -> Self {
        let line_break = if choices[0].is_multiple_of(4) { "\r\n" } else { "\n" };
        Self { choices, at: 0, line_break }
    }

    fn choose(&mut self, of: usize) -> usize {
        self.at += 1;
        (usize::from(self.choices[self.at % self.choices.len()]) + self.at / self.choices.len()) % of
    }

    fn file(&mut self, documents: &[Value]) -> String {
        let mut out = String::new();
        for (index, document) in documents.iter().enumerate() {
            if index > 0 || self.choose(2) == 0 {
                out.push_str("---");
                self.end(&mut out);
            }
            let column = self.choose(3);
            if self.choose(5) == 0 {
                out.push_str(&self.flow(document, 1));
                self.end(&mut out);
            } else {
                self.block(&mut out, document, column);
            }
            if self.choose(6) == 0 {
                out.push_str("...");
                self.end(&mut out);
            }
        }
        if self.choose(4) == 0 && !out.contains(": |") && !out.contains("- |") {
            out.truncate(out.trim_end_matches(['\r', '\n']).len());
        }
        out
    }

    /// The end of a line, with a comment and more lines that say nothing.
    fn end(&mut self, out: &mut String) {
        if self.choose(5) == 0 {
            out.push_str("  # a: comment");
        }
        out.push_str(self.line_break);
        for _ in 0..self.choose(8).saturating_sub(5) {
            let indent = self.choose(6);
            out.push_str(["", "# - comment", "      # deep"][indent % 3]);
            out.push_str(self.line_break);
        }
    }

    fn block(&mut self, out: &mut String, value: &Value, column: usize) {
        match value {
            Value::Object(map) => {
                for (index, (name, value)) in map.iter().enumerate() {
                    if index > 0 || out.ends_with('\n') || out.is_empty() {
                        out.push_str(&" ".repeat(column));
                    }
                    out.push_str(&self.scalar(name));
                    out.push(':');
                    self.behind(out, value, column, true);
                }
            }
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    if index > 0 || out.ends_with('\n') {
                        out.push_str(&" ".repeat(column));
                    }
                    out.push('-');
                    self.behind(out, value, column, false);
                }
            }
            _ => unreachable!(),
        }
    }

    fn behind(&mut self, out: &mut String, value: &Value, column: usize, is_entry: bool) {
        let step = 1 + self.choose(4);
        match value {
            Value::Object(map) if !map.is_empty() && self.choose(4) > 0 => {
                if is_entry || self.choose(2) == 0 {
                    self.end(out);
                    self.block(out, value, column + step);
                } else {
                    out.push_str(&" ".repeat(step));
                    self.block(out, value, column + 1 + step);
                }
            }
            Value::Array(list) if !list.is_empty() && self.choose(4) > 0 => {
                if is_entry {
                    self.end(out);
                    let indent = self.choose(3);
                    self.block(out, value, column + indent);
                } else {
                    out.push_str(&" ".repeat(step));
                    self.block(out, value, column + 1 + step);
                }
            }
            Value::Null if self.choose(2) == 0 => self.end(out),
            Value::String(text) if self.choose(2) == 0 && is_literal(text) => {
                out.push_str(if text.ends_with('\n') { " |" } else { " |-" });
                out.push_str(self.line_break);
                for line in text.lines() {
                    if !line.is_empty() {
                        out.push_str(&" ".repeat(column + step));
                    }
                    out.push_str(line);
                    out.push_str(self.line_break);
                }
            }
            _ => {
                out.push(' ');
                out.push_str(&self.flow(value, column + 1));
                self.end(out);
            }
        }
    }

    fn flow(&mut self, value: &Value, column: usize) -> String {
        let (open, parts, close) = match value {
            Value::Object(map) => {
                let parts: Vec<String> = map
                    .iter()
                    .map(|(name, value)| format!("{}: {}", self.scalar(name), self.flow(value, column + 1)))
                    .collect();
                ("{", parts, "}")
            }
            Value::Array(list) => ("[", list.iter().map(|value| self.flow(value, column + 1)).collect(), "]"),
            Value::String(text) => return self.scalar(text),
            other => return other.to_string(),
        };
        if parts.is_empty() || self.choose(3) > 0 {
            return format!("{open}{}{close}", parts.join(", "));
        }
        let mut out = open.to_owned();
        for (index, part) in parts.iter().enumerate() {
            out.push_str(self.line_break);
            out.push_str(&" ".repeat(column + 1));
            out.push_str(part);
            if index + 1 < parts.len() || self.choose(2) == 0 {
                out.push(',');
            }
            if self.choose(4) == 0 {
                out.push_str(" # ] }");
            }
        }
        out + self.line_break + &" ".repeat(column) + close
    }

    fn scalar(&mut self, text: &str) -> String {
        let is_word = !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase());
        let is_word = is_word && !["y", "n", "yes", "no", "on", "off", "null", "true", "false"].contains(&text);
        let single = !text.contains(|c: char| c.is_control() || c == '\u{2028}');
        match self.choose(3) {
            0 if is_word => text.to_owned(),
            1 if single => format!("'{}'", text.replace('\'', "''")),
            _ => serde_json::to_string(text).unwrap().replace('\u{2028}', "\\u2028"),
        }
    }

    /// Something for each mapping, each list and each value that is nothing or empty, or for none of them.
    fn additions(&mut self, document: &Value, value: &Value) -> Vec<Operation> {
        let mut operations = Vec::new();
        self.add_within(&mut operations, document, "", value);
        operations
    }

    fn add_within(&mut self, operations: &mut Vec<Operation>, there: &Value, path: &str, value: &Value) {
        let mut add = |path: String| operations.push(Operation::Add { path, value: value.clone() });
        match there {
            Value::Object(map) => {
                if self.choose(2) == 0 {
                    add(format!("{path}/new ~0~1 key"));
                }
                for (name, there) in map {
                    self.add_within(
                        operations,
                        there,
                        &format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")),
                        value,
                    );
                }
            }
            Value::Array(list) => {
                for _ in 0..self.choose(3) {
                    add(format!("{path}/-"));
                }
                for (index, there) in list.iter().enumerate() {
                    self.add_within(operations, there, &format!("{path}/{index}"), value);
                }
            }
            _ => {}
        }
    }
}

fn is_literal(text: &str) -> bool {
    let is_plain = |line: &str| line.trim_end() == line && !line.contains(|c: char| c.is_control() || c == '\u{2028}');
    !text.is_empty()
        && !text.starts_with([' ', '\n', '\t'])
        && !text.ends_with("\n\n")
        && text.split('\n').all(is_plain)
}
