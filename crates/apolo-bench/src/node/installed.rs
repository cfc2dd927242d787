//! From the start of `helm install` until the first Pod that asks for a secret is rewritten, and how long `helm uninstall` takes.
//!
//! Helm does not wait for anything. Each round begins where no definition of ours, and no namespace, is left of the one before.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use apolo_tests::command;
use apolo_tests::control_plane::ControlPlane;
use apolo_tests::eventually::within;
use apolo_tests::objects;
use apolo_tests::webhook::{CHART, RELEASE};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::machine::say;
use crate::statistics::Spread;
use crate::table::{self, row};

/// How often a Pod is tried.
const LOOK: Duration = Duration::from_millis(50);
/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(180);

/// What is tried: a Pod that asks for a variable, and is not kept.
const ASKED: (&str, &str) = ("secrets.apolo.us/env", "PASSWORD=secret:password");

/// Times of one round, in s.
#[derive(Default)]
struct Rounds {
    returned: Vec<f64>,
    refused: Vec<f64>,
    rewritten: Vec<f64>,
    uninstalled: Vec<f64>,
}

/// What became of a Pod that was tried.
enum Tried {
    AsItWas,
    Refused(String),
    Rewritten,
}

/// Installs and uninstalls, and prints the times.
pub(super) async fn measure(rounds: usize, control_plane: &ControlPlane) -> anyhow::Result<()> {
    let client = control_plane.admin().await?;
    let mut times = Rounds::default();
    for round in 0..rounds {
        say(&format!("install: round {}", round + 1));
        let began = Instant::now();
        let (returned, first) = tokio::join!(install(control_plane), first_rewritten(&client, began));
        let (refused, rewritten) = first?;
        times.returned.push(returned?.as_secs_f64());
        times.refused.push(refused.as_secs_f64());
        times.rewritten.push(rewritten.as_secs_f64());
        let uninstall = ["uninstall", RELEASE, "--namespace", RELEASE];
        times.uninstalled.push(finished(control_plane.helm(uninstall)).await?.as_secs_f64());
        forget(control_plane, &client).await?;
    }
    let line = |name: &str, measured: &[f64]| row([name, &Spread::of(measured).to_string()]);
    let rows = [
        row(["from the start of helm install, without --wait", "s"]),
        line("helm returns", &times.returned),
        line("the first Pod is refused, for the webhook is not there yet", &times.refused),
        line("the first Pod is rewritten", &times.rewritten),
        row(["from the start of helm uninstall", ""]),
        line("helm returns", &times.uninstalled),
    ];
    table::print(&format!("install: {rounds} rounds, each on a cluster that has nothing of ours"), &rows);
    Ok(())
}

/// `helm install` with the defaults; how long it took.
pub(super) async fn install(control_plane: &ControlPlane) -> anyhow::Result<Duration> {
    finished(control_plane.helm(["install", RELEASE, CHART, "--namespace", RELEASE, "--create-namespace"])).await
}

/// Tries a Pod every [`LOOK`], whether those before have been answered or not; when the first is refused, and when one is rewritten.
async fn first_rewritten(client: &Client, began: Instant) -> anyhow::Result<(Duration, Duration)> {
    let (mut tick, mut tried) = (interval(LOOK), JoinSet::new());
    let mut refused = None;
    while began.elapsed() < DEADLINE {
        tokio::select! {
            _ = tick.tick() => drop(tried.spawn(try_pod(client.clone()))),
            Some(outcome) = tried.join_next() => match outcome?? {
                Tried::AsItWas => {}
                Tried::Refused(words) => {
                    if refused.is_none() {
                        say(&format!("install: the first refusal: {words}"));
                        refused = Some(began.elapsed());
                    }
                }
                Tried::Rewritten => return Ok((refused.unwrap_or(began.elapsed()), began.elapsed())),
            }
        }
    }
    anyhow::bail!("no Pod is rewritten")
}

async fn try_pod(client: Client) -> anyhow::Result<Tried> {
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let pod: Pod = serde_json::from_value(objects::pod("tried", &objects::template(&[ASKED])))?;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    match pods.create(&dry, &pod).await {
        Ok(pod) => {
            let containers = pod.spec.map(|spec| spec.containers).unwrap_or_default();
            let is_rewritten = containers.iter().flat_map(|container| container.env.iter().flatten()).next().is_some();
            Ok(if is_rewritten { Tried::Rewritten } else { Tried::AsItWas })
        }
        Err(kube::Error::Api(refusal)) => Ok(Tried::Refused(refusal.message)),
        Err(error) => Err(error).context("trying a Pod"),
    }
}

/// Takes away what an uninstallation leaves, so that the next is the first.
async fn forget(control_plane: &ControlPlane, client: &Client) -> anyhow::Result<()> {
    let definitions = ["secretgrants.secrets.apolo.us", "secretcatalogs.secrets.apolo.us"];
    let delete = [&["delete", "customresourcedefinitions"][..], &definitions].concat();
    finished(control_plane.kubectl(delete)).await?;
    finished(control_plane.kubectl(["delete", "namespace", RELEASE, "--wait=false"])).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    within(DEADLINE, "the namespace of the release is gone", async || match namespaces.get_opt(RELEASE).await {
        Ok(None) => Ok(()),
        other => Err(format!("{:?}", other.map(|found| found.and_then(|namespace| namespace.status)))),
    })
    .await?;
    Ok(())
}

/// Runs a program to its good end; how long it took.
async fn finished(program: Command) -> anyhow::Result<Duration> {
    let (told, began) = (format!("{program:?}"), Instant::now());
    let finished = command::run(program, "").await.with_context(|| told.clone())?;
    ensure!(finished.status.success(), "{told}: {}", finished.stderr);
    Ok(began.elapsed())
}
