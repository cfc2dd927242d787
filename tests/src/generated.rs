//! Files that are made from others: `make generate` writes them, the tests hold them against what they should be.

use std::{fs, path::PathBuf};

use anyhow::Context;

/// Set in the environment where they are to be written.
const GENERATE: &str = "APOLO_GENERATE";

/// The folder of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Writes a file, by its path in the repository, or holds what is there against what it should be.
///
/// # Errors
/// When it cannot be written.
///
/// # Panics
/// When they differ.
#[allow(clippy::panic, reason = "a test fails by panicking")]
pub fn check(path: &str, content: &str) -> anyhow::Result<()> {
    let file = root().join(path);
    if std::env::var_os(GENERATE).is_some() {
        return fs::write(&file, content).with_context(|| format!("writing {path}"));
    }
    if fs::read_to_string(&file).unwrap_or_default() != content {
        panic!("{path} is not up to date: run make generate");
    }
    Ok(())
}
