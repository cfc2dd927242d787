//! S8: cost against the size of a Pod.

use serde_json::Value;

use super::AdmissionArgs;
use super::lanes::{FLOOR, OURS};
use super::pods;
use super::scene::{ALICE, SHARED, Scene, secret};
use super::turns::{self, Measured, Way};
use crate::table::{self, row};

const ITEMS: [usize; 3] = [1, 8, SHARED];
const CONTAINERS: [usize; 3] = [1, 10, 50];

/// Measures, and prints S8 as far as it is about Pods.
pub(super) async fn measure(args: &AdmissionArgs, scene: &Scene) -> anyhow::Result<()> {
    let own = |count| pods::with_variables((0..count).map(secret));
    let shared = |count| pods::with_variables((0..count).map(|number| format!("/{ALICE}/{}", secret(number))));
    let sizes = |what: &str, counts: [usize; 3], pod: &dyn Fn(usize) -> Value| {
        counts.map(|count| (format!("{what}: {count}"), pod(count), count))
    };
    let all = [
        sizes("items of the own namespace", ITEMS, &own),
        sizes("containers, each with 5 items", CONTAINERS, &pods::with_containers),
        sizes("items of another owner", ITEMS, &shared),
    ];
    let mut rows = vec![row([
        "Pod",
        "ms, floor",
        "ours more than floor",
        "CPU API server, ms: floor",
        "ours",
        "ours, µs",
        "each further: ms",
        "µs",
    ])];
    for sizes in all {
        let mut ways = Vec::new();
        for (name, pod, _) in &sizes {
            ways.push(Way::pod(format!("{name} {FLOOR}"), FLOOR, &scene.bob, pod));
            ways.push(Way::pod(format!("{name} {OURS}"), OURS, &scene.bob, pod));
        }
        let times = (args.rounds, args.times.div_ceil(2));
        let measured = turns::measure("S8", scene, &ways, times).await?;
        let [(least, ..), ..] = &sizes;
        rows.extend(sizes.iter().map(|(name, _, count)| line(&measured, name, least, count - 1)));
    }
    table::print("S8  cost against the size of a Pod, both hooks together", &rows);
    println!("  goal: linear in the Pod, so that each further one costs the same");
    Ok(())
}

/// One size, beside the least, which has so many fewer.
fn line(measured: &Measured, name: &str, least: &str, further: usize) -> Vec<String> {
    let [floor, ours] = [FLOOR, OURS].map(|lane| format!("{name} {lane}"));
    let [least_floor, least] = [FLOOR, OURS].map(|lane| format!("{least} {lane}"));
    let (added, cpu) = (measured.added(&ours, &floor), measured.webhook(&ours));
    let each = |more: f64, digits: usize| match further {
        0 => String::new(),
        _ => format!("{:.digits$}", more / further as f64),
    };
    vec![
        name.to_owned(),
        format!("{:.2}", measured.time(&floor).median),
        added.to_string(),
        format!("{:.2}", measured.api_server(&floor).median),
        format!("{:.2}", measured.api_server(&ours).median),
        format!("{:.0} ({:.0} to {:.0})", cpu.median, cpu.least, cpu.most),
        each(added.median - measured.added(&least, &least_floor).median, 3),
        each(cpu.median - measured.webhook(&least).median, 1),
    ]
}
