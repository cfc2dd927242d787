//! The command `apolo`.

mod cli;
mod commands;
mod context;
mod exit;
mod output;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
