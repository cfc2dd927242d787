//! Whether this machine can be a node, and what it needs for that.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Says what is missing, and why it cannot be had; installs it where it can.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/prepare-node");

/// Installs what a node needs of this machine's packages. The reason, in a sentence, why this machine cannot be a node, if it cannot.
///
/// # Errors
/// When the script that knows cannot be run.
pub fn prepare() -> io::Result<Result<(), String>> {
    let output = Command::new(SCRIPT).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    let reason = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(if output.status.success() { Ok(()) } else { Err(reason) })
}

/// Builds the image of Apolo Secrets, with a binary that builds fast, if what it is made of has changed, and answers with its archive.
///
/// # Errors
/// When it cannot be built; the script has said why on stderr.
pub fn build_image() -> io::Result<PathBuf> {
    let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/image"));
    let output = Command::new(script).arg("dev").stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{} failed ({})", script.display(), output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().into())
}
