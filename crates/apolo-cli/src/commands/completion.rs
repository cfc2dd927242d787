//! `apolo completion`: scripts that teach a shell to complete commands, flags, and what the cluster knows by name.

use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;
use clap_complete::env::Shells;

use crate::exit::Failure;
use crate::output::Output;

/// The shells that can be taught.
const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];
/// The variable with which a script asks this program what could stand where the cursor is.
pub(crate) const VARIABLE: &str = "APOLO_COMPLETE";
const PROGRAM: &str = "apolo";

/// Print a script that teaches a shell to complete apolo's commands and flags, keys, subjects and namespaces
///
/// kubectl completes `kubectl apolo` with a program `kubectl_complete-apolo` beside it: a link to this one.
#[derive(Args)]
#[command(after_help = "\
Examples:
  source <(apolo completion bash)                                           # this shell
  apolo completion zsh > \"${fpath[1]}/_apolo\"                               # every zsh
  apolo completion fish > ~/.config/fish/completions/apolo.fish             # every fish
  ln -s \"$(command -v apolo)\" ~/.local/bin/kubectl_complete-apolo           # kubectl apolo")]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_parser = PossibleValuesParser::new(SHELLS))]
    shell: String,
}

/// Prints the script.
pub(crate) fn run(args: &CompletionArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let shells = Shells::builtins();
    let unknown = || Failure::usage(format!("there is no script for {}", args.shell));
    let shell = shells.completer(&args.shell).ok_or_else(unknown)?;
    let mut script = Vec::new();
    let written = shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script);
    written.map_err(|error| Failure::new(format!("writing the script: {error}")))?;
    output.result(&script)?;
    Ok(ExitCode::SUCCESS)
}
