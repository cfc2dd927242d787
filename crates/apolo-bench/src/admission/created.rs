//! S6: a Pod that asks for secrets, without hooks, with the floor as both hooks, and with ours.

use super::AdmissionArgs;
use super::lanes::{FLOOR, HOOKS, NONE, OURS, PEER, SAME};
use super::scene::Scene;
use super::turns::{self, Measured, Way};
use crate::table::{self, row};

const LANES: [(&str, &str); 5] = [
    (NONE, "no hooks"),
    (FLOOR, "floor: allows"),
    (SAME[0], "floor: answers with our patch"),
    (HOOKS, "ours, without policies"),
    (OURS, "ours"),
];

/// Measures, and prints S6.
pub(super) async fn measure(args: &AdmissionArgs, scene: &Scene) -> anyhow::Result<()> {
    let mut ways = Vec::new();
    for (pod, manifest, same) in [("typical", &scene.typical, SAME[0]), ("shared", &scene.shared, SAME[1])] {
        for (lane, _) in LANES {
            let there = if lane == SAME[0] { same } else { lane };
            ways.push(Way::pod(format!("{pod} {lane}"), there, &scene.bob, manifest));
        }
    }
    if scene.peer.is_some() {
        ways.push(Way::pod("typical peer", PEER, &scene.bob, &scene.typical));
    }
    ways.push(Way::pod("account typical", OURS, &scene.account, &scene.typical));
    ways.push(Way::pod("account shared", OURS, &scene.account, &scene.shared));
    let measured = turns::measure("S6", scene, &ways, (args.rounds, args.times)).await?;
    print(&measured);
    if scene.peer.is_some() {
        print_peer(&measured);
    } else {
        println!("  the peer P was not measured: it is built with go");
    }
    print_questions(&measured);
    Ok(())
}

fn print(measured: &Measured) {
    let mut rows = vec![row([
        "Pod, who is asked",
        "ms",
        "more than no hooks",
        "more than floor",
        "CPU API server, ms",
        "asked, µs",
        "goal",
    ])];
    for (pod, goal) in [("typical", 2.0), ("shared", 4.0)] {
        let [none, floor] = [NONE, FLOOR].map(|lane| format!("{pod} {lane}"));
        for (lane, what) in LANES {
            let name = format!("{pod} {lane}");
            let above = measured.added(&name, &floor);
            rows.push(vec![
                format!("{pod}: {what}"),
                measured.time(&name).to_string(),
                if lane == NONE { String::new() } else { measured.added(&name, &none).to_string() },
                if [NONE, FLOOR].contains(&lane) { String::new() } else { above.to_string() },
                format!("{:.2}", measured.api_server(&name).median),
                format!("{:.0}", measured.asked(&name).median),
                if lane == OURS { table::at_most(goal, above.median) } else { String::new() },
            ]);
        }
    }
    table::print("S6  creating a Pod, ms", &rows);
}

fn print_peer(measured: &Measured) {
    let peer = measured.added("typical peer", "typical none");
    let ours = measured.added(&format!("typical {OURS}"), "typical none");
    println!(
        "  typical: peer P as its one hook {} ms, {peer} more than no hooks, {:.0} µs; ours adds {:.2} of that, {}",
        measured.time("typical peer"),
        measured.asked("typical peer").median,
        ours.median / peer.median,
        table::at_most(0.6, ours.median / peer.median),
    );
}

/// A Pod with a shared secret waits for its copy, so the patch is another: the floor's two patches tell what that adds.
fn print_questions(measured: &Measured) {
    let [ours, typical] = ["shared", "typical"].map(|pod| format!("{pod} {OURS}"));
    let [same, same_typical] = ["shared", "typical"].map(|pod| format!("{pod} {}", SAME[0]));
    let alone = measured.added_beyond((&ours, &typical), (&same, &same_typical));
    let cpu = |more: &str, less: &str| {
        let more_of = |of: fn(&Measured, &str) -> f64| of(measured, more) - of(measured, less);
        [
            format!("{:.2}", more_of(|measured, name| measured.api_server(name).median)),
            format!("{:.0}", more_of(|measured, name| measured.webhook(name).median)),
        ]
    };
    let line = |what: &str, added: String, cpu: [String; 2]| [vec![what.to_owned(), added], cpu.to_vec()].concat();
    let rows = [
        row(["shared less typical", "ms", "CPU API server, ms", "ours, µs"]),
        line(
            "bob's, who may: whether he may use it",
            measured.added(&ours, &typical).to_string(),
            cpu(&ours, &typical),
        ),
        line("  of which not by its other patch", alone.to_string(), Default::default()),
        line(
            "launched by its own account, which may",
            measured.added("account shared", "account typical").to_string(),
            cpu("account shared", "account typical"),
        ),
    ];
    table::print("S6  what the questions add", &rows);
}
