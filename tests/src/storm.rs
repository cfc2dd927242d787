//! A storm: for some minutes grants, withdrawals, Pods, deletions and changes of sources come by chance, while controllers are killed,
//! stopped and halted, and somebody looks at the API server all the time. What is wrong there may stay so for some seconds, no longer.

pub mod actor;
pub mod ages;
mod calm;
pub mod counts;
pub mod replicas;
pub mod town;
pub mod watcher;

use std::{
    cell::{Cell, RefCell},
    fmt,
    time::{Duration, SystemTime},
};

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use tokio::sync::watch;

use self::{
    actor::Actor,
    ages::Ages,
    counts::Counts,
    replicas::{Replicas, Restart, told_of},
    town::{OWNERS, Town},
    watcher::Watcher,
};
use crate::{
    cluster::Cluster, control_plane::ControlPlane, controller::ACCOUNT, delivered::copy_name, namespace::Namespace,
    oracle::deliveries::Place, webhook::RELEASE,
};

/// How many destinations there are.
const DESTINATIONS: usize = 3;
/// How many lines of the logs of controllers a failure shows.
const LINES: usize = 120;

/// How long a storm lasts, and what happens in it.
#[derive(Debug)]
pub struct Plan {
    /// What chance begins with.
    pub seed: u64,
    /// How long.
    pub lasts: Duration,
    /// After how many acts a controller is restarted.
    pub every: usize,
    /// How, in turn.
    pub restarts: &'static [Restart],
    /// What there has to be at least.
    pub least: Counts,
}

/// What came of a storm in which nothing was wrong for long.
#[derive(Debug)]
pub struct Report {
    seed: u64,
    counts: Counts,
    looks: usize,
    ages: Ages,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, counts, looks, ages } = self;
        write!(formatter, "seed {seed}: {counts}; {looks} looks, {ages}; nothing left")
    }
}

/// A seed that was not used before.
pub fn seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_secs()
}

/// Has a storm on a control plane of its own.
///
/// # Errors
/// What was wrong for too long, or is left; or that the storm was none.
pub async fn storm(plan: &Plan) -> anyhow::Result<Report> {
    let cluster = Cluster::start().await?;
    let _webhook = cluster.install().await?;
    let blow = async |namespaces: &[Namespace]| {
        let blown = blow(&cluster, plan, namespaces).await;
        if let Err(error) = &blown {
            let error = format!("{error:#}");
            let names = namespaces.iter().map(|it| it.name.clone()).filter(|name| error.contains(name.as_str()));
            let told = told_of(&cluster, &names.collect::<Vec<_>>(), LINES);
            eprintln!("--- Storm of seed {} ---\n{error}\n--- The controllers ---\n{told}", plan.seed);
        }
        blown.with_context(|| format!("seed {}", plan.seed))
    };
    cluster.with_namespaces(OWNERS + DESTINATIONS, blow).await
}

async fn blow(control_plane: &ControlPlane, plan: &Plan, namespaces: &[Namespace]) -> anyhow::Result<Report> {
    let town = Town::new(namespaces).await?;
    let interregnums = RefCell::default();
    let mut replicas = Replicas::start(control_plane, &interregnums).await?;
    let planted = plant(control_plane, &town).await?;
    let watcher = Watcher::new(&town.client, &town.names, &interregnums, planted.clone());
    let mut actor = Actor::new(&town, plan.seed);
    let (acts, counted) = watch::channel(0);
    let is_over = Cell::new(false);
    let storm = async {
        let act = actor.act(plan.lasts, acts);
        let (acted, ()) = tokio::try_join!(act, replicas.restart(plan.restarts, plan.every, counted))?;
        is_over.set(true);
        anyhow::Ok(acted)
    };
    let (acted, seen) = tokio::try_join!(storm, watcher.watch(&is_over))?;
    let restarted = replicas.count().await?;
    actor.end().await?;
    uproot(control_plane, &planted.0).await?;
    town.calms().await?;
    let counts =
        Counts { deliveries: seen.deliveries, kills: restarted.kills, failovers: restarted.failovers, ..acted };
    let report = Report { seed: plan.seed, counts, looks: seen.looks, ages: seen.ages };
    let short = counts.short_of(&plan.least);
    ensure!(short.is_empty(), "the storm was none: {} ({report})", short.join(", "));
    Ok(report)
}

/// Puts a copy of nothing where no Pod asks for it, as the controller itself may. It lacks our label, so that the controller leaves
/// it alone.
async fn plant(control_plane: &ControlPlane, town: &Town<'_>) -> anyhow::Result<(Place, String)> {
    let destination = town.destinations.first().context("no destination")?;
    let name = copy_name(&destination.name, "planted", "planted");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    let account = control_plane.service_account(RELEASE, ACCOUNT).await?;
    let copies: Api<Secret> = Api::namespaced(account, &destination.name);
    let planted = copies.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
    Ok(((destination.name.clone(), name), planted.uid().unwrap_or_default()))
}

async fn uproot(control_plane: &ControlPlane, (namespace, name): &Place) -> anyhow::Result<()> {
    let copies: Api<Secret> = Api::namespaced(control_plane.admin().await?, namespace);
    copies.delete(name, &DeleteParams::default()).await?;
    Ok(())
}
