//! The value of a key, read from where it is said to come from.

use apolo_client::value::SecretValue;

use super::AddArgs;
use super::source::{self, Source};
use crate::context::Context;
use crate::exit::Failure;
use crate::terminal::{self, Typed};

/// The value of a key, from wherever it comes.
///
/// # Errors
/// Where it cannot be read there, or is empty and may not be.
pub(super) async fn read(
    source: Source,
    key: &str,
    args: &AddArgs,
    context: &mut Context,
) -> Result<SecretValue, Failure> {
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
        Typed::Left => Err(Failure::interrupted()),
        Typed::Nothing => Err(Failure::usage("no value was typed").hint(otherwise)),
        Typed::Several => Err(Failure::usage("several lines were typed, and a terminal passes on one").hint(otherwise)),
        Typed::TooLong => Err(Failure::usage("the line is longer than a terminal passes on").hint(otherwise)),
    }
}

/// Reads something that may take as long as it likes, so that Ctrl-C is heard meanwhile.
///
/// # Errors
/// What it fails with.
pub(super) async fn blocking(
    read: impl FnOnce() -> Result<Vec<u8>, Failure> + Send + 'static,
) -> Result<Vec<u8>, Failure> {
    let read = tokio::task::spawn_blocking(read).await;
    read.unwrap_or_else(|error| Err(Failure::new(format!("reading: {error}"))))
}
