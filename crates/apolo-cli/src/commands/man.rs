//! `apolo man`, for who packages it: the manual pages, made of the same definition as the help.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::Cli;
use crate::exit::Failure;

/// Write the manual pages into a folder
#[derive(Args)]
pub(crate) struct ManArgs {
    /// The folder
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Writes a page for each command.
pub(crate) fn run(args: &ManArgs) -> Result<ExitCode, Failure> {
    let failed = |error| Failure::new(format!("{}: {error}", args.folder.display()));
    std::fs::create_dir_all(&args.folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::definition(), &args.folder).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}
