//! Additions to a file: each becomes text and the place where it is inserted; the result is read again before it is handed out.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::error::{AddError, Refusal};
use crate::insert::Insertion;
use crate::manifest::Manifest;
use crate::operation::Operation;
use crate::plan::Plan;
use crate::text::{rest, slice};
use crate::tree::Root;

impl Manifest {
    /// The file with additions to its documents, which are counted from 0. Only text is inserted: comments, order, quotes,
    /// blank lines and line ends stay.
    ///
    /// # Errors
    /// Where something cannot be added by inserting text: it is there already, or comes from an anchor or a merge key; and
    /// where an operation has no meaning, as in RFC 6902.
    pub fn add(&self, edits: impl IntoIterator<Item = (usize, Vec<Operation>)>) -> Result<String, AddError> {
        add(self, edits)
    }
}

/// Inserts text for all operations, and proves the result.
fn add(manifest: &Manifest, edits: impl IntoIterator<Item = (usize, Vec<Operation>)>) -> Result<String, AddError> {
    let mut by_document: BTreeMap<usize, Vec<Operation>> = BTreeMap::new();
    for (document, operations) in edits {
        by_document.entry(document).or_default().extend(operations);
    }
    let refused = |refusal: Refusal| AddError { position: manifest.position(refusal.at), words: refusal.words };
    let mut insertions = Vec::new();
    let mut expected = HashMap::new();
    for (document, operations) in by_document {
        let (root, json) = manifest
            .root(document)
            .ok_or_else(|| refused(Refusal::new(0, format!("there is no document {document} in this file"))))?;
        let plan = Plan::of(manifest, root, json, operations).map_err(refused)?;
        insertions.extend(plan.insertions());
        expected.insert(document, (root, plan.json));
    }
    insertions.sort_by_key(|it: &Insertion| (it.at, usize::MAX - it.depth));
    let result = insert(&manifest.text, &insertions);
    prove(manifest, &insertions, &expected, &result).map_err(refused)?;
    Ok(if manifest.has_mark { format!("\u{feff}{result}") } else { result })
}

fn insert(text: &str, insertions: &[Insertion]) -> String {
    let added: usize = insertions.iter().map(|it| it.text.len()).sum();
    let mut out = String::with_capacity(text.len() + added);
    let mut done = 0;
    for insertion in insertions {
        out.push_str(slice(text, done, insertion.at));
        out.push_str(&insertion.text);
        done = insertion.at;
    }
    out.push_str(rest(text, done));
    out
}

/// Nothing leaves here that does not read as the patched documents, or that is not the old text but for what was inserted.
fn prove(
    manifest: &Manifest,
    insertions: &[Insertion],
    expected: &HashMap<usize, (&Root, Value)>,
    result: &str,
) -> Result<(), Refusal> {
    let unproven =
        |at: usize| Refusal::new(at, "nothing can be added here without changing what is there; use -o json");
    let mut left = String::with_capacity(manifest.text.len());
    let (mut done, mut shift) = (0, 0);
    for insertion in insertions {
        left.push_str(slice(result, done + shift, insertion.at + shift));
        (done, shift) = (insertion.at, shift + insertion.text.len());
    }
    left.push_str(rest(result, done + shift));
    let again = Manifest::of(result, false).map_err(|refusal| unproven(cause(insertions, refusal.at)))?;
    if left != manifest.text
        || again.is_json != manifest.is_json
        || again.documents().len() != manifest.documents().len()
    {
        return Err(unproven(cause(insertions, 0)));
    }
    for (index, (before, after)) in manifest.documents().zip(again.documents()).enumerate() {
        let wanted = expected.get(&index).map_or(before.json(), |(_, json)| json);
        if after.json() != wanted {
            let root = expected.get(&index).and_then(|(root, _)| manifest.tree.node(root.node));
            let inserted = insertions.iter().map(|it| it.at).find(|at| root.is_some_and(|root| *at >= root.start));
            return Err(unproven(inserted.unwrap_or(0)));
        }
    }
    Ok(())
}

/// The place of the last insertion before a byte of the result, or of the first one.
fn cause(insertions: &[Insertion], at: usize) -> usize {
    let mut shift = 0;
    let before = insertions.iter().take_while(|insertion| {
        let is_before = insertion.at + shift <= at;
        shift += insertion.text.len();
        is_before
    });
    before.last().or(insertions.first()).map_or(0, |insertion| insertion.at)
}
