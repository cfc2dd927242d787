//! The command `apolo`.

mod called;
mod cli;
mod commands;
mod complete;
mod context;
mod exit;
mod help;
mod output;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
