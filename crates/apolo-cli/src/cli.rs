//! The command line: its commands, and how one is run.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::CompleteEnv;

use crate::called::Called;
use crate::commands::{acl, check, completion, inject, man, run, secret, share, version, whoami};
use crate::complete::plugin;
use crate::context::{Context, Global};
use crate::exit::{Failure, INTERRUPTED};
use crate::help;
use crate::interrupts::Interrupts;
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
    Run(Box<run::RunArgs>),
    Acl(acl::AclArgs),
    Share(share::ShareArgs),
    Inject(inject::InjectArgs),
    Check(check::CheckArgs),
    Whoami(whoami::WhoamiArgs),
    Completion(completion::CompletionArgs),
    #[command(hide = true)]
    Man(man::ManArgs),
    /// Print the version
    Version,
}

/// The names of the commands, as texts that people read name them.
pub(crate) const COMMANDS: &[&str] =
    &["acl", "check", "completion", "console", "inject", "run", "secret", "share", "version", "whoami"];

impl Cli {
    /// The definition of all commands, from which help, pages, scripts and the parser are made.
    pub(crate) fn definition() -> clap::Command {
        help::arranged(Self::command())
    }
}

/// Runs the command that the process was called with.
pub(crate) fn run() -> ExitCode {
    let called = Called::by(std::env::args_os().next().as_deref());
    if called == Called::CompletesPlugin {
        return plugin::complete(std::env::args_os().skip(1));
    }
    CompleteEnv::with_factory(Cli::definition).var(completion::VARIABLE).complete();
    let matches = called.name(Cli::definition()).try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error, called),
    };
    let mut context = Context::new(cli.global, called);
    let done = match cli.command {
        Command::Secret(args) => online(secret::run(args, &mut context)),
        Command::Run(args) => on_a_runtime(run::run(&args, &mut context)),
        Command::Check(args) => online(check::run(&args, &mut context)),
        Command::Acl(args) => online(acl::run(args, &mut context)),
        Command::Share(args) => online(acl::grant::run(&args.granting, &mut context)),
        Command::Inject(args) => inject::run(&args, &mut context),
        Command::Whoami(args) => online(whoami::run(&args, &mut context)),
        Command::Completion(args) => completion::run(&args, &mut context.output),
        Command::Man(args) => man::run(&args),
        Command::Version => version::run(&mut context.output),
    };
    done.unwrap_or_else(|failure: Failure| failure.report(&mut context.output))
}

/// Runs a command that talks to a cluster. Where it is interrupted, what it has begun is put away.
fn online(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    on_a_runtime(async {
        // Before the command begins: it may ask for something first of all, and switch off what the terminal shows.
        let mut interrupts = Interrupts::begin().map_err(|error| Failure::new(format!("starting: {error}")))?;
        tokio::select! {
            done = command => done,
            () = interrupts.next() => Ok(ExitCode::from(INTERRUPTED)),
        }
    })
}

/// Runs a command that hears of signals itself, if it does.
fn on_a_runtime(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("starting: {error}")))?;
    let done = runtime.block_on(command);
    // A prompt that nobody answers is not waited for.
    runtime.shutdown_background();
    done
}
