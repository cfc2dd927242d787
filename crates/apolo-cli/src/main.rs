//! The command `apolo`.

mod cli;
mod commands;
mod context;
mod dry_run;
mod exit;
mod output;
mod terminal;
mod usage;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
