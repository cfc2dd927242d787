//! What is printed: the files with what is added to them, or the objects, or only the patches.

use std::collections::BTreeMap;

use apolo_manifest::Operation;
use serde_json::{Value, json};

use super::object::Object;
use super::outcome::Outcome;
use super::{File, Format};
use crate::exit::Failure;

/// Prints what becomes of the files.
pub(super) fn print(files: &[File], format: Format) -> Result<Vec<u8>, Failure> {
    match format {
        Format::Yaml => yaml(files),
        Format::Json => json(files),
        Format::Patch => pretty(&patches(files)),
    }
}

fn yaml(files: &[File]) -> Result<Vec<u8>, Failure> {
    let mut printed = String::new();
    for file in files {
        let text = file.manifest.add(operations(file)).map_err(|error| {
            Failure::new(format!("{}:{}: {}", file.name, error.position, error.words))
                .hint("-o json prints the result without the file's own form")
        })?;
        if !printed.is_empty() {
            if !printed.ends_with('\n') {
                printed.push('\n');
            }
            if !text.trim_start_matches('\u{feff}').starts_with("---") {
                printed.push_str("---\n");
            }
        }
        // A byte order mark is one only at the beginning.
        printed.push_str(if printed.is_empty() { &text } else { text.trim_start_matches('\u{feff}') });
    }
    Ok(printed.into_bytes())
}

/// What is added to each document of a file, with paths that begin at the document.
fn operations(file: &File) -> Vec<(usize, Vec<Operation>)> {
    let mut by_document: BTreeMap<usize, Vec<Operation>> = BTreeMap::new();
    for outcome in file.outcomes.iter().filter(|outcome| !outcome.patch.is_empty()) {
        by_document.entry(outcome.document).or_default().extend(in_document(outcome));
    }
    by_document.into_iter().collect()
}

fn in_document(outcome: &Outcome) -> Vec<Operation> {
    let mut operations = outcome.patch.clone();
    for Operation::Add { path, .. } in &mut operations {
        path.insert_str(0, &outcome.pointer);
    }
    operations
}

fn json(files: &[File]) -> Result<Vec<u8>, Failure> {
    let mut documents = Vec::new();
    for file in files {
        let mut added: BTreeMap<usize, Vec<Operation>> = operations(file).into_iter().collect();
        for (number, document) in file.manifest.documents().enumerate() {
            let mut value = document.json().clone();
            let added = json!(added.remove(&number).unwrap_or_default());
            serde_json::from_value::<json_patch::Patch>(added)
                .map_err(|error| error.to_string())
                .and_then(|patch| json_patch::patch(&mut value, &patch).map_err(|error| error.to_string()))
                .map_err(|error| Failure::new(format!("{}: what is added does not fit: {error}", file.name)))?;
            documents.push(value);
        }
    }
    match <[Value; 1]>::try_from(documents) {
        Ok([document]) => pretty(&document),
        Err(documents) => pretty(&json!({"apiVersion": "v1", "kind": "List", "items": documents})),
    }
}

fn patches(files: &[File]) -> Value {
    let mut patches = Vec::new();
    for file in files {
        for outcome in file.outcomes.iter().filter(|outcome| !outcome.patch.is_empty()) {
            let Some(document) = file.manifest.documents().nth(outcome.document) else { continue };
            let Some(value) = document.json().pointer(&outcome.pointer) else { continue };
            let object = Object { document: outcome.document, pointer: outcome.pointer.clone(), value };
            patches.push(json!({
                "file": file.name,
                "line": document.position(&outcome.pointer).line,
                "apiVersion": object.api_version(),
                "kind": object.kind(),
                "namespace": object.namespace(),
                "name": object.name(),
                "patch": outcome.patch,
            }));
        }
    }
    Value::Array(patches)
}

fn pretty(value: &Value) -> Result<Vec<u8>, Failure> {
    let mut printed =
        serde_json::to_vec_pretty(value).map_err(|error| Failure::new(format!("writing JSON: {error}")))?;
    printed.push(b'\n');
    Ok(printed)
}
