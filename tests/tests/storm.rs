//! The short form of the storm; `make soak` has the long one.
#![allow(clippy::print_stdout, reason = "what happened is what it is for")]

use std::time::Duration;

use apolo_tests::storm::{
    Plan,
    counts::Counts,
    replicas::Restart::{HaltLeader, KillLeader, KillStandby, StopLeader},
    seed, storm,
};

const LEAST: Counts = Counts { grants: 30, withdrawals: 30, deliveries: 50, refusals: 50, kills: 2, failovers: 2 };

#[tokio::test]
async fn in_a_storm_nothing_is_wrong_for_long_and_nothing_is_left() -> anyhow::Result<()> {
    let plan = Plan {
        seed: seed(),
        lasts: Duration::from_secs(75),
        every: 100,
        restarts: &[KillLeader, KillStandby, StopLeader, HaltLeader],
        least: LEAST,
    };
    println!("seed {}", plan.seed);
    println!("{}", storm(&plan).await?);
    Ok(())
}
