//! The two files: when to read them, and whether what is wrong with them is news.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Files;
use super::pair::{CertificateError, Pems};

/// After this time they are read whatever their metadata say.
const READ_ANYWAY: Duration = Duration::from_secs(10);

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The files as they were when they were last good, and when that was; none if they have been bad since.
    good: Option<(Seen, SystemTime)>,
    /// The files as they were when they were last read.
    seen: Seen,
    /// Hash of the contents that were last read.
    contents: u64,
    /// Hash of the contents and the complaint that were last told.
    told: Option<u64>,
}

/// Of each file, the path behind all symlinks, and what changes when it is replaced or written.
type Seen = [Option<(PathBuf, u64, u64, i64, i64)>; 2];

impl Reading {
    /// What the files hold, if there is a reason to read them: they have changed, or were bad, or it is long ago. None
    /// also while they are being replaced: the next look will see.
    pub(super) fn read(&mut self, files: &Files, now: SystemTime) -> Option<Result<Pems, CertificateError>> {
        let seen = look(files);
        let recent = |at: SystemTime| now.duration_since(at).is_ok_and(|age| age < READ_ANYWAY);
        if self.good.as_ref().is_some_and(|(good, at)| *good == seen && recent(*at)) {
            return None;
        }
        let pems = file(&files.certificate).and_then(|certificate| Ok(Pems { certificate, key: file(&files.key)? }));
        if look(files) != seen {
            return None;
        }
        self.contents = pems.as_ref().map_or(0, |pems| hash(&(&pems.certificate, &pems.key)));
        self.seen = seen;
        Some(pems)
    }

    /// What was just read can be used.
    pub(super) fn good(&mut self, now: SystemTime) {
        self.good = Some((std::mem::take(&mut self.seen), now));
        self.told = None;
    }

    /// What was just read cannot be used. Whether that is news.
    pub(super) fn bad(&mut self, error: &CertificateError) -> bool {
        self.good = None;
        let now = Some(hash(&(self.contents, error.to_string())));
        std::mem::replace(&mut self.told, now) != now
    }
}

fn file(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

fn look(files: &Files) -> Seen {
    [&files.certificate, &files.key].map(|path| {
        let path = fs::canonicalize(path).ok()?;
        let meta = fs::metadata(&path).ok()?;
        Some((path, meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
    })
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
