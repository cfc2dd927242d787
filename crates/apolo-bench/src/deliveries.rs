//! S12 to S14 and C: how long a Pod waits for a shared secret, what that costs a Job, how long a new value takes to all copies, what
//! the controller needs where there is much of everything, and the catalogs there.
//!
//! Run by `cluster run --bare`: a control plane whose controller-manager and scheduler work, and the webhook and the controller as
//! processes. There is no node: what is measured ends when the gate is lifted. In the order of a run: here S12 and S13, `jobs` (the Job
//! of S12), `size` (S14), `catalogs` (C). Beside them `pods`, which watches gates.
#![allow(clippy::indexing_slicing, reason = "to set an index of a JSON object adds what is not there")]

mod catalogs;
mod jobs;
mod pods;
mod size;

use std::ops::Deref;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use apolo_tests::control_plane::ControlPlane;
use apolo_tests::delivered::{KEY, Scene};
use apolo_tests::namespace::Namespace;
use apolo_tests::objects;
use clap::{Args, ValueEnum};
use k8s_openapi::api::core::v1::{self, Pod, Secret};
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::{interval, sleep};

use crate::grants::flight::{WIDTH, fly};
use crate::machine::{machine, say};
use crate::statistics::Times;
use crate::table::{self, at_most, row};
use crate::usage::Usage;
use pods::Gates;

/// How often something is looked at that no watch tells.
const LOOK: Duration = Duration::from_millis(10);
/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(300);

/// The arguments of `apolo-bench deliveries`.
#[derive(Args, Debug)]
pub struct DeliveriesArgs {
    /// How many Pods come one after another, with a new copy each, and with one that is there.
    #[arg(long, default_value_t = 100)]
    times: usize,
    /// For how many seconds 20 Pods a second come.
    #[arg(long, default_value_t = 30)]
    seconds: usize,
    /// How many Pods a Job has.
    #[arg(long, default_value_t = 1_000)]
    job: usize,
    /// How many such Jobs of each sort there are.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// In how many namespaces there is a copy when a value changes.
    #[arg(long, default_value_t = 200)]
    namespaces: usize,
    /// How many Jobs of each sort there are where the controller-manager has Kubernetes' own limits; each takes a minute.
    #[arg(long, default_value_t = 1)]
    usual_rounds: usize,
    #[command(flatten)]
    size: size::SizeArgs,
    #[command(flatten)]
    catalogs: catalogs::CatalogsArgs,
    /// Measures only this part.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Set by `cluster run`; so nothing is ever done to a cluster that somebody uses.
    #[arg(long, env = "APOLO_TEST_CLUSTER", hide = true)]
    cluster: PathBuf,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// All but the catalogs.
    D,
    /// From a Pod to the end of its gate, and a Job of many.
    S12,
    /// The Job alone.
    Jobs,
    /// From a new value to all copies.
    S13,
    /// The controller where there is much of everything.
    S14,
    /// The catalogs where there are many.
    C,
}

/// Measures, and prints the figures.
///
/// # Errors
/// When something keeps it from measuring.
pub async fn run(args: DeliveriesArgs) -> anyhow::Result<()> {
    let wanted = |parts: &[Part]| args.only.is_none_or(|only| parts.contains(&only));
    println!("{}", machine()?);
    if wanted(&[Part::D, Part::S12, Part::Jobs, Part::S13]) {
        let control_plane = ControlPlane::open(&args.cluster)?;
        with_scene(&control_plane, async |scene| {
            if wanted(&[Part::D, Part::S12]) {
                one_at_a_time(&args, scene).await?;
            }
            if wanted(&[Part::D, Part::S12, Part::Jobs]) {
                jobs::measure(&args, scene).await?;
            }
            if wanted(&[Part::D, Part::S13]) {
                rotated(&args, scene).await?;
            }
            Ok(())
        })
        .await?;
    }
    if wanted(&[Part::D, Part::S14]) {
        size::measure(&args.size).await?;
    }
    if wanted(&[Part::C]) {
        catalogs::measure(&args.catalogs).await?;
    }
    println!("\n{}", machine()?);
    Ok(())
}

/// Runs `body` where alice shares her password with bob, and the webhook and a controller that leads are there. Says what memory the
/// controller had in the end.
async fn with_scene(
    control_plane: &ControlPlane,
    body: impl AsyncFnOnce(&Stage) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let webhook = control_plane.install().await?;
    let controller = control_plane.start_controller("controller", &[]).await?;
    controller.leads().await?;
    let in_hers = async |alice: Namespace| {
        let in_his = async |bobs: Namespace| {
            let scene = Scene::new(alice, bobs).await?;
            scene.share("one", &[KEY]).await?;
            scene.delivered("first").await?;
            scene.clear().await?;
            scene.bobs.copies_hold(&[]).await?;
            let (webhook, controller) = (Usage::of_id(webhook.id()), Usage::of_id(controller.id()));
            body(&Stage { scene, webhook, controller }).await
        };
        control_plane.with_namespace(in_his).await
    };
    control_plane.with_namespace(in_hers).await?;
    let memory = Usage::of_id(controller.id()).memory()?;
    println!("\ncontroller: {:.1} MB, at most {:.1} MB", memory.now, memory.peak);
    Ok(())
}

/// What is measured on.
struct Stage {
    scene: Scene,
    webhook: Usage,
    controller: Usage,
}

impl Deref for Stage {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

/// From the request that creates a Pod to the watch's news that its gate is lifted.
async fn one_at_a_time(args: &DeliveriesArgs, scene: &Scene) -> anyhow::Result<()> {
    let mut gates = Gates::watch(&scene.bobs).await?;
    let mut fresh = Vec::new();
    say(&format!("S12: {} Pods, a new copy each", args.times));
    for number in 0..args.times {
        let name = format!("fresh-{number}");
        fresh.push(lifted(scene, &mut gates, &name).await?);
        scene.bobs.delete_pod(&name).await?;
        scene.bobs.copies_hold(&[]).await?;
    }
    say(&format!("S12: {} Pods, the copy there", args.times));
    scene.delivered("keeps").await?;
    let mut there = Vec::new();
    for number in 0..args.times {
        let name = format!("there-{number}");
        there.push(lifted(scene, &mut gates, &name).await?);
        scene.bobs.delete_pod(&name).await?;
    }
    let count = args.seconds * 20;
    say(&format!("S12: {count} Pods, 20 a second"));
    let mut tick = interval(Duration::from_millis(50));
    let mut began = Vec::new();
    for number in 0..count {
        tick.tick().await;
        let (pods, name) = (Api::<Pod>::namespaced(scene.bob.clone(), &scene.bobs.name), format!("many-{number}"));
        let pod: Pod = serde_json::from_value(objects::pod(&name, &scene.template(&[KEY])))?;
        began.push((name, Instant::now()));
        tokio::spawn(async move { pods.create(&PostParams::default(), &pod).await });
    }
    let mut many = Vec::new();
    for (name, began) in began {
        many.push(gates.lifted(&name).await?.saturating_duration_since(began));
    }
    scene.clear().await?;
    let (fresh, there, many) = (Times::of(fresh), Times::of(there), Times::of(many));
    let rows = [
        row(["", "p50 ms", "p99 ms", "worst ms", "ratio", "goal"]),
        fresh.row("a new copy", None, format!("p50 {}", at_most(50.0, fresh.p50))),
        there.row("the copy there", Some(&fresh), format!("p50 {}", at_most(25.0, there.p50))),
        many.row("20 Pods a second", Some(&fresh), format!("p99 {}", at_most(500.0, many.p99))),
    ];
    table::print("S12: from Pod created to gate lifted", &rows);
    Ok(())
}

async fn lifted(scene: &Scene, gates: &mut Gates, name: &str) -> anyhow::Result<Duration> {
    let began = Instant::now();
    scene.create(&objects::pod(name, &scene.template(&[KEY]))).await?;
    Ok(gates.lifted(name).await?.saturating_duration_since(began))
}

/// A new value, until all copies in many namespaces have it.
async fn rotated(args: &DeliveriesArgs, scene: &Scene) -> anyhow::Result<()> {
    say(&format!("S13: copies in {} namespaces", args.namespaces));
    let client = &scene.alice.client;
    let names: Vec<String> = (0..args.namespaces).map(|number| format!("rotated-{number}")).collect();
    fly(WIDTH, names.iter().map(|name| make(client.clone(), name.clone()))).await?;
    for (number, some) in names.chunks(100).enumerate() {
        let subjects = json!([{"kind": "User", "name": "bob"}]);
        let fields = json!({"secrets": [KEY], "access": "Use", "subjects": subjects, "namespaces": some});
        scene.alice.share(&format!("rotated-{number}"), &fields).await?;
        scene.alice.stands(&format!("rotated-{number}"), "Granted").await?;
    }
    let template = scene.template(&[KEY]);
    let bob = scene.alice.user("bob", &["system:masters"]).await?;
    let pod = objects::pod("pod", &template);
    fly(WIDTH, names.iter().map(|name| settle(bob.clone(), name.clone(), pod.clone()))).await?;
    let mut times = Vec::new();
    for round in 0..10 {
        let value = format!("value-{round}");
        let began = Instant::now();
        scene.alice.rotate(KEY, KEY, &value).await?;
        times.push(all_hold(client, args.namespaces, &value, began).await?);
    }
    let times = Times::of(times);
    let rows = [
        row(["", "p50 ms", "p99 ms", "worst ms", "ratio", "goal"]),
        times.row(
            &format!("{} copies, 10 times", args.namespaces),
            None,
            format!("p99 {}", at_most(2000.0, times.p99)),
        ),
    ];
    table::print("S13: from a new value to all copies equal", &rows);
    Ok(())
}

async fn make(client: Client, name: String) -> anyhow::Result<()> {
    let metadata = ObjectMeta { name: Some(name), ..ObjectMeta::default() };
    let namespace = v1::Namespace { metadata, ..v1::Namespace::default() };
    Api::<v1::Namespace>::all(client).create(&PostParams::default(), &namespace).await.context("making a namespace")?;
    Ok(())
}

/// A Pod in a namespace, as soon as it has its account and the webhook has heard of the grant.
async fn settle(client: Client, namespace: String, pod: Value) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let pod: Pod = serde_json::from_value(pod)?;
    let began = Instant::now();
    while let Err(error) = pods.create(&PostParams::default(), &pod).await {
        ensure!(began.elapsed() < DEADLINE, "{error}");
        sleep(LOOK).await;
    }
    Ok(())
}

async fn all_hold(client: &Client, count: usize, value: &str, began: Instant) -> anyhow::Result<Duration> {
    let secrets: Api<Secret> = Api::all(client.clone());
    let copies = ListParams::default().labels("secrets.apolo.us/delivery").match_any();
    loop {
        let all = secrets.list(&copies).await.context("listing copies")?;
        let holds =
            |copy: &&Secret| copy.data.iter().flat_map(|data| data.values()).any(|held| held.0 == value.as_bytes());
        if all.iter().filter(holds).count() >= count {
            return Ok(began.elapsed());
        }
        ensure!(began.elapsed() < DEADLINE, "not all copies hold {value}");
        sleep(LOOK).await;
    }
}
