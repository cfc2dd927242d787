//! `apolo version`.

use std::process::ExitCode;

use crate::exit::Failure;
use crate::output::Output;

/// Prints the version of this program.
pub(crate) fn run(output: &mut Output) -> Result<ExitCode, Failure> {
    output.result(concat!("apolo ", env!("CARGO_PKG_VERSION"), "\n").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
