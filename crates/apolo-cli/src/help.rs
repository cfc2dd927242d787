//! How help is laid out: what a command is for, examples, and only then all that it can be told.

use clap::Command;

/// Examples before usage; `{after-help}` begins with an empty line.
const TEMPLATE: &str = "{before-help}{about}{after-help}\n\n{usage-heading} {usage}\n\n{all-args}\n";

/// Lays out the help of a command and of those under it.
#[must_use]
pub(crate) fn arranged(command: Command) -> Command {
    let has_examples = command.get_after_help().is_some();
    let command = if has_examples { command.help_template(TEMPLATE) } else { command };
    command.mut_subcommands(arranged)
}
