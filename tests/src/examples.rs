//! The manifests of `examples`: what people copy, what the documents quote and what the tests apply.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

/// What stands above the lines of a mistake's file that repeat what is said about it.
const SAYS: &str = "# kubectl says:\n";

/// One file.
#[derive(Debug, Clone)]
pub struct Example {
    /// Its path in `examples`: `jobs/indexed.yaml`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

/// Every image that an example names, once.
///
/// # Errors
/// When an example cannot be read.
pub fn images() -> io::Result<BTreeSet<String>> {
    let examples = Example::all()?;
    let lines = examples.iter().flat_map(|example| example.text.lines());
    let named = lines.filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix("image:"));
    Ok(named.map(|name| name.trim().trim_matches('"').to_owned()).collect())
}

impl Example {
    /// Every file below `examples`, sorted by name.
    ///
    /// # Errors
    /// When one cannot be read, or has no name in UTF-8.
    pub fn all() -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        collect(Path::new(FOLDER), "", &mut found)?;
        found.sort_by(|one: &Self, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// The folder that it is in; empty for `examples` itself.
    pub fn folder(&self) -> &str {
        self.name.split_once('/').map_or("", |(folder, _)| folder)
    }

    /// The comment that it begins with, as prose.
    pub fn story(&self) -> String {
        let lines = self.text.lines().map_while(|line| line.strip_prefix("# "));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What follows that comment.
    pub fn manifest(&self) -> &str {
        let comment: usize =
            self.text.split_inclusive('\n').take_while(|line| line.starts_with('#')).map(str::len).sum();
        self.text.get(comment..).unwrap_or_default()
    }

    /// Whether it shows mistakes.
    pub fn is_mistaken(&self) -> bool {
        self.name.ends_with("mistakes.yaml")
    }

    /// Whether it asks for what another owner keeps.
    pub fn is_shared(&self) -> bool {
        self.folder() == "shared"
    }

    /// Whether it shares secrets, and has no Pods.
    pub fn is_grant(&self) -> bool {
        self.folder() == "grants"
    }

    /// Whether it asks for secrets, and is to be accepted.
    pub fn is_accepted(&self) -> bool {
        !self.is_mistaken() && !self.is_shared() && !self.is_grant()
    }

    /// What it says that kubectl says about it, line by line.
    pub fn refusal(&self) -> Option<Vec<&str>> {
        let (_, said) = self.text.split_once(SAYS)?;
        Some(said.lines().filter_map(|line| line.strip_prefix("#   ")).collect())
    }
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<Example>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidData)?;
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            collect(&path, &format!("{name}/"), found)?;
        } else {
            let text = std::fs::read_to_string(&path)?;
            found.push(Example { name, path, text });
        }
    }
    Ok(())
}
