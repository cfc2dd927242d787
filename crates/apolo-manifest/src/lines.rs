//! Where the lines of a text begin, and so the line and column of a byte in it.

use crate::error::Position;

/// The lines of a text.
#[derive(Debug)]
pub(crate) struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// The line and column of a byte of the text that these lines are of.
    pub(crate) fn position(&self, text: &str, at: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = text.get(start..at).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }
}
