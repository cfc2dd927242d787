//! A command line that is none, told without repeating what was typed where that may be a value.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::called::Called;
use crate::exit::Failure;
use crate::output::{Color, Output};

/// Commands that take values, by the words that name them.
const TAKE_VALUES: [&[&str]; 1] = [&["secret", "add"]];

/// Tells what is wrong, or shows the help that was asked for, and gives the code to end with.
pub(crate) fn report(error: &clap::Error, called: Called) -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    if is_command_of_a_container(error, &words) {
        let flag = error.get(ContextKind::InvalidArg).map(shown).unwrap_or_default();
        let meant = error.get(ContextKind::SuggestedArg).map(|meant| format!("nearest: {}; ", shown(meant)));
        let meant = meant.unwrap_or_default();
        return Failure::usage(format!("apolo run has no flag {flag}"))
            .hint(format!("{meant}a command, with its flags, stands behind --: apolo run IMAGE -- CMD"))
            .report(&mut Output::new(false, Color::Auto, called));
    }
    if !error.use_stderr()
        || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        || !may_hold_value(&words)
    {
        error.exit()
    }
    silent(error).report(&mut Output::new(false, Color::Auto, called))
}

/// Whether the words may be those of a command that was to run in a container, without `--` before them. That `run` is among them does
/// not tell: it may be a key, or a value.
fn is_command_of_a_container(error: &clap::Error, words: &[OsString]) -> bool {
    let is_run = || match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string().contains(" apolo run "),
        _ => false,
    };
    error.kind() == ErrorKind::UnknownArgument && is_run() && !words.iter().any(|word| word == "--")
}

/// Whether a value may be among the words.
fn may_hold_value(words: &[OsString]) -> bool {
    TAKE_VALUES.iter().any(|command| {
        let mut words = words.iter();
        command.iter().all(|name| words.any(|word| word == name))
    })
}

/// What clap says, in the names of our own flags and arguments and nothing else.
fn silent(error: &clap::Error) -> Failure {
    let context = |kind| error.get(kind).map(shown).unwrap_or_default();
    let argument = context(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument if !argument.starts_with('-') => {
            Failure::usage("there are more words than KEY and VALUE")
                .hint("quote the value: apolo secret add KEY 'VALUE'")
        }
        ErrorKind::UnknownArgument => {
            let meant = error.get(ContextKind::SuggestedArg).map(|meant| format!("nearest: {}", shown(meant)));
            Failure::usage("there is no such flag").hint(meant.unwrap_or_else(|| {
                "a value that begins with \"-\" stands behind --: apolo secret add KEY -- VALUE".to_owned()
            }))
        }
        ErrorKind::InvalidValue => Failure::usage(format!("{argument} is one of {}", context(ContextKind::ValidValue))),
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            Failure::usage(format!("{argument}: {why}"))
        }
        ErrorKind::ArgumentConflict => {
            Failure::usage(format!("{argument} cannot be used with {}", context(ContextKind::PriorArg)))
        }
        ErrorKind::MissingRequiredArgument => {
            Failure::usage(format!("{argument} is missing")).hint("apolo secret add --help")
        }
        kind => Failure::usage(kind.as_str().unwrap_or("the command line is none")).hint("apolo secret add --help"),
    }
}

fn shown(value: &ContextValue) -> String {
    match value {
        ContextValue::String(text) => text.clone(),
        ContextValue::Strings(texts) => texts.join(", "),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_key_or_a_value_that_is_run_is_no_command_of_that_name() {
        for (line, expected) in [
            ("apolo run ubuntu --planted", true),
            ("apolo -n alice run ubuntu ls -l", true),
            ("apolo run ubuntu --planted -- ls", false),
            ("apolo secret add run --planted", false),
            ("apolo secret add key run planted", false),
            ("apolo secret ls run", false),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let error = Cli::definition().try_get_matches_from(&words).unwrap_err();
            assert_eq!(is_command_of_a_container(&error, &words), expected, "{line}");
        }
    }

    #[test]
    fn what_follows_the_name_of_a_command_may_be_a_value() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (line, expected) in [
            ("secret add key -p@ss", true),
            ("-n alice secret --quiet add key -p@ss", true),
            ("secret ls --ad", false),
            ("add secret", false),
        ] {
            assert_eq!(may_hold_value(&words(line)), expected, "{line}");
        }
    }
}
