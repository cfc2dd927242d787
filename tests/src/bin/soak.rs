//! `soak` has the storm of ten minutes: see `apolo_tests::storm`.
#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::time::Duration;

use apolo_tests::storm::{
    Plan,
    counts::Counts,
    replicas::Restart::{HaltLeader, KillLeader, KillStandby, StopLeader},
    seed, storm,
};
use clap::Parser;

/// What there has to be at least, in each ten minutes.
const LEAST: Counts = Counts { grants: 200, withdrawals: 200, deliveries: 500, refusals: 200, kills: 10, failovers: 5 };

/// Has a storm of grants, withdrawals, Pods, deletions and restarts on a control plane of its own, and fails on what is wrong for too
/// long, or left.
#[derive(Parser)]
struct Arguments {
    /// For how long.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// What chance begins with; by default another each time.
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Arguments { minutes, seed: given } = Arguments::parse();
    let plan = Plan {
        seed: given.unwrap_or_else(seed),
        lasts: Duration::from_secs(60 * minutes),
        every: 200,
        restarts: &[KillLeader, KillStandby, StopLeader, KillLeader, KillStandby, HaltLeader],
        least: if minutes < 10 { Counts::default() } else { LEAST },
    };
    println!("a storm of {minutes} minutes, seed {}", plan.seed);
    println!("{}", storm(&plan).await?);
    Ok(())
}
