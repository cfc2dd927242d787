//! The API server is in trouble: whoever should not have access by then does not get it, the controller stays and does not press,
//! and soon after the trouble all is right again.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use apolo_tests::{
    cluster::Cluster,
    controller::Controller,
    eventually::{DEADLINE, eventually},
    namespace::Namespace,
    oracle::Access,
    proxy::{Proxy, Trouble},
};
use http::StatusCode;
use kube::api::DeleteParams;
use serde_json::{Value, json};

const USERS: [&str; 3] = ["bob", "carol", "dave"];
const SECRETS: [&str; 2] = ["a", "b"];
/// When all is to be right again.
const SOON: Duration = Duration::from_secs(10);
/// How many tries there may be at once: a pause doubles from a fraction of a second on.
const FIRST_TRIES: u64 = 3;
/// How many tries there must be: each watch is begun again.
const LEAST_TRIES: usize = 4;
/// How many things the controller asks for here: eight watches, its Lease, a sweep, an Event, three grants, and a catalog.
const THINGS: u64 = 15;

struct Scene {
    cluster: Cluster,
    proxy: Proxy,
    controller: Controller,
}

impl Scene {
    async fn new() -> anyhow::Result<Self> {
        let cluster = Cluster::start().await?;
        cluster.install_kinds().await?;
        let proxy = Proxy::start(&cluster).await?;
        let controller = cluster.start_controller_behind(&proxy, "controller", &[]).await?;
        controller.leads().await?;
        Ok(Self { cluster, proxy, controller })
    }

    /// Grants change in the midst of the trouble that `begin` makes, which lasts until the controller has lost its Lease.
    async fn survives(
        &self,
        begin: impl AsyncFn(&Proxy) -> anyhow::Result<()>,
        end: impl AsyncFn(&Proxy) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let body = async |ns: Namespace| {
            prepare(&ns).await?;
            let mut allowed = ns.due().await?.access;
            self.proxy.begin(None);
            let began = Instant::now();
            begin(&self.proxy).await?;
            change(&ns).await?;
            self.leads(0.0).await?;
            self.is_patient(began)?;

            allowed.extend(ns.due().await?.access);
            let access = ns.access(&USERS, &SECRETS).await?;
            let excess: Access = access.difference(&allowed).cloned().collect();
            ensure!(excess.is_empty(), "{excess:?}");

            end(&self.proxy).await?;
            ns.rests(SOON, &USERS, &SECRETS).await?;
            self.leads(1.0).await
        };
        self.cluster.with_namespace(body).await
    }

    /// Waits until the controller, the same process, says whether it leads.
    async fn leads(&self, leads: f64) -> anyhow::Result<()> {
        let told = async || match self.controller.metric("apolo_leading").await {
            Ok(Some(told)) if (told - leads).abs() < 0.5 => Ok(()),
            other => Err(format!("{other:?}")),
        };
        Ok(eventually(&format!("the controller says that it leads: {leads}"), told).await?)
    }

    /// It met the trouble, and tried each thing no more than once a second.
    fn is_patient(&self, began: Instant) -> anyhow::Result<()> {
        let seconds = began.elapsed().as_secs();
        let tries = self.proxy.tries();
        ensure!(tries.values().sum::<usize>() >= LEAST_TRIES, "it was not met: {tries:?}");
        for (what, count) in tries {
            let things = if what == "connect" { THINGS } else { 1 };
            ensure!(count as u64 <= things * (seconds + FIRST_TRIES), "{count} times in {seconds} s: {what}");
        }
        Ok(())
    }
}

/// Who has what: by these three grants.
async fn prepare(ns: &Namespace) -> anyhow::Result<()> {
    for name in SECRETS {
        ns.secret(name).await?;
    }
    ns.share("kept", &spec("Read", "bob")).await?;
    ns.share("narrowed", &spec("Write", "carol")).await?;
    ns.share("withdrawn", &spec("Read", "dave")).await?;
    Ok(ns.rests(DEADLINE, &USERS, &SECRETS).await?)
}

async fn change(ns: &Namespace) -> anyhow::Result<()> {
    ns.change("narrowed", &json!({"access": "Use"})).await?;
    ns.grants().delete("withdrawn", &DeleteParams::default()).await?;
    ns.share("new", &json!({"secrets": ["b"], "subjects": [{"kind": "User", "name": "bob"}]})).await?;
    Ok(())
}

fn spec(access: &str, user: &str) -> Value {
    json!({"secrets": ["a"], "access": access, "subjects": [{"kind": "User", "name": user}]})
}

#[tokio::test]
async fn the_api_server_refuses_or_is_slow() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    for trouble in [
        Trouble::Refused(StatusCode::TOO_MANY_REQUESTS),
        Trouble::Refused(StatusCode::INTERNAL_SERVER_ERROR),
        Trouble::Late(Duration::from_secs(5)),
    ] {
        let begin = async |proxy: &Proxy| {
            proxy.trouble(Some(trouble));
            Ok(proxy.cut().await?)
        };
        let end = async |proxy: &Proxy| {
            proxy.trouble(None);
            Ok(())
        };
        scene.survives(begin, end).await.with_context(|| format!("{trouble:?}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn the_api_server_is_gone() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    scene.survives(async |proxy| Ok(proxy.leave().await?), async |proxy| Ok(proxy.come_back().await?)).await
}

#[tokio::test]
async fn the_watches_are_cut() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let body = async |ns: Namespace| {
        prepare(&ns).await?;
        for _ in 0..3 {
            scene.proxy.cut().await?;
        }
        change(&ns).await?;
        Ok(ns.rests(SOON, &USERS, &SECRETS).await?)
    };
    scene.cluster.with_namespace(body).await
}
