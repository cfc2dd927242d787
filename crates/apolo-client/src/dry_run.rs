//! Trying something without doing it, as kubectl names the ways.

/// Whether something is done, or only tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DryRun {
    /// It is done.
    #[default]
    None,
    /// Nothing is sent.
    Client,
    /// The API server looks at it as if it were to be done, and keeps nothing.
    Server,
}

impl DryRun {
    /// Whether the API server is to keep nothing.
    #[must_use]
    pub fn is_server(self) -> bool {
        self == Self::Server
    }
}
