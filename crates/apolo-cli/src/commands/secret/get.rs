//! `apolo secret get`.

mod file;

use std::path::PathBuf;
use std::process::ExitCode;

use apolo_client::secrets;
use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::complete;
use crate::context::Context;
use crate::exit::Failure;

/// Print the value of a secret, byte for byte, or write it into a file
#[derive(Args)]
#[command(after_help = "\
Examples:
  apolo secret get aws-key -f ~/.aws/credentials
  apolo secret get secret-password | pbcopy
  apolo secret get secret:/alice/aws-key               # of another owner, who lets you read it
  apolo secret get secret:db-creds#password            # an entry of an ordinary Kubernetes Secret")]
pub(crate) struct GetArgs {
    /// The key, or a reference: secret:/OWNER/KEY, secret:KEY#ENTRY
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    key: String,

    /// Write it into this file, which then only you can read: all of it or nothing; - is standard output
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Reads it and passes it on.
pub(crate) async fn run(args: GetArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    let file = args.file.filter(|file| file.as_os_str() != "-");
    if let Some(file) = &file {
        file::check(file)?;
    }
    let connection = context.connect().await?;
    let target = context.target(&args.key, &connection).await?;
    let value = secrets::read(&connection, &target).await?;
    match file {
        Some(file) => file::write(&file, value.expose())?,
        None => context
            .output
            .value(value.expose())
            .map_err(|failure| failure.hint_if_none(format!("apolo secret get {} -f FILE", args.key)))?,
    }
    Ok(ExitCode::SUCCESS)
}
