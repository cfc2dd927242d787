//! Errors that teach: of which kind they are, and what mends them.

use std::error::Error;

/// What kind of an error it is, for exit codes and for status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It could not be done.
    Failed,
    /// What was asked for makes no sense.
    Usage,
    /// Something is not there.
    NotFound,
    /// The user may not.
    NotAllowed,
    /// Something else stands in the way.
    Conflict,
    /// It took too long.
    TimedOut,
}

/// An error that says of which kind it is, and what mends it. Its text is what happened, to what, and why: a fragment in lower case.
pub trait Explained: Error {
    /// Of which kind it is.
    fn kind(&self) -> Kind;

    /// What mends it: a command, or a sentence; none where nothing better is known than what the text says.
    fn hint(&self) -> Option<String>;
}
