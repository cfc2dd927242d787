//! S3: throughput, errors, and whether many requests leave anything behind.

use super::cost::Costs;
use super::{MeasureArgs, Servers};
use crate::load::{Load, WIDE};
use crate::machine::say;
use crate::review::Review;
use crate::site::Contender;
use crate::statistics::Spread;
use crate::table::{self, row};

/// Sends many requests to the webhook, and prints S3; the throughput is that of S1's rounds.
pub(super) async fn measure(
    args: &MeasureArgs,
    servers: &Servers,
    typical: &Review,
    costs: &[Costs<'_>],
) -> anyhow::Result<()> {
    let mut rows = vec![row(["throughput of", "ours 1/s", "F 1/s", "ours / F", "goal"])];
    for costs in costs.iter().filter(|costs| costs.review.pod == typical.pod) {
        let ratio = Spread::of_ratios(&costs.webhook.rate, &costs.floor.rate);
        rows.push(vec![
            Review::name(costs.review.pod, costs.review.hook),
            format!("{:.0}", Spread::of(&costs.webhook.rate).median),
            format!("{:.0}", Spread::of(&costs.floor.rate).median),
            ratio.to_string(),
            table::at_least(0.5, ratio.median),
        ]);
    }
    table::print("S3  throughput, errors, what is left behind", &rows);
    let errors: u64 = costs.iter().map(|costs| costs.webhook.errors).sum();
    println!("  errors in all rounds of S1: {errors} (goal 0)");

    say(&format!("S3: {} requests", args.soak));
    let path = Contender::Webhook.path(typical);
    let server = &servers.webhook;
    let load =
        Load { address: server.address, path: &path, body: &typical.file, requests: args.soak, width: WIDE, log: None };
    let before = server.usage.memory()?;
    let outcome = load.send().await?;
    let after = server.usage.memory()?;
    println!(
        "  {} requests in a row: {} errors (goal 0), {:.0} a second, memory {:.1} MB before and {:.1} MB after",
        args.soak, outcome.errors, outcome.rate, before.now, after.now
    );
    Ok(())
}
