//! The command line: its commands, the flags that all of them have, and how one is run.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands::{completion, inject, version};
use crate::exit::Failure;
use crate::output::{Color, Output};

/// Secrets for jobs on Kubernetes: keep them, share them, use them, and nobody copies a value.
#[derive(Parser)]
#[command(name = "apolo", version, max_term_width = 120, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    global: Global,
}

/// Flags that every command has.
#[derive(Args)]
struct Global {
    /// Tell only errors
    #[arg(short, long, global = true)]
    quiet: bool,

    /// When to colour what is told
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

#[derive(Subcommand)]
enum Command {
    Inject(inject::InjectArgs),
    Completion(completion::CompletionArgs),
    /// Print the version
    Version,
}

/// Runs the command that the process was called with.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let mut output = Output::new(cli.global.quiet, cli.global.color);
    let done = match cli.command {
        Command::Inject(args) => inject::run(&args, &mut output),
        Command::Completion(args) => completion::run(&args, &mut output),
        Command::Version => version::run(&mut output),
    };
    done.unwrap_or_else(|failure: Failure| failure.report(&mut output))
}
