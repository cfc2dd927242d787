//! Where a value comes from, and how it is read there, byte for byte.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use apolo_client::secrets::LARGEST;

use crate::exit::Failure;

/// What a file of variables has at most, in bytes: such a file is written by hand.
const LARGEST_ENV_FILE: u64 = 16 << 20;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It stands in the command line.
    Given(Vec<u8>),
    /// It is the content of a file.
    File(PathBuf),
    /// It comes on standard input.
    Stdin,
    /// Somebody is to type it.
    Prompt,
}

impl Source {
    /// What the word behind the key says.
    ///
    /// # Errors
    /// Where it says nothing; in no case is it told.
    pub(super) fn of(word: Option<&OsStr>, is_literal: bool, is_at_terminal: bool) -> Result<Self, Failure> {
        let word = match word {
            None if is_literal => {
                return Err(Failure::usage("--literal is about a VALUE, and there is none")
                    .hint("apolo secret add KEY --literal VALUE"));
            }
            None if is_at_terminal => return Ok(Self::Prompt),
            None => return Ok(Self::Stdin),
            Some(word) => word.as_bytes(),
        };
        match word {
            _ if is_literal => Ok(Self::Given(word.to_vec())),
            b"-" => Ok(Self::Stdin),
            b"@" => Err(Failure::usage("no file is named behind \"@\"")
                .hint("apolo secret add KEY @FILE; a value that begins with \"@\" needs --literal")),
            [b'@', path @ ..] => Ok(Self::File(PathBuf::from(OsString::from_vec(path.to_vec())))),
            _ => Ok(Self::Given(word.to_vec())),
        }
    }
}

/// The content of a file that is named as a shell would, `~` standing for the home folder; one byte more than Kubernetes takes at most.
///
/// # Errors
/// Where it cannot be read. Of one that is not there the name is not told: it may be a value that begins with `@`.
pub(super) fn of_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let path = expanded(path, std::env::home_dir());
    let read = File::open(&path).and_then(bounded);
    read.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            Failure::new("the file that is named behind \"@\" is not there")
                .hint("a value that begins with \"@\" needs --literal: apolo secret add KEY --literal VALUE")
        }
        _ => Failure::new(format!("{}: {error}", path.display())),
    })
}

/// What comes on standard input, until its end; one byte more than Kubernetes takes at most.
///
/// # Errors
/// Where it cannot be read.
pub(super) fn of_stdin() -> Result<Vec<u8>, Failure> {
    bounded(io::stdin().lock()).map_err(|error| Failure::new(format!("standard input: {error}")))
}

/// The content of a file of variables, or of standard input where that is `-`.
///
/// # Errors
/// Where it cannot be read, or is larger than such files are.
pub(crate) fn of_env_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let path = expanded(path, std::env::home_dir());
    let mut content = Vec::new();
    let read = match path.as_os_str().as_bytes() {
        b"-" => io::stdin().lock().take(LARGEST_ENV_FILE + 1).read_to_end(&mut content),
        _ => File::open(&path).and_then(|file| file.take(LARGEST_ENV_FILE + 1).read_to_end(&mut content)),
    };
    match read {
        Ok(length) if length as u64 > LARGEST_ENV_FILE => {
            Err(Failure::new(format!("{}: it is larger than 16 MiB", path.display())))
        }
        Ok(_) => Ok(content),
        Err(error) => Err(Failure::new(format!("{}: {error}", path.display()))),
    }
}

/// How long the end of the only line is; 0 where there are several, or it has none.
pub(super) fn only_line_end(value: &[u8]) -> usize {
    let lines = value.iter().filter(|byte| **byte == b'\n').count();
    match value {
        [.., b'\r', b'\n'] if lines == 1 => 2,
        [.., b'\n'] if lines == 1 => 1,
        _ => 0,
    }
}

/// Whether the number of a process stands in a value, as where a shell put its own in the place of `$$`. Short ones, which stand in
/// many values by chance, do not count.
pub(super) fn holds_process_id(value: &[u8], id: u32) -> bool {
    const SHORTEST: usize = 3;
    let id = id.to_string();
    id.len() >= SHORTEST && value.windows(id.len()).any(|window| window == id.as_bytes())
}

fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    from.take(LARGEST as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

fn expanded(path: &Path, home: Option<PathBuf>) -> PathBuf {
    match (path.strip_prefix(OsStr::new("~")), home) {
        (Ok(rest), Some(home)) if rest.as_os_str().is_empty() => home,
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(word: &str, is_literal: bool) -> Result<Source, Failure> {
        Source::of(Some(OsStr::new(word)), is_literal, true)
    }

    #[test]
    fn a_word_says_where_the_value_comes_from() {
        let given = |text: &str| Source::Given(text.as_bytes().to_vec());
        assert_eq!(source("p@ss", false).unwrap(), given("p@ss"));
        assert_eq!(source("-", false).unwrap(), Source::Stdin);
        assert_eq!(source("@a b", false).unwrap(), Source::File("a b".into()));
        assert_eq!(source("", false).unwrap(), given(""));
        for literal in ["-", "@a", "@"] {
            assert_eq!(source(literal, true).unwrap(), given(literal));
        }
        assert_eq!(Source::of(None, false, false).unwrap(), Source::Stdin);
        assert_eq!(Source::of(None, false, true).unwrap(), Source::Prompt);
        assert!(source("@", false).is_err() && Source::of(None, true, true).is_err());
    }

    #[test]
    fn a_tilde_stands_for_the_home_folder() {
        let of = |path: &str| expanded(Path::new(path), Some("/home/alice".into()));
        for (path, expected) in [
            ("~/.aws/credentials", "/home/alice/.aws/credentials"),
            ("~", "/home/alice"),
            ("~bob/a", "~bob/a"),
            ("a/~", "a/~"),
            ("/a", "/a"),
        ] {
            assert_eq!(of(path), Path::new(expected), "{path}");
        }
        assert_eq!(expanded(Path::new("~/a"), None), Path::new("~/a"));
    }

    #[test]
    fn only_the_end_of_the_only_line_is_one() {
        for (value, length) in [
            ("a\n", 1),
            ("a\r\n", 2),
            ("\n", 1),
            ("a", 0),
            ("a\nb\n", 0),
            ("a\nb", 0),
            ("a\n\n", 0),
            ("a\r", 0),
            ("", 0),
        ] {
            assert_eq!(only_line_end(value.as_bytes()), length, "{value:?}");
        }
    }

    #[test]
    fn the_process_id_of_a_shell_is_found_in_a_value() {
        assert!(holds_process_id(b"p@48213w0rd", 48213) && holds_process_id(b"123", 123));
        assert!(!holds_process_id(b"p@ssw0rd", 48213) && !holds_process_id(b"a12b", 12));
    }
}
