//! Where a node lives: a process with namespaces of its own for network, mounts and processes. When that process ends, however it ends, the
//! kernel ends all that was started in there, and undoes every mount, link and rule; the [guard](crate::cluster) of the enclosure's folder
//! removes what is left of it, files and cgroups.
//!
//! The program that asks for an enclosure starts itself again inside, with the same arguments.

use std::{
    env,
    ffi::OsString,
    fs::{File, Permissions},
    io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use tempfile::TempDir;

use crate::cluster::guard::Guard;

/// Tells a program, in the environment, that it is inside.
const INSIDE: &str = "APOLO_NODE_ENCLOSURE";

/// How the folders of enclosures are called, and how while they are made.
const PREFIX: &str = "apolo-node-";
const UNFINISHED: &str = "apolo-making-node-";

/// The file of a folder that its owner holds locked for as long as he lives.
const LOCK: &str = "lock";

/// A folder for an enclosure. Dropping it ends what runs in there, and removes it.
#[derive(Debug)]
pub struct Enclosure {
    folder: PathBuf,
    // Dropped in this order.
    _guard: Guard,
    _lock: File,
}

/// Whether this program runs in an enclosure.
pub fn is_here() -> bool {
    env::var_os(INSIDE).is_some()
}

impl Enclosure {
    /// A new one. What is left of others, whose owner was killed together with their guard, is removed first.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn new() -> io::Result<Self> {
        clear()?;
        let folder =
            tempfile::Builder::new().prefix(UNFINISHED).permissions(Permissions::from_mode(0o700)).tempdir()?;
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        let folder = name(folder)?;
        let guard = Guard::over(&folder)?;
        let bin = folder.join("bin");
        std::fs::create_dir(&bin)?;
        symlink(env::current_exe()?, program(&bin)?)?;
        Ok(Self { folder, _guard: guard, _lock: lock })
    }

    /// Where files can be left that are read inside.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// This program, inside, with the arguments that it was started with, and these variables. What makes files for a while makes them in
    /// the enclosure's folder.
    ///
    /// # Errors
    /// When it is not known what it was started as.
    pub fn run(&self, variables: &[(&str, OsString)]) -> io::Result<ExitStatus> {
        Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"])
            .arg(program(&self.folder.join("bin"))?)
            .args(env::args_os().skip(1))
            .env(INSIDE, &self.folder)
            .env("TMPDIR", &self.folder)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .status()
    }
}

/// By this path the guard knows what was started here.
fn program(bin: &Path) -> io::Result<PathBuf> {
    let exe = env::current_exe()?;
    Ok(bin.join(exe.file_name().ok_or(io::ErrorKind::InvalidInput)?))
}

/// Gives a folder its name once its lock is held, so that nobody finds it there and not locked.
fn name(folder: TempDir) -> io::Result<PathBuf> {
    let unfinished = folder.keep();
    let random = unfinished.file_name().and_then(|name| name.to_str()?.strip_prefix(UNFINISHED)).unwrap_or_default();
    let named = unfinished.with_file_name(format!("{PREFIX}{random}"));
    std::fs::rename(&unfinished, &named)?;
    Ok(named)
}

/// Removes every folder that nobody holds, with what was started there.
fn clear() -> io::Result<()> {
    for entry in env::temp_dir().read_dir()?.flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_left(&path) {
            drop(Guard::over(&path)?);
        }
    }
    Ok(())
}

fn is_left(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_left_when_nobody_holds_it() -> io::Result<()> {
        let held = Enclosure::new()?;
        let folder = held.folder().to_owned();
        assert!(!is_left(&folder));
        let left = tempfile::Builder::new().prefix(PREFIX).tempdir()?.keep();
        File::create(left.join(LOCK))?;
        clear()?;
        assert!(!left.exists(), "{} is left", left.display());
        assert!(folder.exists());
        drop(held);
        assert!(!folder.exists());
        Ok(())
    }
}
