//! The controller killed immediately before and after each write that it sends: nobody has access meanwhile that neither the
//! grants before nor the grants now give, and when the next controller has run there is exactly what they give.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use apolo_tests::{
    cluster::Cluster,
    controller::Controller,
    eventually::eventually,
    grants::grant,
    namespace::Namespace,
    oracle::Access,
    proxy::{Proxy, Stop, When},
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt, api::DeleteParams};
use serde_json::{Value, json};

const USERS: [&str; 3] = ["bob", "carol", "dave"];
const SECRETS: [&str; 3] = ["a", "b", "later"];
/// As many kills as there have to be at least.
const LEAST: usize = 40;

/// What happens to grants.
#[derive(Clone, Copy)]
enum Step {
    /// One of this name comes, of these secrets, at this access, to these users.
    Create(&'static str, &'static [&'static str], &'static str, &'static [&'static str]),
    /// It becomes so.
    Change(&'static str, &'static [&'static str], &'static str, &'static [&'static str]),
    /// One comes that came from the other, by bob.
    Derive(&'static str, &'static str),
    /// One comes that expires in a moment.
    Expire(&'static str),
    /// It goes.
    Delete(&'static str),
    /// A Secret comes.
    Secret(&'static str),
}

use Step::{Change, Create, Delete, Derive, Expire, Secret};

/// Each with what is there before, and what then happens.
const CASES: [(&str, &[Step], &[Step]); 9] = [
    ("granted", &[], &[Create("one", &["a"], "Read", &["bob"])]),
    ("widened", &[Create("one", &["a"], "Read", &["bob"])], &[Change("one", &["a", "b"], "Write", &["bob", "carol"])]),
    ("narrowed", &[Create("one", &["a", "b"], "Write", &["bob"])], &[Change("one", &["a"], "Use", &["bob"])]),
    ("fewer, with more", &[Create("one", &["a"], "Use", &["bob", "carol"])], &[Change("one", &["b"], "Write", &["carol"])]),
    ("others, with more", &[Create("one", &["a"], "Use", &["bob"])], &[Change("one", &["a"], "Manage", &["carol", "dave"])]),
    ("withdrawn", &[Create("one", &["a"], "Read", &["bob"])], &[Delete("one")]),
    ("expired", &[], &[Expire("one")]),
    (
        "withdrawn with what came from it",
        &[Create("one", &["a"], "Manage", &["bob"]), Derive("two", "one")],
        &[Delete("one")],
    ),
    ("completed", &[Create("one", &["a", "later"], "Read", &["bob"])], &[Secret("later")]),
];

/// A control plane, a proxy, and controllers behind it, one after the other.
struct Scene {
    cluster: Cluster,
    proxy: Proxy,
    controller: Option<Controller>,
    started: usize,
}

impl Scene {
    async fn new() -> anyhow::Result<Self> {
        let cluster = Cluster::start().await?;
        cluster.install_kinds().await?;
        let proxy = Proxy::start(&cluster).await?;
        let mut scene = Self { cluster, proxy, controller: None, started: 0 };
        scene.start().await?;
        Ok(scene)
    }

    /// Each has a Lease of its own: that of one that was killed would have to run out first, and nobody else wants it.
    async fn start(&mut self) -> anyhow::Result<()> {
        self.started += 1;
        self.proxy.begin(None);
        let lease = format!("--lease-name=lease-{}", self.started);
        let controller = self.cluster.start_controller_behind(&self.proxy, "controller", &[&lease]).await?;
        controller.leads().await?;
        self.controller = Some(controller);
        Ok(())
    }

    fn kill(&mut self) {
        // To drop it is to kill it.
        self.controller = None;
    }

    /// How many writes a case takes.
    async fn writes(&self, before: &[Step], then: &[Step]) -> anyhow::Result<usize> {
        let body = async |ns: Namespace| {
            prepare(&ns, before).await?;
            self.proxy.begin(None);
            take(&ns, then).await?;
            rests(&ns).await?;
            anyhow::Ok(self.proxy.numbered().len())
        };
        self.cluster.with_namespace(body).await
    }

    /// The case once more, with a kill.
    async fn killed(&mut self, before: &[Step], then: &[Step], stop: Stop) -> anyhow::Result<()> {
        let cluster = self.cluster.clone();
        let body = async |ns: Namespace| {
            prepare(&ns, before).await?;
            let mut allowed = ns.due().await?.access;
            self.proxy.begin(Some(stop));
            take(&ns, then).await?;
            allowed.extend(ns.due().await?.access);
            let write = self.proxy.stopped().await?;
            self.kill();
            let access = ns.access(&USERS, &SECRETS).await?;
            let excess: Access = access.difference(&allowed).cloned().collect();
            ensure!(excess.is_empty(), "killed {:?} {write}: {excess:?}", stop.when);
            self.start().await?;
            rests(&ns).await.with_context(|| format!("killed {:?} {write}", stop.when))
        };
        cluster.with_namespace(body).await
    }
}

async fn prepare(ns: &Namespace, before: &[Step]) -> anyhow::Result<()> {
    for name in ["a", "b"] {
        ns.secret(name).await?;
    }
    take(ns, before).await?;
    rests(ns).await
}

async fn take(ns: &Namespace, steps: &[Step]) -> anyhow::Result<()> {
    for step in steps {
        match *step {
            Create(name, secrets, access, users) => ns.share(name, &spec(secrets, access, users)).await?,
            Change(name, secrets, access, users) => ns.change(name, &spec(secrets, access, users)).await?,
            Derive(name, parent) => {
                let uid = ns.grants().get(parent).await?.uid().context("no uid")?;
                let mut object = grant(name, spec(&["a"], "Read", &["carol"]).as_object().context("no fields")?);
                object["metadata"]["annotations"] = json!({"secrets.apolo.us/granted-via": format!("{uid} bob")});
                ns.create(&object).await?;
            }
            Expire(name) => {
                let mut fields = spec(&["a"], "Read", &["bob"]);
                fields["expiresAt"] = json!((Timestamp::now() + SignedDuration::from_millis(1200)).to_string());
                ns.share(name, &fields).await?;
            }
            Delete(name) => {
                ns.grants().delete(name, &DeleteParams::default()).await?;
            }
            Secret(name) => ns.secret(name).await?,
        }
    }
    Ok(())
}

fn spec(secrets: &[&str], access: &str, users: &[&str]) -> Value {
    let subjects: Vec<Value> = users.iter().map(|user| json!({"kind": "User", "name": user})).collect();
    json!({"secrets": secrets, "access": access, "subjects": subjects})
}

/// Waits until there is exactly what should be: access, Roles, RoleBindings, and each grant's status of its present generation;
/// and no grant will expire.
async fn rests(ns: &Namespace) -> anyhow::Result<()> {
    let is_so = async || -> anyhow::Result<()> {
        for grant in ns.grants().list(&Default::default()).await? {
            let status = &grant.data["status"];
            let expiry = grant.data["spec"]["expiresAt"].as_str().is_some();
            let (reason, observed) = (&status["conditions"][0]["reason"], status["observedGeneration"].as_i64());
            ensure!(observed == grant.metadata.generation && (!expiry || reason == "Expired"), "{} is {status}", grant.name_any());
        }
        let due = ns.due().await?;
        let objects: [BTreeSet<String>; 2] = ns.owned().await?;
        ensure!(objects.iter().all(|objects| *objects == due.objects), "{objects:?} instead of {:?}", due.objects);
        let access = ns.access(&USERS, &SECRETS).await?;
        ensure!(access == due.access, "{access:?} instead of {:?}", due.access);
        Ok(())
    };
    Ok(eventually("there is exactly what should be", async || is_so().await.map_err(|error| format!("{error:#}"))).await?)
}

#[tokio::test]
async fn a_controller_that_is_killed_around_any_write_leaves_nothing_that_the_next_does_not_mend() -> anyhow::Result<()> {
    let mut scene = Scene::new().await?;
    let mut kills = 0;
    for (name, before, then) in CASES {
        let writes = scene.writes(before, then).await?;
        ensure!(writes > 0, "{name}: nothing was written");
        for number in 1..=writes {
            for when in [When::Before, When::After] {
                scene.killed(before, then, Stop { number, when }).await.with_context(|| format!("{name}, write {number} of {writes}"))?;
                kills += 1;
            }
        }
        println!("{name}: {writes} writes, {} kills", 2 * writes);
    }
    println!("{kills} kills in all");
    ensure!(kills >= LEAST, "{kills} kills are too few to show anything");
    Ok(())
}
