//! `apolo secret add`.

mod kept;
pub(crate) mod source;
mod value;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use apolo_client::connection::Connection;
use apolo_client::secrets;
use apolo_client::target::{Target, TargetError};
use apolo_client::value::SecretValue;
use clap::Args;
use clap_complete::ArgValueCompleter;

use self::kept::Kept;
use self::source::Source;
use crate::complete;
use crate::context::Context;
use crate::dry_run::Trying;
use crate::env_file;
use crate::exit::Failure;
use crate::output::format::Printing;
use crate::terminal;

/// Keep a value under a key, in place of the one that is there
///
/// A value on the command line stays in the history of the shell, and others on the machine can see it while the command runs: with
/// no VALUE it is asked for, and not shown.
#[derive(Args)]
#[command(after_help = "\
Examples:
  apolo secret add secret-password                     # asks for the value
  apolo secret add secret-password p@ssw0rd123
  apolo secret add aws-key @~/aws-credentials.txt      # the content of a file, byte for byte
  pass show aws-key | apolo secret add aws-key         # what comes on standard input
  apolo secret add handle --literal @alice             # a value that begins with @
  apolo secret add offset -- -12                       # a value that begins with -
  apolo secret add --from-env-file .env                # a secret for each line NAME=VALUE")]
pub(crate) struct AddArgs {
    /// The key: of A-Z, a-z, 0-9, _, . and -
    #[arg(required_unless_present = "from_env_file", add = ArgValueCompleter::new(complete::keys))]
    key: Option<String>,

    /// The value; @FILE: the content of a file; -: standard input; none: asked for on a terminal, else standard input
    #[arg(value_name = "VALUE|@FILE|-", conflicts_with = "from_env_file")]
    value: Option<OsString>,

    /// Take VALUE as it is, also one that begins with @ or is -
    #[arg(long, conflicts_with = "from_env_file")]
    literal: bool,

    /// Keep each NAME=VALUE of a file; quotes, values of several lines and `export` are understood, and `$` means nothing. `-` is
    /// standard input
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    from_env_file: Option<PathBuf>,

    /// Keep the newline at the end of the only line of standard input
    #[arg(long)]
    keep_newline: bool,

    /// Keep an empty value
    #[arg(long)]
    allow_empty: bool,

    #[command(flatten)]
    trying: Trying,

    #[command(flatten)]
    printing: Printing,
}

/// Keeps it.
pub(crate) async fn run(args: AddArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    let mut wanted = Vec::new();
    let connection = if let Some(file) = &args.from_env_file {
        let items = from_env_file(file.clone(), args.allow_empty, context).await?;
        let connection = context.connect().await?;
        for item in items {
            wanted.push((target(&item.key, &connection, context).await?, SecretValue::new(item.value)));
        }
        connection
    } else {
        let key = args.key.as_deref().unwrap_or_default();
        // What is known without a cluster is told first, and nobody types a value that could not be kept.
        Target::of_key_or_reference(key, "").map_err(no_key)?;
        let source = Source::of(args.value.as_deref(), args.literal, terminal::is_there())?;
        let connection = context.connect().await?;
        let target = target(key, &connection, context).await?;
        let value = value::read(source, &target.key, &args, context).await?;
        wanted.push((target, value));
        connection
    };
    for (target, value) in &wanted {
        secrets::check(target, value)?;
    }
    keep(&wanted, &args, &connection, context).await
}

/// Keeps one after the other; at the first that fails it ends, and says which were kept.
async fn keep(
    wanted: &[(Target, SecretValue)],
    args: &AddArgs,
    connection: &Connection,
    context: &mut Context,
) -> Result<ExitCode, Failure> {
    let dry_run = args.trying.dry_run();
    let mut done = Vec::new();
    let mut failure = None;
    // That what is told cannot be written ends nothing half-way.
    let mut told = Ok(());
    for (target, value) in wanted {
        match secrets::add(connection, target, value, dry_run).await {
            Ok(added) => {
                let kept = Kept { target, added, bytes: value.len() };
                if args.printing.output.is_none() {
                    told = told.and_then(|()| context.output.done(&kept.line(args.trying)));
                }
                done.push(kept);
            }
            Err(error) => {
                failure = Some(Failure::from(error));
                break;
            }
        }
    }
    if args.printing.output.is_some() {
        told = kept::print(&done, args, connection, context).await;
    }
    let Some(failure) = failure else { return told.map(|()| ExitCode::SUCCESS) };
    if args.from_env_file.is_some() {
        let left = wanted.iter().skip(done.len()).map(|(target, _)| target.key.as_str()).collect::<Vec<_>>();
        let kept = done.iter().map(|kept| kept.target.key.as_str()).collect::<Vec<_>>();
        let told = |keys: &[&str]| if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
        context.output.note(&format!("kept before that: {}; not kept: {}", told(&kept), told(&left)));
    }
    Err(failure)
}

/// The secret that is meant. What was typed is not told: it may be the value, where the key was forgotten.
async fn target(text: &str, connection: &Connection, context: &Context) -> Result<Target, Failure> {
    let target = Target::of_key_or_reference(text, &connection.namespace).map_err(no_key)?;
    if target.cluster.is_some() {
        target.check_cluster(&context.cluster(connection).await)?;
    }
    Ok(target)
}

fn no_key(error: TargetError) -> Failure {
    let failure = match error {
        TargetError::Key { why, .. } => Failure::usage(format!("KEY is no key: {why}")),
        TargetError::Reference { why, .. } => Failure::usage(format!("KEY is no reference: {why}")),
    };
    failure.hint("apolo secret add KEY VALUE")
}

async fn from_env_file(
    file: PathBuf,
    allow_empty: bool,
    context: &mut Context,
) -> Result<Vec<env_file::Item>, Failure> {
    let name = file.display().to_string();
    let content = value::blocking(move || source::of_env_file(&file)).await?;
    match env_file::parse(&content, allow_empty) {
        Ok(items) if items.is_empty() => Err(Failure::new(format!("{name}: there is nothing in it"))),
        Ok(items) => Ok(items),
        Err(mistakes) => {
            for mistake in &mistakes {
                context.output.mistake(&format!("{name}:{}: {}", mistake.line, mistake.wrong));
            }
            let count = match mistakes.len() {
                1 => "one mistake".to_owned(),
                count => format!("{count} mistakes"),
            };
            Err(Failure::new(format!("{name}: {count}; nothing was sent")))
        }
    }
}
