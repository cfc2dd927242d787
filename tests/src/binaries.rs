//! The binaries that the tests are about, as they were built beside the tests.

use std::{env, io, path::PathBuf, process::Command};

/// Where a binary of this workspace is.
///
/// # Errors
/// When it was not built.
pub fn built(name: &str) -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let folder = program.ancestors().find(|folder| folder.join(name).is_file());
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("{name} is not built: cargo build --workspace"));
    folder.map(|folder| folder.join(name)).ok_or_else(missing)
}

/// The command `apolo`, with nothing of the environment that it could take for its own.
///
/// # Errors
/// When it was not built.
pub fn apolo(arguments: &[&str]) -> io::Result<Command> {
    let mut command = Command::new(built("apolo")?);
    command.args(arguments).env_clear();
    Ok(command)
}
