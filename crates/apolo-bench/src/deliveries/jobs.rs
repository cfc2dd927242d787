//! S12: a Job of many Pods, with what the hooks and the delivery of a secret add to it.
//!
//! Once where the controller-manager has the limits that it has everywhere, and once where they are lifted, so that everybody does
//! as much as he can.

use std::time::Duration;

use anyhow::Context;
use apolo_tests::cluster::{Cluster, Limits};
use apolo_tests::control_plane::ControlPlane;
use apolo_tests::objects;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::time::Instant;

use super::pods::Gates;
use super::{DeliveriesArgs, Stage, with_scene};
use crate::grants::flight::{WIDTH, fly};
use crate::machine::say;
use crate::statistics::Spread;
use crate::table::{self, at_most, row};
use crate::usage::Usage;

/// Those who work, in the order of the figures.
const WORKERS: [&str; 6] = ["API server", "etcd", "controller-manager", "scheduler", "webhook", "controller"];

/// What the Pods of a Job ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// Nothing.
    Plain,
    /// A secret of their own namespace: the hooks, and that is all.
    Own,
    /// A shared one, with a node: the hooks with their question, and a copy.
    Bound,
    /// A shared one: the gate, its end and the Event, too.
    Shared,
}

/// How long a Job took, and the CPU time of each of [`WORKERS`].
struct Run {
    seconds: f64,
    used: [Duration; WORKERS.len()],
}

/// Measures, and prints both tables.
pub(super) async fn measure(args: &DeliveriesArgs, stage: &Stage) -> anyhow::Result<()> {
    let all = [Sort::Plain, Sort::Own, Sort::Bound, Sort::Shared];
    table(args, stage, "the controller-manager's limits lifted", args.rounds, &all).await?;
    if args.usual_rounds == 0 {
        return Ok(());
    }
    let cluster = Cluster::start_with(Limits::Usual).await?;
    let body = async |stage: &Stage| {
        let limits = "the controller-manager's own limits (20 requests a second)";
        table(args, stage, limits, args.usual_rounds, &[Sort::Plain, Sort::Shared]).await
    };
    with_scene(&cluster, body).await
}

async fn table(
    args: &DeliveriesArgs,
    stage: &Stage,
    limits: &str,
    rounds: usize,
    sorts: &[Sort],
) -> anyhow::Result<()> {
    let mut runs: Vec<Vec<Run>> = sorts.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        say(&format!("S12: Jobs of {} Pods, {limits}, round {} of {rounds}", args.job, round + 1));
        for (sort, runs) in sorts.iter().zip(&mut runs) {
            runs.push(job(args.job, stage, *sort, round).await?);
        }
    }
    let seconds = |runs: &[Run]| runs.iter().map(|run| run.seconds).collect::<Vec<f64>>();
    let plain = runs.first().map(|runs| seconds(runs)).unwrap_or_default();
    let mut rows = vec![row(["", "seconds", "ratio", "goal"])];
    rows.iter_mut().for_each(|row| row.extend(WORKERS.map(str::to_owned)));
    for (sort, runs) in sorts.iter().zip(&runs) {
        let ratio = Spread::of_ratios(&seconds(runs), &plain);
        let goal = if *sort == Sort::Shared { at_most(1.2, ratio.median) } else { String::new() };
        let ratio = if *sort == Sort::Plain { String::new() } else { ratio.to_string() };
        let mut row = vec![sort.words().to_owned(), Spread::of(&seconds(runs)).to_string(), ratio, goal];
        row.extend((0..WORKERS.len()).map(|worker| each(args.job, worker, runs)));
        rows.push(row);
    }
    table::print(
        &format!("S12: a Job of {} Pods, until all are there and none is gated; {limits}; CPU ms a Pod", args.job),
        &rows,
    );
    Ok(())
}

/// The CPU time of a worker for each Pod, in ms.
fn each(pods: usize, worker: usize, runs: &[Run]) -> String {
    let used = runs.iter().filter_map(|run| run.used.get(worker));
    let used: Vec<f64> = used.map(|used| used.as_secs_f64() * 1e3 / pods as f64).collect();
    format!("{:.2}", Spread::of(&used).median)
}

impl Sort {
    fn words(self) -> &'static str {
        match self {
            Self::Plain => "without annotations",
            Self::Own => "a secret of the namespace: hooks",
            Self::Bound => "a shared one, with a node: no gate",
            Self::Shared => "a shared one",
        }
    }

    fn template(self, stage: &Stage) -> Value {
        let mut template = match self {
            Self::Plain => objects::template(&[]),
            Self::Own => objects::template(&[("secrets.apolo.us/env", "S0=secret:own")]),
            Self::Bound | Self::Shared => stage.scene.template(&[apolo_tests::delivered::KEY]),
        };
        if self == Self::Bound
            && let Some(spec) = template.pointer_mut("/spec").and_then(Value::as_object_mut)
        {
            spec.insert("nodeName".into(), json!("nowhere"));
        }
        template
    }
}

async fn job(pods: usize, stage: &Stage, sort: Sort, round: usize) -> anyhow::Result<Run> {
    let name = format!("{sort:?}-{round}").to_lowercase();
    let mut job = objects::job(&name, &sort.template(stage));
    job["spec"]["completions"] = json!(pods);
    job["spec"]["parallelism"] = json!(pods);
    let workers = workers(stage)?;
    let mut gates = Gates::watch(&stage.bobs).await?;
    let (began, before) = (Instant::now(), used(&workers)?);
    stage.create(&job).await?;
    let seconds = gates.so_many(pods).await?.saturating_duration_since(began).as_secs_f64();
    let after = used(&workers)?;
    drop(gates);
    end(stage, &name).await?;
    Ok(Run { seconds, used: std::array::from_fn(|worker| after[worker].saturating_sub(before[worker])) })
}

/// Deletes a Job and its Pods. Their finalizers go here, for which the controller-manager with its limits would need a minute.
async fn end(stage: &Stage, name: &str) -> anyhow::Result<()> {
    stage.bobs.api::<Job>().delete(name, &DeleteParams::background()).await?;
    let pods: Api<Pod> = stage.bobs.api();
    let free = |name: String| {
        let pods = pods.clone();
        async move {
            let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            match pods.patch(&name, &PatchParams::default(), &free).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                Err(error) => Err(error).context("freeing a Pod"),
            }
        }
    };
    let left = pods.list_metadata(&ListParams::default()).await?;
    fly(WIDTH, left.into_iter().map(|pod| free(pod.name_any()))).await?;
    stage.clear().await?;
    stage.bobs.copies_hold(&[]).await?;
    Ok(())
}

fn workers(stage: &Stage) -> anyhow::Result<[Usage; WORKERS.len()]> {
    let control_plane: &ControlPlane = &stage.bobs;
    let program = |name| Usage::of_program(&control_plane.bin().join(name));
    Ok([
        program("kube-apiserver")?,
        program("etcd")?,
        program("kube-controller-manager")?,
        program("kube-scheduler")?,
        stage.webhook,
        stage.controller,
    ])
}

fn used(workers: &[Usage; WORKERS.len()]) -> anyhow::Result<[Duration; WORKERS.len()]> {
    let mut used = [Duration::ZERO; WORKERS.len()];
    for (used, worker) in used.iter_mut().zip(workers) {
        *used = worker.cpu()?;
    }
    Ok(used)
}
