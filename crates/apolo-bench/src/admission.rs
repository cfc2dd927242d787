//! S6 to S8: what the hooks and the policies add to the creation of a Pod, on a real API server.
//!
//! Run by `cluster run --bare`. All that is compared is there at the same time, in `lanes`: namespaces that differ in who is asked
//! about their Pods. Pods are created one at a time and by turns, so that each is compared with the ones beside it. In the order of
//! a run: `scene` (what is measured on), `turns` (how), `created` (S6), `untouched` (S7), `size` and `crowd` (S8). Beside them `pods`.

mod created;
mod crowd;
mod lanes;
mod pods;
mod scene;
mod size;
mod turns;
mod untouched;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::machine::machine;
use scene::Scene;

/// The arguments of `apolo-bench admission`.
#[derive(Args, Debug)]
pub struct AdmissionArgs {
    /// How often each thing is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many Pods a lane gets in each round.
    #[arg(long, default_value_t = 200)]
    times: usize,
    /// How many Pods without annotations a lane of S7 gets in all rounds together.
    #[arg(long, default_value_t = 10_000)]
    untouched: usize,
    /// How many grants are elsewhere, and then in the owner's namespace, in S8.
    #[arg(long, default_value_t = 10_000)]
    most: usize,
    /// The program of the peer P, as `run` builds it.
    #[arg(long)]
    peer: Option<PathBuf>,
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
    A,
    /// A Pod that asks for secrets.
    S6,
    /// A Pod that does not.
    S7,
    /// Cost against size.
    S8,
}

/// Measures, and prints the figures.
///
/// # Errors
/// When something keeps it from measuring.
pub async fn run(args: AdmissionArgs) -> anyhow::Result<()> {
    let wanted = |part| args.only.is_none_or(|only| only == part || only == Part::A);
    let scene = Scene::new(&args.cluster, args.peer.as_deref()).await?;
    println!("{}", machine()?);
    println!("medians of {} rounds (least to most), each of Pods created one at a time and by turns", args.rounds);
    println!("floor: a server that reads the review and answers with a constant, registered as both hooks like ours");
    if wanted(Part::S6) {
        created::measure(&args, &scene).await?;
    }
    if wanted(Part::S7) {
        untouched::measure(&args, &scene).await?;
    }
    if wanted(Part::S8) {
        size::measure(&args, &scene).await?;
        crowd::measure(&args, &scene).await?;
    }
    println!("\n{}", machine()?);
    Ok(())
}
