//! The controller killed immediately before and after each write that it sends: nobody has access meanwhile that neither the
//! grants before nor the grants now give, and when the next controller has run there is exactly what they give.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, ensure};
use apolo_tests::{
    cluster::Cluster,
    controller::Controller,
    eventually::{DEADLINE, NotYet, eventually},
    grants::grant,
    namespace::{Namespace, with_namespace},
    oracle::Access,
    proxy::{Proxy, Stop, When},
    webhook::RELEASE,
};
use k8s_openapi::{
    api::coordination::v1::Lease,
    jiff::{SignedDuration, Timestamp},
};
use kube::{Api, ResourceExt, api::DeleteParams};
use serde_json::{Value, json};

/// The Lease of the chart's controllers.
const LEASE: &str = "apolo-secrets-controller";
const USERS: [&str; 3] = ["bob", "carol", "dave"];
const SECRETS: [&str; 3] = ["a", "b", "later"];
/// As many grants as a storm may have.
const MOST_GRANTS: usize = 20_000;
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
    (
        "fewer, with more",
        &[Create("one", &["a"], "Use", &["bob", "carol"])],
        &[Change("one", &["b"], "Write", &["carol"])],
    ),
    (
        "others, with more",
        &[Create("one", &["a"], "Use", &["bob"])],
        &[Change("one", &["a"], "Manage", &["carol", "dave"])],
    ),
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
}

impl Scene {
    async fn new() -> anyhow::Result<Self> {
        let cluster = Cluster::start().await?;
        cluster.install_kinds().await?;
        let proxy = Proxy::start(&cluster).await?;
        let mut scene = Self { cluster, proxy, controller: None };
        scene.start().await?;
        Ok(scene)
    }

    /// The Lease goes first: that of one that was killed would have to run out, and nobody writes by it any more.
    async fn start(&mut self) -> anyhow::Result<()> {
        self.proxy.begin(None);
        let leases: Api<Lease> = Api::namespaced(self.cluster.admin().await?, RELEASE);
        if let Some(lease) = leases.get_opt(LEASE).await? {
            leases.delete(&lease.name_any(), &DeleteParams::default()).await?;
        }
        let controller = self.cluster.start_controller_behind(&self.proxy, "controller", &[]).await?;
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

    /// The case once more, with a kill. Tells whether that write came: there may be fewer where the controller heard of two things
    /// at once.
    async fn killed(&mut self, before: &[Step], then: &[Step], stop: Stop) -> anyhow::Result<bool> {
        let cluster = self.cluster.clone();
        let body = async |ns: Namespace| {
            prepare(&ns, before).await?;
            let mut allowed = ns.due().await?.access;
            self.proxy.begin(Some(stop));
            take(&ns, then).await?;
            allowed.extend(ns.due().await?.access);
            let write = tokio::select! {
                biased;
                write = self.proxy.stopped() => write?,
                rest = rests(&ns) => {
                    // Nor is a later one to be stopped.
                    self.proxy.begin(None);
                    return rest.map(|()| false).map_err(anyhow::Error::from);
                }
            };
            self.kill();
            let access = ns.access(&USERS, &SECRETS).await?;
            let excess: Access = access.difference(&allowed).cloned().collect();
            ensure!(excess.is_empty(), "killed {:?} {write}: {excess:?}", stop.when);
            self.start().await?;
            rests(&ns).await.with_context(|| format!("killed {:?} {write}", stop.when))?;
            Ok(true)
        };
        cluster.with_namespace(body).await
    }
}

async fn prepare(ns: &Namespace, before: &[Step]) -> anyhow::Result<()> {
    for name in ["a", "b"] {
        ns.secret(name).await?;
    }
    take(ns, before).await?;
    Ok(rests(ns).await?)
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

async fn rests(ns: &Namespace) -> Result<(), NotYet> {
    ns.rests(DEADLINE, &USERS, &SECRETS).await
}

#[tokio::test]
async fn a_controller_that_is_killed_around_any_write_leaves_nothing_that_the_next_does_not_mend() -> anyhow::Result<()>
{
    let mut scene = Scene::new().await?;
    let mut kills = 0;
    for (name, before, then) in CASES {
        let writes = scene.writes(before, then).await?;
        ensure!(writes > 0, "{name}: nothing was written");
        for number in 1..=writes {
            for when in [When::Before, When::After] {
                let came = scene
                    .killed(before, then, Stop { number, when })
                    .await
                    .with_context(|| format!("{name}, write {number} of {writes}"))?;
                kills += usize::from(came);
            }
        }
        println!("{name}: {writes} writes");
    }
    println!("{kills} kills in all");
    ensure!(kills >= LEAST, "{kills} kills are too few to show anything");
    Ok(())
}

#[tokio::test]
async fn the_oracle_sees_access_that_no_grant_gives() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        prepare(&ns, &[Create("one", &["a"], "Read", &["bob"])]).await?;
        let rbac = "rbac.authorization.k8s.io";
        let rules = json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"], "verbs": ["get", "use"]}]);
        ns.create(&json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": {"name": "planted"}, "rules": rules})).await?;
        let planted = json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": {"name": "planted"},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "planted"},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": "carol"}],
        });
        ns.create(&planted).await?;
        eventually("carol has access", async || {
            let (access, due) = (ns.access(&USERS, &SECRETS).await, ns.due().await);
            let (access, due) = (access.map_err(|it| it.to_string())?, due.map_err(|it| it.to_string())?.access);
            let excess: Vec<_> =
                access.difference(&due).map(|(user, verb, _)| (user.as_str(), verb.as_str())).collect();
            if excess == [("carol", "get"), ("carol", "use")] { Ok(()) } else { Err(format!("{excess:?}")) }
        })
        .await?;
        Ok(())
    })
    .await
}

/// Grants that come and go until `done`.
async fn storm(ns: &Namespace, done: &AtomicBool) -> anyhow::Result<()> {
    ns.secret("a").await?;
    for number in 0..MOST_GRANTS {
        if done.load(Relaxed) {
            return Ok(());
        }
        ns.share(&format!("grant-{number}"), &spec(&["a"], "Read", &["bob"])).await?;
        if let Some(old) = number.checked_sub(20) {
            ns.grants().delete(&format!("grant-{old}"), &DeleteParams::default()).await?;
        }
    }
    anyhow::bail!("the storm was over too soon")
}

#[tokio::test]
async fn a_leader_that_was_stopped_writes_nothing_once_another_has_the_lease() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install_kinds().await?;
    let (old_proxy, new_proxy) = (Proxy::start(&cluster).await?, Proxy::start(&cluster).await?);
    let old = cluster.start_controller_behind(&old_proxy, "controller", &[]).await?;
    old.leads().await?;
    let new = cluster.start_controller_behind(&new_proxy, "second-controller", &[]).await?;
    let wrote = async |proxy: &Proxy, count: usize| {
        let enough = async || match proxy.numbered().len() {
            all if all >= count => Ok(()),
            all => Err(format!("{all}")),
        };
        eventually(&format!("{count} writes"), enough).await
    };
    cluster
        .with_namespace(async |ns| {
            let done = AtomicBool::new(false);
            let script = async {
                wrote(&old_proxy, 100).await?;
                old.signal("STOP")?;
                new.leads().await?;
                wrote(&new_proxy, 100).await?;
                old.signal("CONT")?;
                eventually("the old leader has heard of it", async || match old.metric("apolo_leading").await {
                    Ok(Some(0.0)) => Ok(()),
                    other => Err(format!("{other:?}")),
                })
                .await?;
                wrote(&new_proxy, new_proxy.numbered().len() + 100).await?;
                done.store(true, Relaxed);
                anyhow::Ok(())
            };
            tokio::try_join!(storm(&ns, &done), script)?;
            let taken =
                new_proxy.writes().into_iter().find(|write| write.about.resource == "leases" && write.is_done());
            let taken = taken.and_then(|write| write.passed).context("the lease was not taken")?;
            let late: Vec<String> =
                old_proxy.writes().iter().filter(|write| write.passed > Some(taken)).map(ToString::to_string).collect();
            // That it looks at the Lease again is how it hears of it.
            ensure!(late.iter().all(|write| write.contains("leases")), "{late:?}");
            println!(
                "{} writes before, {} after, {} of the old one to the Lease",
                old_proxy.numbered().len(),
                new_proxy.numbered().len(),
                late.len()
            );
            Ok(())
        })
        .await
}
