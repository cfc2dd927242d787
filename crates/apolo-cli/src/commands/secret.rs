//! `apolo secret`: the secrets of a namespace.

pub(crate) mod add;
mod get;
mod ls;
mod rm;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Failure;

/// Keep secrets: add, list, get and remove them
#[derive(Args)]
#[command(after_help = "\
Examples:
  apolo secret add secret-password                     # asks for the value
  apolo secret add aws-key @~/aws-credentials.txt      # the content of a file
  apolo secret ls
  apolo secret rm aws-key")]
pub(crate) struct SecretArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Add(add::AddArgs),
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    Get(get::GetArgs),
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
}

/// Runs one of them.
pub(crate) async fn run(args: SecretArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Add(args) => add::run(args, context).await,
        Command::Ls(args) => ls::run(&args, context).await,
        Command::Get(args) => get::run(args, context).await,
        Command::Rm(args) => rm::run(&args, context).await,
    }
}
