//! What a manifest is refused with: a place and words, never the text that stands there.

use std::fmt;

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Why a file cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {words}", position.line, position.column)]
pub struct ReadError {
    /// Where it is.
    pub position: Position,
    /// What is wrong, as a fragment of a sentence.
    pub words: String,
}

/// Why something cannot be added to a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {words}", position.line, position.column)]
pub struct AddError {
    /// What is in the way.
    pub position: Position,
    /// What is wrong and how to mend it, as a fragment of a sentence.
    pub words: String,
}

/// Why text is refused, and at which byte: what becomes a [`ReadError`] or an [`AddError`].
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) at: usize,
    pub(crate) words: String,
}

impl Refusal {
    pub(crate) fn new(at: usize, words: impl Into<String>) -> Self {
        Self { at, words: words.into() }
    }
}
