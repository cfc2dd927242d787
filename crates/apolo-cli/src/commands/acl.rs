//! `apolo acl`: who may use which secret.

mod can;
pub(crate) mod grant;
mod list;
mod revoke;
mod subject;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Failure;

/// Share secrets: grant, revoke, and list what is shared
#[derive(Args)]
#[command(after_help = "\
Examples:
  apolo acl grant secret:secret-password bob read
  apolo acl list                                       # what is shared with this namespace
  apolo acl list --shared                              # what it shares, and with whom
  apolo acl can secret:/alice/secret-password
  apolo acl revoke secret:secret-password bob")]
pub(crate) struct AclArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Grant(grant::GrantArgs),
    Revoke(revoke::RevokeArgs),
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    Can(can::CanArgs),
}

/// Runs one of them.
pub(crate) async fn run(args: AclArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Grant(args) => grant::run(&args.granting, context).await,
        Command::Revoke(args) => revoke::run(&args, context).await,
        Command::List(args) => list::run(&args, context).await,
        Command::Can(args) => can::run(&args, context).await,
    }
}
