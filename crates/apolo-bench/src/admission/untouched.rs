//! S7: Pods without our annotations.

use super::AdmissionArgs;
use super::lanes::{HOOKS, NONE, OURS};
use super::pods;
use super::scene::Scene;
use super::turns::{self, Way};
use crate::table::{self, row};

/// Measures, and prints S7.
pub(super) async fn measure(args: &AdmissionArgs, scene: &Scene) -> anyhow::Result<()> {
    let pod = pods::of_file(&scene.ground.control_plane, "none")?;
    let lanes = [NONE, HOOKS, OURS];
    let ways = lanes.map(|lane| Way::pod(lane, lane, &scene.bob, &pod));
    let before = scene.decisions().await?;
    let times = args.untouched.div_ceil(args.rounds.max(1));
    let measured = turns::measure("S7", scene, &ways, (args.rounds, times)).await?;
    let calls = scene.decisions().await? - before;
    let mut rows = vec![row(["who might be asked", "ms", "more than no hooks", "CPU API server, ms", "goal"])];
    for (lane, what) in lanes.into_iter().zip(["no hooks", "our hooks, without policies", "ours"]) {
        let added = measured.added(lane, NONE);
        rows.push(vec![
            what.to_owned(),
            measured.time(lane).to_string(),
            if lane == NONE { String::new() } else { added.to_string() },
            format!("{:.2}", measured.api_server(lane).median),
            if lane == OURS { table::at_most(0.6, added.median) } else { String::new() },
        ]);
    }
    table::print("S7  creating a Pod without annotations, ms", &rows);
    let count = times * args.rounds;
    println!("  calls to us for {count} Pods, and as many without policies: {calls}, {}", table::at_most(0.0, calls));
    Ok(())
}
