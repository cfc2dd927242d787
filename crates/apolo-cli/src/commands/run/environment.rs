//! Variables as `--env` and files have them. Pure. What stands right of a `=` is never told.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use thiserror::Error;

/// What the value of a variable begins with that is a secret.
const SECRET: &str = "secret:";

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    /// Its name.
    pub(super) name: String,
    /// Its value; a reference where that begins with `secret:`.
    pub(super) value: String,
}

/// What is wrong with one. A name is not told where it may be a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Wrong {
    #[error("there is no variable of this name here; write NAME=VALUE, or NAME=secret:KEY")]
    NotHere,
    #[error("the value is no text; keep it with apolo secret add, and write NAME=secret:KEY")]
    NoText,
    #[error("the name of a variable is one or more printable ASCII characters other than \"=\"; choose another")]
    Name,
    #[error("the name stands there twice; remove one of them")]
    Twice,
}

impl Variable {
    /// Takes `NAME=VALUE`, or `NAME` for what it is in this environment.
    ///
    /// # Errors
    /// Where it is neither.
    pub(super) fn parse(text: &OsStr, environment: impl Fn(&OsStr) -> Option<OsString>) -> Result<Self, Wrong> {
        let bytes = text.as_bytes();
        let (name, value) = match bytes.iter().position(|byte| *byte == b'=').and_then(|at| bytes.split_at_checked(at))
        {
            Some((name, value)) => (name, value.get(1..).unwrap_or_default().to_vec()),
            None if bytes.is_empty() => return Err(Wrong::Name),
            None => (bytes, environment(text).ok_or(Wrong::NotHere)?.as_bytes().to_vec()),
        };
        Self::of(&String::from_utf8_lossy(name), value)
    }

    /// Takes a name and the bytes of a value.
    ///
    /// # Errors
    /// Where there can be no such variable.
    pub(super) fn of(name: &str, value: Vec<u8>) -> Result<Self, Wrong> {
        let is_name = !name.is_empty() && name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=');
        if !is_name {
            return Err(Wrong::Name);
        }
        let value = String::from_utf8(value).ok().filter(|value| !value.contains('\0')).ok_or(Wrong::NoText)?;
        Ok(Self { name: name.to_owned(), value })
    }

    /// Whether its value is a secret's.
    pub(super) fn is_secret(&self) -> bool {
        self.value.starts_with(SECRET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<(String, String), Wrong> {
        let environment = |name: &OsStr| match name.as_bytes() {
            b"HOME" => Some(OsString::from("/root")),
            b"BYTES" => Some(OsStr::from_bytes(b"\xff").to_owned()),
            _ => None,
        };
        Variable::parse(OsStr::from_bytes(text), environment).map(|it| (it.name, it.value))
    }

    #[test]
    fn a_variable_is_said_or_taken_from_here() {
        let said = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        for (text, expected) in [
            (b"A=secret:a".as_slice(), said("A", "secret:a")),
            (b"A=", said("A", "")),
            (b"A=b=c,d", said("A", "b=c,d")),
            (b"HOME", said("HOME", "/root")),
            (b"hunter2", Err(Wrong::NotHere)),
            (b"BYTES", Err(Wrong::NoText)),
            (b"A=\xff", Err(Wrong::NoText)),
            (b"=b", Err(Wrong::Name)),
            (b"", Err(Wrong::Name)),
            ("\u{e9}=b".as_bytes(), Err(Wrong::Name)),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
