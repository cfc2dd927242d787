//! S11: many grants that are there when the controller starts, and a start with nothing to do.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use apolo_tests::cluster::Cluster;
use apolo_tests::controller::Controller;
use tokio::time::sleep;

use super::GrantsArgs;
use super::bare::Bare;
use super::flight::{WIDTH, fly};
use super::ground::{BARE, Ground, Made};
use crate::machine::say;
use crate::statistics::Spread;
use crate::table::{self, row};
use crate::usage::Usage;

const SECRET: &str = "secret-password";
const OWNER: &str = "omar";
/// How often the controller is asked how far it is.
const LOOK: Duration = Duration::from_millis(20);
/// How long a run may take.
const DEADLINE: Duration = Duration::from_secs(300);

/// One run: how long it took, and what it used.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Grants.
    count: usize,
    /// In seconds.
    took: f64,
    /// CPU time of the API server, in seconds.
    api_server: f64,
    /// CPU time of whoever wrote, in seconds.
    writer: f64,
    /// The most memory of the controller, in MB.
    peak: f64,
}

impl Run {
    fn rate(&self) -> f64 {
        self.count as f64 / self.took
    }

    fn row(&self, name: &str, bare: Option<&Run>, goal: String) -> Vec<String> {
        say(&format!("{name}: {:.1} s, {:.0} a second", self.took, self.rate()));
        let peak = if self.peak > 0.0 { format!("{:.1}", self.peak) } else { String::new() };
        let each = |seconds: f64| format!("{:.2}", seconds * 1e3 / self.count as f64);
        vec![
            name.to_owned(),
            format!("{:.1}", self.took),
            format!("{:.0}", self.rate()),
            bare.map(|bare| format!("{:.2}", self.took / bare.took)).unwrap_or_default(),
            format!("{} + {}", each(self.api_server), each(self.writer)),
            peak,
            goal,
        ]
    }
}

/// Measures, and prints S11.
pub(super) async fn measure(args: &GrantsArgs, ground: &mut Ground) -> anyhow::Result<()> {
    ground.namespace(OWNER, [SECRET.to_owned()].into_iter()).await?;
    let mut rows =
        vec![row(["", "s", "grants / s", "time / bare", "CPU ms a grant, API server + writer", "peak MB", "goal"])];
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        say(&format!("S11: {} grants, cold, round {} of {}", args.some, round + 1, args.rounds));
        floor.push(bare(args.some, ground).await?);
        let names = names(args.some);
        ground.make(OWNER, &names, SECRET).await?;
        let (run, mut controller) = cold(args.some, ground).await?;
        controller.stop().await?;
        ours.push(run);
        clear(ground).await?;
    }
    for (ours, floor) in ours.iter().zip(&floor) {
        rows.push(floor.row(&format!("{} bare", args.some), None, String::new()));
        rows.push(ours.row(&format!("{} cold to Ready", args.some), Some(floor), String::new()));
    }
    let rates = |runs: &[Run]| runs.iter().map(Run::rate).collect::<Vec<f64>>();
    let ratio = Spread::of_ratios(&rates(&ours), &rates(&floor));
    rows.push(vec![
        format!("  rate, ours / bare: {ratio}"),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        table::at_least(0.75, ratio.median),
    ]);
    if args.most > 0 {
        large(args, ground, &mut rows).await?;
    }
    table::print("S11  many grants", &rows);
    Ok(())
}

async fn large(args: &GrantsArgs, ground: &Ground, rows: &mut Vec<Vec<String>>) -> anyhow::Result<()> {
    let goal = |run: &Run, floor: &Run| {
        format!("{}; {} MB", table::at_most(1.35, run.took / floor.took), table::at_most(100.0, run.peak))
    };
    say(&format!("S11: {} grants in one namespace", args.most));
    let floor = bare(args.most, ground).await?;
    rows.push(floor.row(&format!("{} bare", args.most), None, String::new()));
    ground.make(OWNER, &names(args.most), SECRET).await?;
    let (run, mut controller) = cold(args.most, ground).await?;
    rows.push(run.row(&format!("{} in one namespace", args.most), Some(&floor), goal(&run, &floor)));
    controller.stop().await?;
    rows.push(restart(args.most, ground).await?);

    say(&format!("S11: {} grants in {} namespaces, on another control plane", args.most, args.namespaces));
    let cluster = Cluster::start().await?;
    let ground = &Ground::new(cluster.folder()).await?;
    let namespaces: Vec<String> = (0..args.namespaces).map(|number| format!("owner-{number}")).collect();
    let each = args.most.div_ceil(args.namespaces);
    fly(
        WIDTH,
        namespaces.into_iter().map(|namespace| {
            let ground = ground.clone();
            async move {
                ground.namespace(&namespace, [SECRET.to_owned()].into_iter()).await?;
                ground.make_in_turn(&namespace, &names(each), SECRET).await
            }
        }),
    )
    .await?;
    let (run, mut controller) = cold(each * args.namespaces, ground).await?;
    let name = format!("{} in {} namespaces", run.count, args.namespaces);
    rows.push(run.row(&name, Some(&floor), goal(&run, &floor)));
    controller.stop().await?;
    Ok(())
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("grant-{number}")).collect()
}

async fn clear(ground: &Ground) -> anyhow::Result<()> {
    tokio::try_join!(ground.clear(OWNER), ground.clear(BARE))?;
    Ok(())
}

/// The bare three writes for each of so many grants that are there.
async fn bare(count: usize, ground: &Ground) -> anyhow::Result<Run> {
    let made = ground.make(BARE, &names(count), SECRET).await?;
    let writer = Bare::new(&ground.client, BARE);
    let us = Usage::of_id(std::process::id());
    let (began, api_server, before) = (Instant::now(), ground.api_server.cpu()?, us.cpu()?);
    fly(
        WIDTH,
        made.into_iter().map(|Made { name, uid }| {
            let writer = writer.clone();
            async move { writer.give_and_tell(&name, &uid, SECRET).await }
        }),
    )
    .await?;
    Ok(Run {
        count,
        took: began.elapsed().as_secs_f64(),
        api_server: (ground.api_server.cpu()? - api_server).as_secs_f64(),
        writer: (us.cpu()? - before).as_secs_f64(),
        peak: 0.0,
    })
}

/// Starts a controller, and waits until all grants that are there stand.
async fn cold(count: usize, ground: &Ground) -> anyhow::Result<(Run, Controller)> {
    let (began, api_server) = (Instant::now(), ground.api_server.cpu()?);
    let controller = ground.control_plane.start_controller("controller", &[]).await?;
    let told = r#"apolo_writes_total{operation="status",object="SecretGrant"}"#;
    reached(&controller, told, count).await?;
    ground.all_ready(None, count).await?;
    let took = began.elapsed().as_secs_f64();
    let usage = Usage::of_id(controller.id());
    let run = Run {
        count,
        took,
        api_server: (ground.api_server.cpu()? - api_server).as_secs_f64(),
        writer: usage.cpu()?.as_secs_f64(),
        peak: usage.memory()?.peak,
    };
    Ok((run, controller))
}

/// Waits until a metric of the controller, which is asked rather than the API server, is so large.
async fn reached(controller: &Controller, metric: &str, count: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    while controller.metric(metric).await?.unwrap_or_default() < count as f64 {
        ensure!(began.elapsed() < DEADLINE, "{metric} does not become {count}");
        sleep(LOOK).await;
    }
    Ok(())
}

/// A start with nothing to do.
async fn restart(count: usize, ground: &Ground) -> anyhow::Result<Vec<String>> {
    say("S11: a restart with nothing changed");
    let (began, api_server) = (Instant::now(), ground.api_server.cpu()?);
    let mut controller = ground.control_plane.start_controller("controller", &[]).await?;
    let ready = began.elapsed().as_secs_f64();
    reached(&controller, r#"apolo_reconciles_total{outcome="settled"}"#, count).await?;
    let took = began.elapsed().as_secs_f64();
    // A sum of nothing is -0.
    let (writes, usage) = (controller.writes().await?.abs(), Usage::of_id(controller.id()));
    let run = Run {
        count,
        took,
        api_server: (ground.api_server.cpu()? - api_server).as_secs_f64(),
        writer: usage.cpu()?.as_secs_f64(),
        peak: usage.memory()?.peak,
    };
    controller.stop().await.context("stopping the controller")?;
    let name = format!("  restart: ready in {ready:.2} s, {writes} writes");
    let goal = format!("{} s; {} writes", table::at_most(2.0, ready), table::at_most(0.0, writes));
    Ok(run.row(&name, None, goal))
}
