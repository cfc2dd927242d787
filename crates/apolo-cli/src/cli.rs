//! The command line: its commands, and how one is run.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{completion, inject, secret, version};
use crate::context::{Context, Global};
use crate::exit::{Failure, INTERRUPTED};
use crate::usage;

/// Secrets for jobs on Kubernetes: keep them, share them, use them, and nobody copies a value.
#[derive(Parser)]
#[command(name = "apolo", version, max_term_width = 120, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    global: Global,
}

#[derive(Subcommand)]
enum Command {
    Secret(secret::SecretArgs),
    Inject(inject::InjectArgs),
    Completion(completion::CompletionArgs),
    /// Print the version
    Version,
}

/// Runs the command that the process was called with.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error),
    };
    let mut context = Context::new(cli.global);
    let done = match cli.command {
        Command::Secret(args) => online(secret::run(args, &mut context)),
        Command::Inject(args) => inject::run(&args, &mut context),
        Command::Completion(args) => completion::run(&args, &mut context.output),
        Command::Version => version::run(&mut context.output),
    };
    done.unwrap_or_else(|failure: Failure| failure.report(&mut context.output))
}

/// Runs a command that talks to a cluster. Where it is interrupted, what it has begun is put away.
fn online(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("starting: {error}")))?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = command => done,
            _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(INTERRUPTED)),
        }
    });
    // A prompt that nobody answers is not waited for.
    runtime.shutdown_background();
    done
}
