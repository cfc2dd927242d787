//! How a command ends: its exit codes, and what is told where it failed.

use std::io;
use std::process::ExitCode;

use crate::output::Output;

/// Exit code of a command that failed, or of a check that found a mistake.
pub(crate) const FAILED: u8 = 1;
/// Exit code of something that was not there.
pub(crate) const NOT_FOUND: u8 = 3;

/// Why a command could not go on: what is told, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    hint: Option<String>,
    code: u8,
    silent: bool,
}

impl Failure {
    /// A failure, with what happened and where.
    #[must_use]
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, code: FAILED, silent: false }
    }

    /// With what mends it.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// With another exit code.
    #[must_use]
    pub(crate) fn code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Tells it, and gives the code to end with.
    #[must_use]
    pub(crate) fn report(self, output: &mut Output) -> ExitCode {
        if !self.silent {
            output.error(&self.what);
            if let Some(hint) = &self.hint {
                output.hint(hint);
            }
        }
        ExitCode::from(self.code)
    }
}

/// Standard output could not be written. That nobody reads it any more, as behind `| head`, is not worth a word.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let silent = error.kind() == io::ErrorKind::BrokenPipe;
        Self { silent, ..Self::new(format!("writing to standard output: {error}")) }
    }
}
