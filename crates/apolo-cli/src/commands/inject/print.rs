//! What is printed: the files with what is added to them, or the objects, or only the patches.

use std::collections::BTreeMap;

use apolo_manifest::{Document, Manifest, Operation};
use serde_json::{Value, json};

use super::object;
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
    if files.len() > 1 {
        prove(files, &printed)?;
    }
    Ok(printed.into_bytes())
}

/// kubectl takes no List in a List, so that all of them become one; an item of a PodList says then that it is a Pod.
fn flattened(document: Value, objects: &mut Vec<Value>) {
    let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let (Some(of_item), Some(items)) = (kind.strip_suffix("List"), object::items(&document)) else {
        return objects.push(document);
    };
    for item in items {
        let mut item = item.clone();
        if let Some(fields) = item.as_object_mut().filter(|_| !of_item.is_empty()) {
            fields.entry("apiVersion").or_insert_with(|| json!(api_version));
            fields.entry("kind").or_insert_with(|| json!(of_item));
        }
        flattened(item, objects);
    }
}

/// Files that are right by themselves may not be so one behind the other, such as a stream of JSON.
fn prove(files: &[File], printed: &str) -> Result<(), Failure> {
    let expected: usize = files.iter().map(|file| file.manifest.documents().len()).sum();
    let read = Manifest::read(printed.as_bytes()).map(|manifest| manifest.documents().len());
    if read == Ok(expected) {
        return Ok(());
    }
    let told = "these files cannot be printed one behind the other, as one of them is a stream of JSON";
    Err(Failure::new(told).hint("print them one by one, or with -o json"))
}

/// What is added to each document of a file, with paths that begin at the document.
fn operations(file: &File) -> Vec<(usize, Vec<Operation>)> {
    let mut by_document: BTreeMap<usize, Vec<Operation>> = BTreeMap::new();
    for outcome in file.outcomes.iter().filter(|outcome| !outcome.patch.is_empty()) {
        by_document
            .entry(outcome.document)
            .or_default()
            .extend(outcome.patch.iter().cloned().map(|operation| operation.below(&outcome.pointer)));
    }
    by_document.into_iter().collect()
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
        Err(documents) => {
            let mut items = Vec::new();
            documents.into_iter().for_each(|document| flattened(document, &mut items));
            pretty(&json!({"apiVersion": "v1", "kind": "List", "items": items}))
        }
    }
}

fn patches(files: &[File]) -> Value {
    let mut patches = Vec::new();
    for file in files {
        let documents: Vec<Document<'_>> = file.manifest.documents().collect();
        for outcome in file.outcomes.iter().filter(|outcome| !outcome.patch.is_empty()) {
            let line = documents.get(outcome.document).map(|document| document.position(&outcome.pointer).line);
            let mut entry = json!({"file": file.name, "line": line});
            if let (Some(entry), Value::Object(identity)) = (entry.as_object_mut(), outcome.identity.clone()) {
                entry.extend(identity);
                entry.insert("patch".to_owned(), json!(outcome.patch));
            }
            patches.push(entry);
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
