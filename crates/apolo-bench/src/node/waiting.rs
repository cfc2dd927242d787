//! The memory of each replica of webhook and controller, from their start until Pods that ask for secrets have waited for long: most for a
//! scheduler that there is not, and some run. All ask for a secret of their namespace, as a file, and for one that alice shares, as a variable.
#![allow(clippy::indexing_slicing, reason = "to set an index of a JSON object adds what is not there")]

use std::time::{Duration, Instant};

use anyhow::ensure;
use apolo_tests::control_plane::ControlPlane;
use apolo_tests::delivered::{KEY, Scene, is_gated};
use apolo_tests::eventually::within;
use apolo_tests::namespace::Namespace;
use apolo_tests::node::containers;
use apolo_tests::objects;
use apolo_tests::webhook::RELEASE;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use tokio::time::sleep_until;

use super::{NodeArgs, installed};
use crate::machine::say;
use crate::table::{self, row};
use crate::usage::Usage;

/// How long anything may take until all is as it should be.
const DEADLINE: Duration = Duration::from_secs(300);

/// A replica: the name of its Pod, and its process.
struct Replica {
    pod: String,
    usage: Usage,
}

/// Installs the chart, makes the Pods, and prints the memory of all replicas at every look.
pub(super) async fn measure(args: &NodeArgs, control_plane: &ControlPlane) -> anyhow::Result<()> {
    say("memory: installing");
    installed::install(control_plane).await?;
    let replicas = all_ready(control_plane).await?;
    let in_hers = async |alice: Namespace| {
        let in_his = async |bobs: Namespace| with_pods(args, &replicas, Scene::new(alice, bobs).await?).await;
        control_plane.with_namespace(in_his).await
    };
    control_plane.with_namespace(in_hers).await
}

/// The replicas of both Deployments, once every Pod is ready.
async fn all_ready(control_plane: &ControlPlane) -> anyhow::Result<Vec<Replica>> {
    let deployments: Api<Deployment> = Api::namespaced(control_plane.admin().await?, RELEASE);
    let mut replicas = Vec::new();
    for subcommand in ["webhook", "controller"] {
        let name = format!("{RELEASE}-{subcommand}");
        let due = within(DEADLINE, &format!("all Pods of {name} are ready"), async || {
            let found = deployments.get(&name).await.map_err(|error| error.to_string())?;
            let wanted = found.spec.and_then(|spec| spec.replicas);
            let ready = found.status.and_then(|status| status.ready_replicas);
            wanted.filter(|_| wanted == ready).ok_or_else(|| format!("{ready:?} of {wanted:?}"))
        })
        .await?;
        let mut found = Vec::new();
        for usage in Usage::of_subcommand("/apolo-secrets", subcommand)? {
            found.push(Replica { pod: usage.host_name()?, usage });
        }
        ensure!(found.len() == usize::try_from(due)?, "{} processes are {name}, not {due}", found.len());
        found.sort_by(|one, other| one.pod.cmp(&other.pod));
        replicas.extend(found);
    }
    Ok(replicas)
}

async fn with_pods(args: &NodeArgs, replicas: &[Replica], scene: Scene) -> anyhow::Result<()> {
    let names = replicas.iter().map(|replica| replica.pod.trim_start_matches(&format!("{RELEASE}-")).to_owned());
    let mut rows = vec![row(["RSS / PSS, MB"]).into_iter().chain(names).collect()];
    rows.push(look("installed", replicas)?);
    say(&format!("memory: {} Pods that nobody serves, {} that run", args.waiting, args.running));
    scene.bobs.secret_of("password", &[("password", "hunter2")]).await?;
    scene.share("one", &[KEY]).await?;
    for number in 0..args.waiting {
        create(&scene, &format!("waiting-{number}"), "nobody").await?;
    }
    for number in 0..args.running {
        create(&scene, &format!("running-{number}"), "default-scheduler").await?;
    }
    within(DEADLINE, "all Pods have what they ask for", async || as_they_should(args, &scene).await).await?;
    rows.push(look("all Pods there", replicas)?);
    let (began, before) = (tokio::time::Instant::now(), cpu(replicas)?);
    let started = Instant::now();
    let mut minutes = 0;
    while minutes < args.minutes {
        minutes = (minutes + args.look.max(1)).min(args.minutes);
        sleep_until(began + Duration::from_secs(minutes * 60)).await;
        rows.push(look(&format!("{minutes} minutes later"), replicas)?);
        say(&format!("memory: {}", rows.last().map(|cells| cells.join("  ")).unwrap_or_default()));
    }
    let used = cpu(replicas)?.into_iter().zip(before);
    let per_second = |used: Duration| used.as_secs_f64() * 1e3 / started.elapsed().as_secs_f64();
    let used = used.map(|(after, before)| format!("{:.1} m", per_second(after.saturating_sub(before))));
    rows.push(row(["CPU, all that time"]).into_iter().chain(used).collect());
    let peaks: anyhow::Result<Vec<String>> =
        replicas.iter().map(|replica| Ok(format!("{:.1}", replica.usage.memory()?.peak))).collect();
    rows.push(row(["RSS, at most (VmHWM)"]).into_iter().chain(peaks?).collect());
    as_they_should(args, &scene).await.map_err(anyhow::Error::msg)?;
    let title = format!("memory: {} Pods that no scheduler serves, {} that run", args.waiting, args.running);
    table::print(&title, &rows);
    scene.clear().await
}

/// A Pod of bob's. Its container, if it ever runs, does nothing.
async fn create(scene: &Scene, name: &str, scheduler: &str) -> anyhow::Result<()> {
    let shared = format!("SHARED={}", scene.reference(KEY));
    let asked = [
        ("secrets.apolo.us/volume", "secret:password:/var/secrets/password.txt"),
        ("secrets.apolo.us/env", shared.as_str()),
    ];
    let mut template = containers::template(&asked, "sleep 86400");
    template["spec"]["schedulerName"] = json!(scheduler);
    scene.create(&objects::pod(name, &template)).await
}

/// Whether no Pod waits for secrets any more, and as many run as should. What is there instead, if not.
async fn as_they_should(args: &NodeArgs, scene: &Scene) -> Result<(), String> {
    let pods = scene.bobs.api::<Pod>().list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
    let gated = pods.iter().filter(|pod| is_gated(pod)).count();
    let is_running =
        |pod: &&Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()).is_some_and(|it| it == "Running");
    let running = pods.iter().filter(is_running).count();
    if (pods.len(), gated, running) == (args.waiting + args.running, 0, args.running) {
        return Ok(());
    }
    Err(format!("{} Pods, of which {gated} wait for secrets and {running} run", pods.len()))
}

fn look(when: &str, replicas: &[Replica]) -> anyhow::Result<Vec<String>> {
    let mut cells = vec![when.to_owned()];
    for replica in replicas {
        let mapped = replica.usage.mapped()?;
        cells.push(format!("{:.1} / {:.1}", mapped.resident, mapped.proportional));
    }
    Ok(cells)
}

fn cpu(replicas: &[Replica]) -> anyhow::Result<Vec<Duration>> {
    replicas.iter().map(|replica| replica.usage.cpu()).collect()
}
