//! How much fits into a catalog: the API server stores no object of more than 1.5 MiB.

use serde::Serialize;

/// How many bytes all entries of a catalog may have together, as they are stored.
///
/// Source: etcd's `--max-request-bytes`, 1.5 MiB; what is left is for the metadata.
pub(super) const MOST_BYTES: usize = 1024 * 1024;

/// How many of them the entries of one owner who shares may have, a thousand of the usual size: nobody makes the catalog of another a
/// large one alone.
pub(super) const MOST_BYTES_OF_OWNER: usize = 160 * 1024;

/// What is left of it.
#[derive(Debug)]
pub(super) struct Room(usize);

impl Room {
    pub(super) fn new() -> Self {
        Self(MOST_BYTES)
    }

    /// What is left to an owner who has this entry.
    pub(super) fn of_owner(first: &impl Serialize) -> Self {
        Self(MOST_BYTES_OF_OWNER.saturating_sub(stored_size(first).unwrap_or(MOST_BYTES)))
    }

    /// Whether as many bytes as this would fit.
    pub(super) fn has(&self, size: usize) -> bool {
        size <= self.0
    }

    /// Whether an entry fits; if so it has its place.
    pub(super) fn takes(&mut self, entry: &impl Serialize) -> bool {
        let left = stored_size(entry).and_then(|size| self.0.checked_sub(size));
        if let Some(left) = left {
            self.0 = left;
        }
        left.is_some()
    }
}

/// The size of an entry in etcd, with the comma that follows it.
///
/// Go writes some characters in six bytes where others write one, or three: <https://pkg.go.dev/encoding/json#HTMLEscape>.
pub(super) fn stored_size(entry: &impl Serialize) -> Option<usize> {
    let json = serde_json::to_string(entry).ok()?;
    let more = |character| match character {
        '<' | '>' | '&' => 5,
        '\u{2028}' | '\u{2029}' => 3,
        _ => 0,
    };
    Some(json.len() + json.chars().map(more).sum::<usize>() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_that_of_what_go_writes() {
        assert_eq!(stored_size(&"ab"), Some(r#""ab","#.len()));
        assert_eq!(stored_size(&"<>&"), Some(r#""\u003c\u003e\u0026","#.len()));
        assert_eq!(stored_size(&"\u{2028}é"), Some(r#""\u2028é","#.len()));
    }

    #[test]
    fn what_does_not_fit_takes_no_room() {
        let mut room = Room::new();
        assert!(!room.takes(&"x".repeat(MOST_BYTES)));
        assert!(room.takes(&"x".repeat(MOST_BYTES - 3 - 4)));
        assert!(!room.takes(&"xx"));
        assert!(room.takes(&"x"));
        assert!(!room.takes(&""));
    }
}
