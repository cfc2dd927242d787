//! The figures S1 to S5, R8 and I1, in their order.

mod cost;
mod hostile;
mod inject;
mod latency;
mod soak;
mod start;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::attack::Attack;
use crate::machine::machine;
use crate::review::{Hook, Review};
use crate::server::Server;
use crate::site::{Contender, Site};

/// The arguments of `apolo-bench measure`.
#[derive(Args, Debug)]
pub struct MeasureArgs {
    /// Where the reviews were captured.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// The binary `apolo-secrets` to measure; the one beside this program if not given.
    #[arg(long)]
    webhook: Option<PathBuf>,
    /// How often each thing is measured, ours and the floor's in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How much CPU time a server uses in one measurement of S1, in seconds; told in hundredths.
    #[arg(long, default_value_t = 1.0)]
    cpu_seconds: f64,
    /// The requests of S2, for each width.
    #[arg(long, default_value_t = 20_000)]
    latencies: u64,
    /// The requests of S3 after which memory is to be the same.
    #[arg(long, default_value_t = 1_000_000)]
    soak: u64,
    /// How often each server is started for S5.
    #[arg(long, default_value_t = 15)]
    starts: usize,
    /// How long each attack of R8 is measured, in seconds.
    #[arg(long, default_value_t = 5.0)]
    attack_seconds: f64,
    /// The attacks of R8; all if none is named.
    #[arg(long, value_enum)]
    attack: Vec<Attack>,
    /// Measures only this part.
    #[arg(long, value_enum)]
    only: Option<Part>,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Speed and cost: S1 to S5.
    S,
    /// Hostile traffic: R8.
    R8,
    /// The command `apolo inject`: I1.
    I,
}

/// Servers that are being compared.
struct Servers {
    webhook: Server,
    floor: Server,
    floor_on_runtime: Server,
}

impl Servers {
    fn of(&self, contender: Contender) -> &Server {
        match contender {
            Contender::Webhook => &self.webhook,
            Contender::Floor => &self.floor,
            Contender::FloorOnRuntime => &self.floor_on_runtime,
        }
    }
}

/// Measures, and prints the figures.
///
/// # Errors
/// When something keeps it from measuring.
pub async fn run(args: MeasureArgs) -> anyhow::Result<()> {
    let reviews = Review::load(&args.folder)?;
    let typical = find(&reviews, "typical", Hook::Mutate)?;
    let site = Site::new(&args.folder, args.webhook.clone())?;
    println!("{}", machine()?);
    println!("F: axum and rustls, reads the body, answers as many bytes as the webhook");
    let wanted = |part| args.only.is_none_or(|only| only == part);
    if wanted(Part::S) {
        speed(&args, &site, &reviews, typical).await?;
    }
    if wanted(Part::R8) {
        hostile::measure(&args, &site, typical).await?;
    }
    if wanted(Part::I) {
        inject::measure(&args, &site)?;
    }
    println!("\n{}", machine()?);
    Ok(())
}

async fn speed(args: &MeasureArgs, site: &Site, reviews: &[Review], typical: &Review) -> anyhow::Result<()> {
    println!("medians of {} rounds (least to most); met or missed is said of the median", args.rounds);
    println!("each answer was checked once before the load");
    let (webhook, _) = site.start(Contender::Webhook, typical).await?;
    let idle = webhook.usage.memory()?;
    site.keep_answers(&webhook, reviews).await?;
    let (floor, _) = site.start(Contender::Floor, typical).await?;
    let floor_idle = floor.usage.memory()?;
    let (floor_on_runtime, _) = site.start(Contender::FloorOnRuntime, typical).await?;
    let servers = Servers { webhook, floor, floor_on_runtime };

    let costs = cost::measure(args, &servers, reviews).await?;
    cost::print(site, &costs)?;
    let (peak, floor_peak) = (servers.webhook.usage.memory()?, servers.floor.usage.memory()?);
    latency::measure(args, &servers, reviews).await?;
    soak::measure(args, &servers, typical, &costs).await?;
    start::print_memory([(idle, peak), (floor_idle, floor_peak)]);
    drop(servers);
    start::measure(args, site, typical).await
}

fn find<'a>(reviews: &'a [Review], pod: &str, hook: Hook) -> anyhow::Result<&'a Review> {
    reviews.iter().find(|review| review.pod == pod && review.hook == hook).context("a review is missing")
}
