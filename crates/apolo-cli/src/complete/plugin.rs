//! Completion of `kubectl apolo`: kubectl calls `kubectl_complete-apolo` with the words behind its own, and reads candidates as the
//! programs of its library write them.
//!
//! Source: <https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/#command-line-completion>

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap_complete::{CompletionCandidate, engine};

use crate::cli::Cli;

/// That the shell is not to offer files beside what is offered (`ShellCompDirectiveNoFileComp`), and that it may (…`Default`).
const NO_FILES: u8 = 4;
const FILES: u8 = 0;

/// Prints what can stand in the place of the last of the words, then how the shell is to treat it.
pub(crate) fn complete(words: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = [OsString::from("apolo")].into_iter().chain(words).collect();
    let last = words.len() - 1;
    let is_flag = words.last().is_some_and(|word| word.as_encoded_bytes().starts_with(b"-"));
    let found = engine::complete(&mut Cli::definition(), words, last, None).unwrap_or_default();
    let mut text = String::new();
    // As kubectl does, flags are offered to who has begun one.
    let is_offered = |candidate: &&CompletionCandidate| {
        !candidate.is_hide_set() && (is_flag || !candidate.get_value().as_encoded_bytes().starts_with(b"-"))
    };
    for candidate in found.iter().filter(is_offered) {
        text.push_str(&candidate.get_value().to_string_lossy());
        if let Some(help) = candidate.get_help() {
            text.push('\t');
            text.push_str(help.to_string().lines().next().unwrap_or_default());
        }
        text.push('\n');
    }
    let directive = if found.is_empty() { FILES } else { NO_FILES };
    match writeln!(std::io::stdout(), "{text}:{directive}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
