//! S1: CPU time of the server for a request, and by the way the throughput of S3.

use super::{MeasureArgs, Servers};
use crate::load::{Load, WIDE};
use crate::machine::say;
use crate::review::Review;
use crate::site::{Contender, Site};
use crate::statistics::Spread;
use crate::table::{self, row};

/// What was measured with one review, a value a round.
pub(super) struct Costs<'a> {
    pub(super) review: &'a Review,
    pub(super) webhook: Cost,
    pub(super) floor: Cost,
    /// Of the typical Pod only.
    pub(super) floor_on_runtime: Cost,
}

/// What one server took.
#[derive(Default)]
pub(super) struct Cost {
    /// CPU time for a request, µs.
    pub(super) cpu: Vec<f64>,
    /// Requests a second.
    pub(super) rate: Vec<f64>,
    pub(super) errors: u64,
    /// How many requests use up the time of one measurement.
    requests: u64,
}

impl Costs<'_> {
    fn of(&mut self, contender: Contender) -> &mut Cost {
        match contender {
            Contender::Webhook => &mut self.webhook,
            Contender::Floor => &mut self.floor,
            Contender::FloorOnRuntime => &mut self.floor_on_runtime,
        }
    }
}

/// Measures each review in each round, the servers in turn.
pub(super) async fn measure<'a>(
    args: &MeasureArgs,
    servers: &Servers,
    reviews: &'a [Review],
) -> anyhow::Result<Vec<Costs<'a>>> {
    let new =
        |review| Costs { review, webhook: Cost::default(), floor: Cost::default(), floor_on_runtime: Cost::default() };
    let mut all: Vec<Costs<'a>> = reviews.iter().map(new).collect();
    for round in 1..=args.rounds {
        for costs in &mut all {
            say(&format!("S1, round {round}: {}", Review::name(costs.review.pod, costs.review.hook)));
            let mut turns = vec![Contender::Webhook, Contender::Floor];
            if costs.review.pod == "typical" {
                turns.push(Contender::FloorOnRuntime);
            }
            let first = round % turns.len();
            turns.rotate_left(first);
            for contender in turns {
                let review = costs.review;
                take(args, servers, review, contender, costs.of(contender)).await?;
            }
        }
    }
    Ok(all)
}

/// One measurement; before the first, a small one says how many requests it takes.
async fn take(
    args: &MeasureArgs,
    servers: &Servers,
    review: &Review,
    contender: Contender,
    cost: &mut Cost,
) -> anyhow::Result<()> {
    const TRIAL: u64 = 5_000;
    let server = servers.of(contender);
    let path = contender.path(review);
    let load =
        |requests| Load { address: server.address, path: &path, body: &review.file, requests, width: WIDE, log: None };
    let before = server.usage.cpu()?;
    if cost.requests == 0 {
        load(TRIAL).send().await?;
        let trial = (server.usage.cpu()? - before).as_secs_f64().max(0.01);
        let requests = (args.cpu_seconds / trial * TRIAL as f64) as u64;
        cost.requests = requests.clamp(TRIAL, 1_000_000);
    }
    let before = server.usage.cpu()?;
    let outcome = load(cost.requests).send().await?;
    let used = server.usage.cpu()? - before;
    cost.cpu.push(used.as_secs_f64() * 1e6 / cost.requests as f64);
    cost.rate.push(outcome.rate);
    cost.errors += outcome.errors;
    Ok(())
}

/// Prints S1.
pub(super) fn print(site: &Site, all: &[Costs<'_>]) -> anyhow::Result<()> {
    let mut rows = vec![row(["review", "bytes in", "out", "ours µs", "F µs", "ours / F", "goal"])];
    for costs in all {
        let ratio = Spread::of_ratios(&costs.webhook.cpu, &costs.floor.cpu);
        let goal = match costs.review.pod {
            "none" => table::at_most(2.0, ratio.median),
            "small" => "-".to_owned(),
            _ => table::at_most(2.5, ratio.median),
        };
        rows.push(vec![
            Review::name(costs.review.pod, costs.review.hook),
            costs.review.bytes.len().to_string(),
            site.answer_size(costs.review)?.to_string(),
            format!("{:.1}", Spread::of(&costs.webhook.cpu).median),
            format!("{:.1}", Spread::of(&costs.floor.cpu).median),
            ratio.to_string(),
            goal,
        ]);
    }
    table::print("S1  CPU time for a request, 4 connections x 16 streams", &rows);
    for costs in all.iter().filter(|costs| !costs.floor_on_runtime.cpu.is_empty()) {
        let ratio = Spread::of_ratios(&costs.floor_on_runtime.cpu, &costs.floor.cpu);
        let name = Review::name(costs.review.pod, costs.review.hook);
        let median = Spread::of(&costs.floor_on_runtime.cpu).median;
        println!("  of which our runtime (its bounds and metrics around F), {name}: {median:.1} µs, {ratio} x F");
    }
    Ok(())
}
