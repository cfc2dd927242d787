//! `--dry-run`, as kubectl has it.

use apolo_client::dry_run::DryRun;
use clap::{Args, ValueEnum};

/// The flag of commands that change something.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Trying {
    /// Only try it
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    dry_run: Where,
}

/// Where something is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Where {
    /// Nowhere: do it
    #[default]
    None,
    /// Here: send nothing
    Client,
    /// In the API server, which keeps nothing
    Server,
}

impl Trying {
    /// What the flag says.
    pub(crate) fn dry_run(self) -> DryRun {
        match self.dry_run {
            Where::None => DryRun::None,
            Where::Client => DryRun::Client,
            Where::Server => DryRun::Server,
        }
    }

    /// What is told behind what would have been done.
    pub(crate) fn remark(self) -> &'static str {
        match self.dry_run {
            Where::None => "",
            Where::Client => " (client dry run)",
            Where::Server => " (server dry run)",
        }
    }
}
