//! S2: how long answers take.

use super::{MeasureArgs, Servers};
use crate::load::{ALONE, Load, WIDE};
use crate::machine::say;
use crate::review::Review;
use crate::site::Contender;
use crate::statistics::{Spread, percentile};
use crate::table::{self, row};

/// p50 and p99 in µs, a value a round.
#[derive(Default)]
struct Percentiles {
    half: Vec<f64>,
    most: Vec<f64>,
}

/// Measures with the typical Pod, and prints S2.
pub(super) async fn measure(args: &MeasureArgs, servers: &Servers, reviews: &[Review]) -> anyhow::Result<()> {
    let mut rows = vec![row(["review", "in flight", "p50 ours / F µs", "p99 ours / F µs", "p99 ours / F", "goal"])];
    for review in reviews.iter().filter(|review| review.pod == "typical") {
        let name = Review::name(review.pod, review.hook);
        for (width, in_flight, goal) in [(WIDE, "64", 2.0), (ALONE, "1", 1.5)] {
            say(&format!("S2: {name}, {in_flight} in flight"));
            let (mut ours, mut floor) = (Percentiles::default(), Percentiles::default());
            for round in 0..args.rounds {
                let mut turns = [(Contender::Webhook, &mut ours), (Contender::Floor, &mut floor)];
                turns.rotate_left(round % 2);
                for (contender, percentiles) in turns {
                    take(args, servers, review, contender, width, percentiles).await?;
                }
            }
            let ratio = Spread::of_ratios(&ours.most, &floor.most);
            let both = |ours: &[f64], floor: &[f64]| {
                format!("{:.0} / {:.0}", Spread::of(ours).median, Spread::of(floor).median)
            };
            rows.push(vec![
                name.clone(),
                in_flight.to_owned(),
                both(&ours.half, &floor.half),
                both(&ours.most, &floor.most),
                ratio.to_string(),
                table::at_most(goal, ratio.median),
            ]);
        }
    }
    table::print("S2  time to the answer", &rows);
    Ok(())
}

async fn take(
    args: &MeasureArgs,
    servers: &Servers,
    review: &Review,
    contender: Contender,
    width: (u32, u32),
    percentiles: &mut Percentiles,
) -> anyhow::Result<()> {
    let (path, log) = (contender.path(review), args.folder.join("h2load.log"));
    let load = Load {
        address: servers.of(contender).address,
        path: &path,
        body: &review.file,
        requests: args.latencies,
        width,
        log: Some(&log),
    };
    let latencies = load.send().await?.latencies;
    percentiles.half.push(percentile(&latencies, 50));
    percentiles.most.push(percentile(&latencies, 99));
    Ok(())
}
