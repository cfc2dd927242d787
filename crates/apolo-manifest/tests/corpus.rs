//! Every file of `corpus`: what is read in it, where it stands, and what it becomes when secrets are added to its Pods.
//!
//! `corpus/expected` has both beside each other; `UPDATE=1 cargo test -p apolo-manifest` writes it.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test reads files, and fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

use apolo_manifest::{Manifest, Operation};
use serde_json::{Value, json};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
const REFUSED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/refused");

#[test]
fn is_read_as_expected() {
    for file in files(CORPUS) {
        expect(&file, "read.json", json(&read(&file)).as_bytes());
    }
}

#[test]
fn is_added_to_as_expected() {
    for file in files(CORPUS) {
        let manifest = read(&file);
        let edits = manifest.documents().enumerate().map(|(index, document)| (index, additions(document.json())));
        let result = manifest.add(edits).unwrap_or_else(|refusal| panic!("{}: {refusal}", file.display()));
        expect(&file, "added", result.as_bytes());
        expect(&file, "added.json", json(&Manifest::read(result.as_bytes()).unwrap()).as_bytes());
    }
}

#[test]
fn comes_out_as_it_was_where_nothing_is_added() {
    for file in files(CORPUS) {
        assert_eq!(read(&file).add([]).unwrap().into_bytes(), fs::read(&file).unwrap(), "{}", file.display());
    }
}

/// Letters and digits stand in the file as they are, so whatever is said to be where one stands has to be that one.
#[test]
fn each_letter_of_each_string_stands_where_it_is_said_to_stand() {
    let mut letters = 0;
    for file in files(CORPUS) {
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<Vec<char>> =
            text.trim_start_matches('\u{feff}').split('\n').map(|line| line.chars().collect()).collect();
        for document in read(&file).documents() {
            for (pointer, string) in strings(document.json(), String::new()) {
                let few = string.char_indices().step_by(1 + string.len() / 500);
                for (offset, letter) in few.filter(|(_, letter)| letter.is_alphanumeric()) {
                    let place = document.position_in(&pointer, offset);
                    let found = lines.get(place.line - 1).and_then(|line| line.get(place.column - 1)).copied();
                    let is_escape = found == Some('\\');
                    assert!(found == Some(letter) || is_escape, "{} {pointer} {offset}: {place}", file.display());
                    letters += usize::from(!is_escape);
                }
            }
        }
    }
    assert!(letters > 2000, "{letters}");
}

#[test]
fn is_refused_in_words_with_a_place() {
    let mut words = String::new();
    for file in files(REFUSED) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let refusal = Manifest::read(&fs::read(&file).unwrap()).expect_err(&name);
        words.push_str(&format!("{name}: {refusal}\n"));
        assert!(!refusal.words.contains("hunter2"), "{name}: {refusal}");
    }
    expect(&Path::new(REFUSED).join("all"), "txt", words.as_bytes());
}

fn json(manifest: &Manifest) -> String {
    let documents: Vec<&Value> = manifest.documents().map(|document| document.json()).collect();
    serde_json::to_string_pretty(&documents).unwrap() + "\n"
}

/// What is added to each Pod of a document, much as the webhook does it.
fn additions(document: &Value) -> Vec<Operation> {
    let mut additions = Vec::new();
    for pod in pods(document, String::new()) {
        let at = |path: &str| document.pointer(&format!("{pod}{path}"));
        let has = |path: &str| at(path).is_some_and(|it| it.as_array().map_or(it.is_object(), |list| !list.is_empty()));
        let mut add = |path: String, value: Value| {
            additions.push(Operation::Add { path: format!("{pod}{path}"), value });
        };
        let notes = json!({"secrets.apolo.us/containers": "main,other", "secrets.apolo.us/file-mode": "0400"});
        if at("/metadata").is_none_or(Value::is_null) {
            add("/metadata".into(), json!({}));
        }
        if has("/metadata/annotations") {
            add("/metadata/annotations/secrets.apolo.us~1containers".into(), json!("main,other"));
            add("/metadata/annotations/secrets.apolo.us~1env".into(), json!("A=secret:a\nB=secret:b\n"));
        } else {
            add("/metadata/annotations".into(), notes);
        }
        if has("/metadata/labels") {
            add("/metadata/labels/secrets.apolo.us~1shared".into(), json!("true"));
        }
        let mut extend = |path: String, item: Value| {
            if has(&path) { add(path + "/-", item) } else { add(path, json!([item])) }
        };
        let source = json!({"secret": {"name": "a", "items": [{"key": "yes", "path": "a/b", "mode": 256}]}});
        extend("/spec/volumes".into(), json!({"name": "apolo-secrets", "projected": {"sources": [source]}}));
        for index in 0..at("/spec/containers").and_then(Value::as_array).map_or(0, Vec::len) {
            let mount = json!({"name": "apolo-secrets", "mountPath": "/etc/a", "subPath": "a/b", "readOnly": true});
            extend(format!("/spec/containers/{index}/volumeMounts"), mount);
            let variable = json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "1e3"}}});
            extend(format!("/spec/containers/{index}/env"), variable);
        }
    }
    additions
}

/// The paths of all that has a `spec` with `containers`.
fn pods(value: &Value, path: String) -> Vec<String> {
    if value.pointer("/spec/containers").is_some() {
        return vec![path];
    }
    children(value, &path).into_iter().flat_map(|(path, value)| pods(value, path)).collect()
}

fn strings(value: &Value, path: String) -> Vec<(String, String)> {
    match value {
        Value::String(string) => vec![(path, string.clone())],
        _ => children(value, &path).into_iter().flat_map(|(path, value)| strings(value, path)).collect(),
    }
}

fn children<'v>(value: &'v Value, path: &str) -> Vec<(String, &'v Value)> {
    match value {
        Value::Object(map) => {
            let token = |name: &str| name.replace('~', "~0").replace('/', "~1");
            map.iter().map(|(name, value)| (format!("{path}/{}", token(name)), value)).collect()
        }
        Value::Array(list) => {
            list.iter().enumerate().map(|(index, value)| (format!("{path}/{index}"), value)).collect()
        }
        _ => Vec::new(),
    }
}

fn read(file: &Path) -> Manifest {
    Manifest::read(&fs::read(file).unwrap()).unwrap_or_else(|refusal| panic!("{}: {refusal}", file.display()))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_input = |path: &PathBuf| path.extension().is_some_and(|it| it == "yaml" || it == "json");
    let mut files: Vec<PathBuf> = entries.filter(is_input).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Holds a result against the file of what is expected, or writes that file.
fn expect(file: &Path, what: &str, result: &[u8]) {
    let name = file.file_name().unwrap().to_string_lossy();
    let expected = file.parent().unwrap().join("expected").join(format!("{name}.{what}"));
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(expected.parent().unwrap()).unwrap();
        fs::write(&expected, result).unwrap();
    }
    let wanted = fs::read(&expected).unwrap_or_default();
    assert!(
        wanted == result,
        "{} differs; UPDATE=1 writes it:\n{}",
        expected.display(),
        String::from_utf8_lossy(result)
    );
}
