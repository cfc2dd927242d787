//! `apolo completion`: scripts that teach a shell to complete commands and flags.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Failure;
use crate::output::Output;

/// Print a script that teaches a shell to complete apolo's commands and flags
#[derive(Args)]
#[command(after_help = "\
Examples:
  source <(apolo completion bash)                                           # this shell
  apolo completion zsh > \"${fpath[1]}/_apolo\"                               # every zsh
  apolo completion fish > ~/.config/fish/completions/apolo.fish             # every fish")]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &CompletionArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "apolo", &mut script);
    output.result(&script)?;
    Ok(ExitCode::SUCCESS)
}
