//! `apolo-bench capture`, then `apolo-bench measure`, which runs `apolo-bench attack`: see the script `run` beside this crate's manifest.

use apolo_bench::admission::{self, AdmissionArgs};
use apolo_bench::attack::{self, AttackArgs};
use apolo_bench::capture::{self, CaptureArgs};
use apolo_bench::deliveries::{self, DeliveriesArgs};
use apolo_bench::figures::{self, MeasureArgs};
use apolo_bench::grants::{self, GrantsArgs};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Measures what the webhook costs.
#[derive(Parser)]
enum Command {
    /// Keeps the reviews that a real API server sends; run by `cluster run`.
    Capture(CaptureArgs),
    /// Measures the webhook against the floor with the reviews that were captured, and prints the figures.
    Measure(MeasureArgs),
    /// Measures the controller against bare writes, and prints the figures; run by `cluster run`.
    Grants(GrantsArgs),
    /// Measures what the hooks and policies add to the creation of a Pod, and prints the figures; run by `cluster run`.
    Admission(AdmissionArgs),
    /// Measures what the delivery of shared secrets takes, and prints the figures; run by `cluster run`.
    Deliveries(DeliveriesArgs),
    /// Attacks a server on this machine's loopback; run by `measure`.
    #[command(hide = true)]
    Attack(AttackArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let command = Command::parse();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let work = async {
        match command {
            Command::Capture(args) => capture::run(args).await,
            Command::Admission(args) => admission::run(args).await,
            Command::Attack(args) => attack::run(args).await,
            Command::Deliveries(args) => deliveries::run(args).await,
            Command::Grants(args) => grants::run(args).await,
            Command::Measure(args) => figures::run(args).await,
        }
    };
    // To be left in order, so that every child is ended.
    tokio::select! {
        done = work => done,
        _ = interrupt.recv() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("asked to stop"),
    }
}
