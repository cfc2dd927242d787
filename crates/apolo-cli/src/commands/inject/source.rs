//! Where manifests come from: files, folders, standard input.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::exit::{Failure, NOT_FOUND};

/// What the names of manifests end with, in a folder.
const EXTENSIONS: [&str; 3] = [".yaml", ".yml", ".json"];

/// A file that was read.
pub(super) struct Source {
    /// How it is called in what is told.
    pub(super) name: String,
    /// What is in it.
    pub(super) bytes: Vec<u8>,
}

/// Reads everything that is named, folders in the order of their files' names.
pub(super) fn read(named: &[PathBuf], recursive: bool) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for path in named {
        if path.as_os_str() == "-" {
            sources.push(standard_input()?);
        } else if path.is_dir() {
            let files = manifests(path, recursive)?;
            for file in &files {
                sources.push(Source { name: name(file), bytes: bytes(file)? });
            }
        } else {
            sources.push(Source { name: name(path), bytes: bytes(path)? });
        }
    }
    Ok(sources)
}

/// The text of a file that is not a manifest.
pub(super) fn text(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| failed(path, &error))
}

fn standard_input() -> Result<Source, Failure> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| Failure::new(format!("reading standard input: {error}")))?;
    Ok(Source { name: "<stdin>".to_owned(), bytes })
}

fn manifests(folder: &Path, recursive: bool) -> Result<Vec<PathBuf>, Failure> {
    let depth = if recursive { usize::MAX } else { 1 };
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).max_depth(depth).sort_by_file_name() {
        let entry = entry.map_err(|error| Failure::new(format!("reading {}: {error}", folder.display())))?;
        let is_manifest =
            EXTENSIONS.iter().any(|extension| entry.file_name().as_encoded_bytes().ends_with(extension.as_bytes()));
        // A link to a file is one; a link to a folder may lead anywhere, and one to nothing holds no manifest.
        if is_manifest && entry.path().is_file() {
            files.push(entry.into_path());
        }
    }
    if files.is_empty() {
        let hint = if recursive { "name another folder" } else { "-R looks into the folders in it, too" };
        let none = format!("{} has no file that ends in .yaml, .yml or .json", folder.display());
        return Err(Failure::new(none).hint(hint).code(NOT_FOUND));
    }
    Ok(files)
}

/// How a file is called on a line of its own.
fn name(path: &Path) -> String {
    path.display().to_string().replace('\n', "\\n")
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("reading {}: {error}", path.display()));
    if error.kind() == io::ErrorKind::NotFound { failure.code(NOT_FOUND) } else { failure }
}
