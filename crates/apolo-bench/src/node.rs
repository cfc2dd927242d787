//! The chart on a real node: from `helm install` to the first Pod that is rewritten, and the memory of webhook and controller where many Pods
//! wait.
//!
//! Run by `cluster run --bare --node`: a node that has the image of the release, and nothing of ours installed. In the order of a run:
//! `installed` (how long helm and the first Pod take, each round on a cluster that has never known us), `waiting` (memory).

mod installed;
mod waiting;

use std::path::PathBuf;

use apolo_tests::control_plane::ControlPlane;
use clap::{Args, ValueEnum};

use crate::machine::machine;

/// The arguments of `apolo-bench node`.
#[derive(Args, Debug)]
pub struct NodeArgs {
    /// How often the chart is installed.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// For how many minutes memory is looked at.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// How many minutes are between two looks.
    #[arg(long, default_value_t = 5)]
    look: u64,
    /// How many Pods ask for secrets that no scheduler serves.
    #[arg(long, default_value_t = 200)]
    waiting: usize,
    /// How many Pods ask for secrets and run.
    #[arg(long, default_value_t = 20)]
    running: usize,
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
    Node,
    /// From `helm install` to the first Pod.
    Install,
    /// Memory.
    Memory,
}

/// Measures, and prints the figures.
///
/// # Errors
/// When something keeps it from measuring.
pub async fn run(args: NodeArgs) -> anyhow::Result<()> {
    let wanted = |part| args.only.is_none_or(|only| only == part || only == Part::Node);
    let control_plane = ControlPlane::open(&args.cluster)?;
    println!("{}", machine()?);
    if wanted(Part::Install) {
        installed::measure(args.rounds, &control_plane).await?;
    }
    if wanted(Part::Memory) {
        waiting::measure(&args, &control_plane).await?;
    }
    println!("\n{}", machine()?);
    Ok(())
}
