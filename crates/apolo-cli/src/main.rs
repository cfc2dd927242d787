//! The command `apolo`.

mod called;
mod cli;
mod commands;
mod complete;
mod context;
mod dry_run;
mod env_file;
mod exit;
mod help;
mod interrupts;
mod output;
mod terminal;
mod usage;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
