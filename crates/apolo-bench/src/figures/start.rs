//! S4, memory, and S5: from the start of a process to its first right answer, and the size of the binary.

use std::fs;

use super::MeasureArgs;
use crate::machine::say;
use crate::review::Review;
use crate::site::{Contender, Site};
use crate::statistics::Spread;
use crate::table::{self, row};
use crate::usage::Memory;

/// Prints S4: memory after the first answer, and the most after all reviews; of the webhook and of F.
pub(super) fn print_memory([ours, floor]: [(Memory, Memory); 2]) {
    let line = |name: &str, figure: f64, floor: f64, goal: f64| {
        vec![name.to_owned(), format!("{figure:.1}"), format!("{floor:.1}"), table::at_most(goal, figure)]
    };
    let rows = [
        row(["memory", "ours MB", "F MB", "goal"]),
        line("idle, after one answer", ours.0.now, floor.0.now, 14.0),
        line("peak, after all reviews of S1", ours.1.peak, floor.1.peak, 30.0),
    ];
    table::print("S4  memory", &rows);
}

/// Starts the servers in turn, and prints S5.
pub(super) async fn measure(args: &MeasureArgs, site: &Site, typical: &Review) -> anyhow::Result<()> {
    say(&format!("S5: {} starts each", args.starts));
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..args.starts {
        for (contender, times) in [(Contender::Webhook, &mut ours), (Contender::Floor, &mut floor)] {
            let (server, took) = site.start(contender, typical).await?;
            drop(server);
            times.push(took.as_secs_f64() * 1e3);
        }
    }
    let (times, floor_times, ratio) = (Spread::of(&ours), Spread::of(&floor), Spread::of_ratios(&ours, &floor));
    let binary = fs::metadata(site.webhook())?.len() as f64 / 1e6;
    let rows = [
        row(["", "ours", "F", "ours / F", "goal"]),
        vec![
            "start to first right answer, ms".to_owned(),
            times.to_string(),
            floor_times.to_string(),
            ratio.to_string(),
            table::at_most(4.0, ratio.median),
        ],
        vec![
            "binary, MB".to_owned(),
            format!("{binary:.1}"),
            String::new(),
            String::new(),
            table::at_most(12.0, binary),
        ],
    ];
    table::print("S5  start and size", &rows);
    Ok(())
}
