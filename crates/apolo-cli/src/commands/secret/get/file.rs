//! A file that holds a value: written whole or not at all, for its owner alone, and never through a link.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tempfile::Builder;

use crate::exit::Failure;

/// Who may read and write it: its owner.
const MODE: u32 = 0o600;

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

/// Writes it beside the place where it is to be, and then puts it there at once.
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
        let create = |path: &Path| File::options().write(true).create_new(true).mode(MODE).open(path);
        let mut file = Builder::new().prefix(".apolo-").make_in(&folder, create)?;
        file.write_all(value)?;
        file.as_file().sync_all()?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    written().map_err(|error| failed(path, &error))
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
