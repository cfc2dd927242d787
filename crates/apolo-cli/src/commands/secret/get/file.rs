//! A file that holds a value: written whole or not at all, for its owner alone, and never through a link.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempPath};

use crate::exit::Failure;

/// Who may read and write it: its owner.
const MODE: u32 = 0o600;
/// What the name of a file begins with that is not yet where it is to be.
const PREFIX: &str = ".apolo-";

/// Whether a file of this name can be written: there is none, or an ordinary one, which is replaced.
///
/// # Errors
/// Where it is anything else.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(path, &error)),
    };
    if kind.is_file() {
        return Ok(());
    }
    let shown = path.display();
    Err(if kind.is_symlink() {
        let there = fs::canonicalize(path).map_or_else(|_| "FILE".to_owned(), |there| there.display().to_string());
        Failure::new(format!("{shown} is a link; a value is written to no other place than the one that is named"))
            .hint(format!("-f {there}"))
    } else if kind.is_dir() {
        Failure::new(format!("{shown} is a folder")).hint(format!("-f {}", path.join("FILE").display()))
    } else {
        Failure::new(format!("{shown} is no ordinary file")).hint("without -f the value goes to standard output")
    })
}

/// Writes it beside the place where it is to be, and then puts it there at once. Where the system can, what is written has no name
/// until it is whole, so that nothing is left of it if this process is killed meanwhile.
///
/// # Errors
/// Where it cannot be written; then what was there before is there.
pub(super) fn write(path: &Path, value: &[u8]) -> Result<(), Failure> {
    check(path)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let written = || {
        let whole = unnamed(&folder, value).or_else(|_| named(&folder, value))?;
        whole.persist(path).map_err(|error| error.error)
    };
    written().map_err(|error| failed(path, &error))
}

/// Gets a name when it is whole.
///
/// # Errors
/// Also where the system has no such files: they need the `O_TMPFILE` of open(2), and `/proc`.
#[cfg(target_os = "linux")]
fn unnamed(folder: &Path, value: &[u8]) -> io::Result<TempPath> {
    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};
    use std::os::fd::AsRawFd;

    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = File::from(openat(CWD, folder, flags, Mode::from_raw_mode(MODE))?);
    file.write_all(value)?;
    file.sync_all()?;
    let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = |path: &Path| Ok(linkat(CWD, &itself, CWD, path, AtFlags::SYMLINK_FOLLOW)?);
    Builder::new().prefix(PREFIX).make_in(folder, link).map(tempfile::NamedTempFile::into_temp_path)
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_: &Path, _: &[u8]) -> io::Result<TempPath> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Has a name from the beginning.
fn named(folder: &Path, value: &[u8]) -> io::Result<TempPath> {
    let create = |path: &Path| File::options().write(true).create_new(true).mode(MODE).open(path);
    let mut file = Builder::new().prefix(PREFIX).make_in(folder, create)?;
    file.write_all(value)?;
    file.as_file().sync_all()?;
    Ok(file.into_temp_path())
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("writing {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_for_its_owner_alone_also_where_another_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "longer than before").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        write(&path, b"\xff\0\r\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"\xff\0\r\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(names(folder.path()), ["key"]);
    }

    #[test]
    fn a_file_is_the_same_however_it_is_made() {
        let folder = tempfile::tempdir().unwrap();
        for made in [unnamed(folder.path(), b"value"), named(folder.path(), b"value")] {
            let made = match made {
                Ok(made) => made,
                // The file system of the folder, or the system, knows no files without a name.
                Err(error) => {
                    let known = [io::ErrorKind::Unsupported, io::ErrorKind::IsADirectory, io::ErrorKind::NotFound];
                    assert!(known.contains(&error.kind()), "{error}");
                    continue;
                }
            };
            assert_eq!(fs::read(&made).unwrap(), b"value");
            assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o7777, 0o600);
            made.close().unwrap();
        }
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn nothing_is_written_through_a_link_nor_into_what_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (link, dangling) = (folder.path().join("link"), folder.path().join("dangling"));
        let there = folder.path().join("there");
        fs::write(&there, "there").unwrap();
        symlink(&there, &link).unwrap();
        symlink(folder.path().join("nothing"), &dangling).unwrap();
        for path in [&link, &dangling, &folder.path().to_owned(), &PathBuf::from("/dev/null")] {
            assert!(write(path, b"planted").is_err(), "{}", path.display());
        }
        assert_eq!(fs::read(&there).unwrap(), b"there");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(write(&folder.path().join("no/folder"), b"planted").is_err());
    }
}
