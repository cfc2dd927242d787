//! How a command ends: its exit codes, and what is told where it failed.

use std::io;
use std::process::ExitCode;

use apolo_client::explained::{Explained, Kind};

use crate::output::Output;

/// Exit code of a command that failed, or of a check that found a mistake.
pub(crate) const FAILED: u8 = 1;
/// Exit code of a command that was not used as it is meant to be.
pub(crate) const USAGE: u8 = 2;
/// Exit code of something that was not there.
pub(crate) const NOT_FOUND: u8 = 3;
/// Exit code of something that the user may not.
pub(crate) const NOT_ALLOWED: u8 = 4;
/// Exit code where something else stands in the way.
pub(crate) const CONFLICT: u8 = 5;
/// Exit code of what took too long.
pub(crate) const TIMED_OUT: u8 = 124;
/// Exit code of `apolo run` where the Job did not come to an end of its own, as of programs that run others.
pub(crate) const NOT_RUN: u8 = 125;
/// Exit code of what was interrupted.
pub(crate) const INTERRUPTED: u8 = 130;

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

    /// One of how the command was used.
    #[must_use]
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(what).code(USAGE)
    }

    /// With what mends it.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// With what mends it, where nothing better is known.
    #[must_use]
    pub(crate) fn hint_if_none(self, hint: impl Into<String>) -> Self {
        let hint = self.hint.clone().or_else(|| Some(hint.into()));
        Self { hint, ..self }
    }

    /// With another exit code.
    #[must_use]
    pub(crate) fn code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Somebody has given up, and knows it.
    #[must_use]
    pub(crate) fn interrupted() -> Self {
        Self { silent: true, ..Self::new("interrupted").code(INTERRUPTED) }
    }

    /// With the exit code of `apolo run`, whose others are those of the container; wrong usage keeps its own.
    #[must_use]
    pub(crate) fn not_run(self) -> Self {
        if self.code == USAGE { self } else { self.code(NOT_RUN) }
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

impl<E: Explained> From<E> for Failure {
    fn from(error: E) -> Self {
        let code = match error.kind() {
            Kind::Failed => FAILED,
            Kind::Usage => USAGE,
            Kind::NotFound => NOT_FOUND,
            Kind::NotAllowed => NOT_ALLOWED,
            Kind::Conflict => CONFLICT,
            Kind::TimedOut => TIMED_OUT,
        };
        Self { what: error.to_string(), hint: error.hint(), code, silent: false }
    }
}

impl Failure {
    /// Standard output could not be written. That nobody reads it any more, as behind `| head`, is not worth a word.
    pub(crate) fn writing(error: &io::Error) -> Self {
        let silent = error.kind() == io::ErrorKind::BrokenPipe;
        Self { silent, ..Self::new(format!("writing to standard output: {error}")) }
    }
}
