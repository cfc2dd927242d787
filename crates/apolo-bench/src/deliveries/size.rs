//! S14: what the controller needs where there are many grants, copies and Pods: memory, the time from its start to a right decision,
//! and what it and the webhook do when nothing happens.
//!
//! The Pods name a scheduler that there is not, so that nobody but ours is busy with them.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use apolo_tests::cluster::Cluster;
use apolo_tests::controller::Controller;
use apolo_tests::objects;
use clap::Args;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::grants::flight::{WIDTH, fly};
use crate::grants::ground::{Ground, put};
use crate::grants::objects::VERSION;
use crate::machine::say;
use crate::table::{self, at_most, row};
use crate::usage::Usage;

/// How often something is looked at that no watch tells.
const LOOK: Duration = Duration::from_millis(20);
/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(900);
/// How many secrets an owner shares, each by a grant of its own, and how many of them a destination gets.
const OF_OWNER: usize = 100;
const OF_DESTINATION: usize = 10;

/// How much of everything there is.
#[derive(Args, Debug)]
pub(super) struct SizeArgs {
    /// How many grants there are, each of another secret, and as many copies.
    #[arg(long, default_value_t = 5_000)]
    grants: usize,
    /// How many Pods use them.
    #[arg(long, default_value_t = 20_000)]
    pods: usize,
    /// For how many seconds nothing happens.
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// How often the controller is started again.
    #[arg(long, default_value_t = 3)]
    starts: usize,
}

/// A grant, by its number: who shares what, and for which namespace.
#[derive(Clone, Copy, Debug)]
struct Share(usize);

impl Share {
    fn owner(self) -> String {
        format!("owner-{}", self.0 / OF_OWNER)
    }

    fn key(self) -> String {
        format!("key-{}", self.0 % OF_OWNER)
    }

    fn destination(self) -> String {
        format!("jobs-{}", self.0 / OF_DESTINATION)
    }

    fn grant(self) -> Value {
        json!({
            "apiVersion": VERSION, "kind": "SecretGrant", "metadata": {"name": self.key()},
            "spec": {
                "secrets": [self.key()], "access": "Use", "subjects": [{"kind": "User", "name": "bob"}],
                "namespaces": [self.destination()],
            },
        })
    }

    fn secret(self) -> Value {
        json!({"metadata": {"name": self.key()}, "stringData": {self.key(): "hunter2"}})
    }

    fn pod(self, name: &str) -> anyhow::Result<Pod> {
        let asks = format!("S=secret:/{}/{}", self.owner(), self.key());
        let mut pod = objects::pod(name, &objects::template(&[("secrets.apolo.us/env", &asks)]));
        if let Some(spec) = pod.pointer_mut("/spec").and_then(Value::as_object_mut) {
            spec.insert("schedulerName".into(), json!("nobody"));
        }
        Ok(serde_json::from_value(pod)?)
    }
}

/// Measures, and prints S14.
pub(super) async fn measure(args: &SizeArgs) -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let ground = Ground::new(cluster.folder()).await?;
    let webhook = ground.control_plane.install().await?;
    let mut controller = ground.controller().await?;
    let bob = ground.control_plane.user("bob", &["system:masters"]).await?;
    let began = Instant::now();
    fill(args, &ground, &bob, &controller).await?;
    say(&format!("S14: all of it is there after {:.0} s", began.elapsed().as_secs_f64()));
    let made = Usage::of_id(controller.id()).memory()?;
    let webhook = Usage::of_id(webhook.id());
    let mut rows = vec![row(["", "figure", "goal"])];
    let memory = |name: &str, now: f64, peak: f64| {
        row([name, &format!("{now:.1} MB, at most {peak:.1}"), &format!("{} MB", at_most(128.0, peak))])
    };
    rows.push(memory("controller, when all has been made", made.now, made.peak));
    let of_webhook = webhook.memory()?;
    rows.push(row(["webhook", &format!("{:.1} MB, at most {:.1}", of_webhook.now, of_webhook.peak), ""]));
    rows.extend(idle(args, &ground, &controller, webhook).await?);
    for start in 0..args.starts {
        controller.stop().await?;
        let (again, took, written) = cold(start, &ground, &bob).await?;
        controller = again;
        let ready = format!("{:.2} s; {written} writes to Pods and copies (1 is due)", took.as_secs_f64());
        rows.push(row([
            "cold start: a waiting Pod is let go",
            &ready,
            &format!("{} s", at_most(5.0, took.as_secs_f64())),
        ]));
        let usage = Usage::of_id(controller.id()).memory()?;
        rows.push(memory("  the controller then", usage.now, usage.peak));
    }
    controller.stop().await?;
    let title = format!("S14: {} grants, as many copies, {} Pods", args.grants, args.pods);
    table::print(&title, &rows);
    Ok(())
}

/// Makes all of it, and waits until it is as it should be.
async fn fill(args: &SizeArgs, ground: &Ground, bob: &Client, controller: &Controller) -> anyhow::Result<()> {
    say(&format!("S14: {} grants", args.grants));
    let shares = || (0..args.grants).map(Share);
    let mut namespaces: Vec<String> = shares().flat_map(|share| [share.owner(), share.destination()]).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let empty = |name: String| {
        let ground = ground.clone();
        async move { ground.namespace(&name, std::iter::empty()).await }
    };
    fly(WIDTH, namespaces.into_iter().map(empty)).await?;
    let give = |share: Share| {
        let ground = ground.clone();
        async move {
            let secrets: Api<Secret> = Api::namespaced(ground.client.clone(), &share.owner());
            secrets.create(&PostParams::default(), &serde_json::from_value(share.secret())?).await?;
            put(&ground.grants(&share.owner()), share.grant()).await
        }
    };
    fly(WIDTH, shares().map(give)).await?;
    ground.all_ready(None, args.grants).await?;
    say(&format!("S14: {} Pods", args.pods));
    let come = |number: usize| {
        let bob = bob.clone();
        let share = Share(number % args.grants);
        async move { create(&bob, share, &format!("pod-{number}")).await }
    };
    fly(WIDTH, (0..args.pods).map(come)).await?;
    let delivered = r#"apolo_deliveries_total{outcome="delivered"}"#;
    let began = Instant::now();
    while controller.metric(delivered).await?.unwrap_or_default() < args.pods as f64 {
        ensure!(began.elapsed() < DEADLINE, "not all Pods have what they ask for");
        sleep(LOOK).await;
    }
    let secrets: Api<Secret> = Api::all(ground.client.clone());
    let copies = secrets.list_metadata(&ListParams::default().labels("secrets.apolo.us/delivery")).await?.items.len();
    ensure!(copies == args.grants, "{copies} copies");
    Ok(())
}

/// A Pod of bob's, as soon as its namespace has its account and the webhook has heard of the grant.
async fn create(bob: &Client, share: Share, name: &str) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::namespaced(bob.clone(), &share.destination());
    let (pod, began) = (share.pod(name)?, Instant::now());
    while let Err(error) = pods.create(&PostParams::default(), &pod).await {
        ensure!(began.elapsed() < Duration::from_secs(30), "{error}");
        sleep(LOOK).await;
    }
    Ok(())
}

/// What both processes do while nothing happens, from when the last Event was told.
async fn idle(
    args: &SizeArgs,
    ground: &Ground,
    controller: &Controller,
    webhook: Usage,
) -> anyhow::Result<Vec<Vec<String>>> {
    say(&format!("S14: {} s without anything to do", args.idle));
    let began = Instant::now();
    loop {
        let audit = ground.control_plane.audit()?;
        sleep(Duration::from_secs(2)).await;
        let asked = audit.asked_by("apolo-secrets-controller")?;
        if !asked.iter().any(|asked| ["create", "patch", "delete"].contains(&asked.verb())) {
            break;
        }
        ensure!(began.elapsed() < DEADLINE, "the controller does not rest");
    }
    let audit = ground.control_plane.audit()?;
    let ours = Usage::of_id(controller.id());
    let before = (ours.cpu_of_threads()?, webhook.cpu_of_threads()?);
    sleep(Duration::from_secs(args.idle)).await;
    let used = [ours.cpu_of_threads()?.saturating_sub(before.0), webhook.cpu_of_threads()?.saturating_sub(before.1)];
    let [ours, hooks] = used.map(|used| used.as_secs_f64() * 1e3 / args.idle as f64);
    let mut asked = audit.asked_by("apolo-secrets-controller")?;
    asked.extend(audit.asked_by("apolo-secrets-webhook")?);
    let mut what: Vec<String> = asked.iter().map(|asked| format!("{} {}", asked.verb(), asked.resource())).collect();
    what.sort_unstable();
    let counted = what.chunk_by(|one, other| one == other);
    let counted: Vec<String> =
        counted.map(|same| format!("{} x {}", same.len(), same.first().map_or("", String::as_str))).collect();
    say(&format!("S14: asked in {} s: {}", args.idle, counted.join(", ")));
    let rate = asked.len() as f64 / args.idle as f64;
    let cpu = format!("{:.1} m: controller {ours:.1}, webhook {hooks:.1}", ours + hooks);
    Ok(vec![
        row(["idle, CPU of both", &cpu, &format!("{} m", at_most(20.0, ours + hooks))]),
        row(["idle, requests of both", &format!("{rate:.2} a second"), &format!("{} a second", at_most(1.0, rate))]),
    ])
}

/// Starts a controller while a new Pod waits. Tells how long it took until its gate was lifted, and how much was written.
async fn cold(start: usize, ground: &Ground, bob: &Client) -> anyhow::Result<(Controller, Duration, f64)> {
    say("S14: a cold start");
    let waits = Share(0);
    let name = format!("late-{start}");
    create(bob, waits, &name).await?;
    let pods: Api<Pod> = Api::namespaced(ground.client.clone(), &waits.destination());
    ensure!(apolo_tests::delivered::is_gated(&pods.get(&name).await?), "it is not gated");
    let began = Instant::now();
    let (controller, lifted) =
        tokio::join!(ground.control_plane.start_controller("controller", &[]), lifted(&pods, &name));
    let (controller, lifted) = (controller?, lifted?);
    controller.leads().await?;
    let written = controller.written(&["Pod", "Secret"]).await?;
    Ok((controller, lifted.saturating_duration_since(began), written))
}

async fn lifted(pods: &Api<Pod>, name: &str) -> anyhow::Result<Instant> {
    let began = Instant::now();
    while apolo_tests::delivered::is_gated(&pods.get(name).await.context("the Pod that waits")?) {
        ensure!(began.elapsed() < Duration::from_secs(120), "the Pod waits for too long");
        sleep(LOOK).await;
    }
    Ok(Instant::now())
}
