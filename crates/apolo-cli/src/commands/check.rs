//! `apolo check`.

use std::process::ExitCode;

use apolo_client::check::{self, Finding};
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{FAILED, Failure};
use crate::output::format::Structure;

/// Tell what of Apolo Secrets is installed, and whether it works
///
/// At last a Pod that asks for a secret is submitted to the namespace in a dry run: it must come back with it. Nothing is changed.
#[derive(Args)]
#[command(after_help = "\
Examples:
  apolo check -n alice               # and whether Pods of alice get their secrets
  apolo check --pre                  # before anything is installed

Exit codes: 0 it works as far as you may see, 1 something is wrong.")]
pub(crate) struct CheckArgs {
    /// Whether it could be installed here, by you
    #[arg(long)]
    pre: bool,

    #[command(flatten)]
    printing: Structure,
}

/// Looks, and tells what was found.
pub(crate) async fn run(args: &CheckArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    let connection = context.connect().await?;
    let found = if args.pre { check::before(&connection).await } else { check::installed(&connection).await };
    if let Some(structured) = args.printing.structured() {
        let told: Vec<Told<'_>> = found.iter().map(Told::of).collect();
        context.output.structured(structured, &told)?;
    } else {
        for finding in &found {
            context.output.line(&finding.to_string())?;
        }
    }
    Ok(if check::is_well(&found) { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// A finding, as programs get it.
#[derive(Serialize)]
struct Told<'a> {
    what: &'a str,
    verdict: String,
    told: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<&'a str>,
}

impl<'a> Told<'a> {
    fn of(finding: &'a Finding) -> Self {
        Self {
            what: finding.what,
            verdict: finding.verdict.to_string(),
            told: &finding.told,
            mend: finding.mend.as_deref(),
        }
    }
}
