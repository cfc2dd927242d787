//! `apolo secret add`.

mod kept;
pub(crate) mod source;

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
use crate::terminal::{self, Typed};

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
    let mut items = Vec::new();
    if let Some(file) = &args.from_env_file {
        for item in from_env_file(file.clone(), args.allow_empty, context).await? {
            items.push((item.key, SecretValue::new(item.value)));
        }
    } else if let Some(key) = &args.key {
        // A value is asked for only where the key is one.
        Target::of_key_or_reference(key, "").map_err(no_key)?;
        items.push((key.clone(), value(&args, key, context).await?));
    }
    let connection = context.connect().await?;
    let mut wanted = Vec::new();
    for (key, value) in items {
        let target = target(&key, &connection, context).await?;
        secrets::check(&target, &value)?;
        wanted.push((target, value));
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
    for (target, value) in wanted {
        match secrets::add(connection, target, value, dry_run).await {
            Ok(added) => {
                let kept = Kept { target, added, bytes: value.len() };
                if args.printing.output.is_none() {
                    context.output.done(&kept.line(args.trying))?;
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
        kept::print(&done, args, connection, context).await?;
    }
    let Some(failure) = failure else { return Ok(ExitCode::SUCCESS) };
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

/// The value of a key, from wherever it comes.
async fn value(args: &AddArgs, key: &str, context: &mut Context) -> Result<SecretValue, Failure> {
    let source = Source::of(args.value.as_deref(), args.literal, terminal::is_there())?;
    let mut value = match source {
        Source::Given(value) => {
            if source::holds_process_id(&value, std::os::unix::process::parent_id()) {
                context.output.warning(
                    "the number of your shell's process is in the value: a shell puts it in the place of $$; in single quotes it does not",
                );
            }
            value
        }
        Source::File(path) => blocking(move || source::of_file(&path)).await?,
        Source::Stdin => of_stdin(args.keep_newline, context).await?,
        Source::Prompt => typed(key, context.no_input).await?,
    };
    value.shrink_to_fit();
    if value.is_empty() && !args.allow_empty {
        return Err(Failure::usage("the value is empty").hint("--allow-empty keeps it"));
    }
    Ok(SecretValue::new(value))
}

async fn of_stdin(keep_newline: bool, context: &mut Context) -> Result<Vec<u8>, Failure> {
    let mut value = blocking(source::of_stdin).await?;
    let end = source::only_line_end(&value);
    if end > 0 && !keep_newline {
        value.truncate(value.len() - end);
        context.output.note("the newline at the end is dropped; --keep-newline keeps it");
    }
    Ok(value)
}

async fn typed(key: &str, no_input: bool) -> Result<Vec<u8>, Failure> {
    let otherwise = format!("apolo secret add {key} @FILE, or on standard input");
    if no_input {
        return Err(
            Failure::usage("there is no value, and --no-input says that nothing is to be asked").hint(otherwise)
        );
    }
    let typed = terminal::unseen(&format!("Value of {key} (not shown): ")).await;
    match typed.map_err(|error| Failure::new(format!("reading from the terminal: {error}")))? {
        Typed::Line(line) => Ok(line),
        Typed::Nothing => Err(Failure::usage("no value was typed").hint(otherwise)),
        Typed::Several => Err(Failure::usage("several lines were typed, and a terminal passes on one").hint(otherwise)),
        Typed::TooLong => Err(Failure::usage("the line is longer than a terminal passes on").hint(otherwise)),
    }
}

async fn from_env_file(
    file: PathBuf,
    allow_empty: bool,
    context: &mut Context,
) -> Result<Vec<env_file::Item>, Failure> {
    let name = file.display().to_string();
    let content = blocking(move || source::of_env_file(&file)).await?;
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

/// Reads something that may take as long as it likes, so that Ctrl-C is heard meanwhile.
async fn blocking(read: impl FnOnce() -> Result<Vec<u8>, Failure> + Send + 'static) -> Result<Vec<u8>, Failure> {
    let read = tokio::task::spawn_blocking(read).await;
    read.unwrap_or_else(|error| Err(Failure::new(format!("reading: {error}"))))
}
