//! Attacks on the port, from a process of their own, so that their cost can be told from the server's.
//!
//! Each is a number of strangers who come one after the other, do their worst until the server ends it, and come again
//! after a pause: so the rate is bounded, and the attack goes on.

mod frames;
mod strangers;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::Client;
use strangers::{Counts, Stranger};

/// The arguments of `apolo-bench attack`.
#[derive(Args, Debug)]
pub struct AttackArgs {
    /// What is done.
    #[arg(value_enum)]
    attack: Attack,
    /// To whom: an address of this machine.
    #[arg(long, value_parser = loopback)]
    address: SocketAddr,
    /// The path of the requests.
    #[arg(long)]
    path: String,
    /// The certificate that is trusted.
    #[arg(long)]
    authority: PathBuf,
    /// For how long.
    #[arg(long)]
    seconds: f64,
}

/// What strangers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Attack {
    /// 2,000 connections without a request.
    Idle2000,
    /// 10,000 connections without a request.
    Idle10000,
    /// Headers that never end.
    SlowHeaders,
    /// Bodies of 1 GiB.
    EndlessBodies,
    /// Bodies that never end.
    SlowBodies,
    /// The same, 125 of them on one connection.
    SlowStreams,
    /// Streams that are reset as they are opened.
    Resets,
    /// Brackets.
    DeepJson,
    /// Empty containers.
    ManyContainers,
    /// Large answers that nobody takes.
    UnreadAnswers,
}

/// How many strangers there are, how many come a second at first, and after what pause each comes again.
pub(crate) struct Plan {
    strangers: u32,
    rate: u32,
    pause: Duration,
    protocol: &'static str,
    pub(crate) words: &'static str,
}

impl Attack {
    /// All of them, in the order in which they are told.
    pub(crate) const ALL: [Self; 10] = [
        Self::Idle2000,
        Self::Idle10000,
        Self::SlowHeaders,
        Self::EndlessBodies,
        Self::SlowBodies,
        Self::SlowStreams,
        Self::Resets,
        Self::DeepJson,
        Self::ManyContainers,
        Self::UnreadAnswers,
    ];

    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(crate) fn plan(self) -> Plan {
        let plan = |strangers, rate, millis, protocol, words| Plan {
            strangers,
            rate,
            pause: Duration::from_millis(millis),
            protocol,
            words,
        };
        match self {
            Self::Idle2000 => plan(2_000, 1_000, 5_000, "h2", "2,000 idle TLS connections"),
            Self::Idle10000 => plan(10_000, 2_000, 5_000, "h2", "10,000 idle TLS connections"),
            Self::SlowHeaders => plan(2_000, 1_000, 5_000, "http/1.1", "2,000 headers, 4 bytes a second"),
            Self::EndlessBodies => plan(16, 1_000, 10, "http/1.1", "16 bodies of 1 GiB"),
            Self::SlowBodies => plan(2_000, 1_000, 5_000, "http/1.1", "2,000 bodies, 4 bytes a second"),
            Self::SlowStreams => plan(80, 1_000, 1_000, "h2", "10,000 streams, 2 bytes a second"),
            Self::Resets => plan(8, 1_000, 50, "h2", "8 storms of streams reset at once"),
            Self::DeepJson => plan(8, 1_000, 20, "h2", "8 reviews 3,000,000 levels deep"),
            Self::ManyContainers => plan(8, 1_000, 20, "h2", "8 reviews of 2,000,000 containers"),
            Self::UnreadAnswers => plan(32, 1_000, 500, "h2", "3,200 answers of 1 MB, not taken"),
        }
    }
}

/// Attacks, and says on stdout how often.
///
/// # Errors
/// When there is no certificate to trust.
pub async fn run(args: AttackArgs) -> anyhow::Result<()> {
    raise_descriptors();
    let plan = args.attack.plan();
    let authority = fs::read_to_string(&args.authority).context("reading the certificate to trust")?;
    let stranger = Arc::new(Stranger {
        client: Client::of(&authority, plan.protocol)?,
        address: args.address,
        path: args.path,
        body: strangers::body(args.attack),
        counts: Counts::default(),
    });
    let mut tasks = JoinSet::new();
    for number in 0..plan.strangers {
        let (stranger, begin) = (Arc::clone(&stranger), Duration::from_secs(1) * number / plan.rate);
        tasks.spawn(async move {
            sleep(begin).await;
            loop {
                stranger.come(args.attack).await;
                sleep(plan.pause).await;
            }
        });
    }
    sleep(Duration::from_secs_f64(args.seconds)).await;
    println!("{}", stranger.counts);
    Ok(())
}

fn loopback(text: &str) -> anyhow::Result<SocketAddr> {
    let address: SocketAddr = text.parse()?;
    anyhow::ensure!(address.ip().is_loopback(), "only a server on this machine's loopback is attacked");
    Ok(address)
}

/// Lets this process have as many connections as it may, where it has fewer by default.
fn raise_descriptors() {
    // Where this fails, the counts tell.
    let _ = Command::new("prlimit").arg(format!("--pid={}", std::process::id())).arg("--nofile=16384:").status();
}

/// A body that is of use to nobody.
fn repeated(head: &str, what: &str, count: usize, tail: &str) -> Bytes {
    Bytes::from([head, &what.repeat(count), tail].concat())
}
