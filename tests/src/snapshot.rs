//! What people read, kept as plain files: `tests/snapshots`. With `UPDATE` set, a test writes what it would compare.

use std::{fs, io, path::Path};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");

/// Compares a text with the file of this name.
///
/// # Errors
/// When the file cannot be written.
///
/// # Panics
/// When they differ.
#[allow(clippy::panic, reason = "a test fails by panicking")]
pub fn check(name: &str, text: &str) -> io::Result<()> {
    let path = Path::new(FOLDER).join(name);
    if std::env::var_os("UPDATE").is_some() {
        return fs::write(path, text);
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    if kept != text {
        panic!("tests/snapshots/{name} differs; UPDATE=1 writes it. Now:\n{text}");
    }
    Ok(())
}
