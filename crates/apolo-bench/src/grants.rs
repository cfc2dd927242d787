//! S9 to S11: what a grant costs, from a client's request to access, and how fast many of them come true.
//!
//! Run by `cluster run --bare`: a control plane whose controller-manager works, and the controller as a process under the account
//! that the chart makes for it. In the order of a run: `ground` (what is measured on), `given` (S9), `withdrawn` (S10), `many`
//! (S11). Beside them `bare` (the same writes without a controller, the floor), `access` (when somebody may, and may not any
//! more), `objects` and `flight` (so many requests at a time).

mod access;
mod bare;
pub(crate) mod flight;
mod given;
pub(crate) mod ground;
mod many;
pub(crate) mod objects;
mod withdrawn;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::machine::machine;
use ground::Ground;

/// The arguments of `apolo-bench grants`.
#[derive(Args, Debug)]
pub struct GrantsArgs {
    /// How often the small ones are measured, ours and the bare writes in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many grants are given and withdrawn one after another.
    #[arg(long, default_value_t = 200)]
    times: usize,
    /// How many grants a storm has, and how many are there when the controller starts cold.
    #[arg(long, default_value_t = 2_000)]
    some: usize,
    /// How many grants are there in the large runs of S11.
    #[arg(long, default_value_t = 10_000)]
    most: usize,
    /// Into how many namespaces these are spread in the last run.
    #[arg(long, default_value_t = 1_000)]
    namespaces: usize,
    /// Measures only this part.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Set by `cluster run`; so nothing is ever done to a cluster that somebody uses.
    #[arg(long, env = "APOLO_TEST_CLUSTER", hide = true)]
    cluster: PathBuf,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// All of it.
    G,
    /// From a grant to access.
    S9,
    /// From a withdrawal to refusal.
    S10,
    /// Many at a time.
    S11,
}

/// Measures, and prints the figures.
///
/// # Errors
/// When something keeps it from measuring.
pub async fn run(args: GrantsArgs) -> anyhow::Result<()> {
    let wanted = |part| args.only.is_none_or(|only| only == part || only == Part::G);
    let mut ground = Ground::new(&args.cluster).await?;
    println!("{}", machine()?);
    println!("bare: the same writes, by server-side apply, sent by the benchmark as an administrator");
    if wanted(Part::S9) {
        given::measure(&args, &mut ground).await?;
    }
    if wanted(Part::S10) {
        withdrawn::measure(&args, &mut ground).await?;
    }
    if wanted(Part::S11) {
        many::measure(&args, &mut ground).await?;
    }
    println!("\n{}", machine()?);
    Ok(())
}
