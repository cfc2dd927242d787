//! The controller killed immediately before and after each write that it sends: nobody has access meanwhile that neither the
//! grants before nor the grants now give, and when the next controller has run there is exactly what they give.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use anyhow::{Context, ensure};
use apolo_tests::{
    eventually::{DEADLINE, NotYet, eventually},
    grants::grant,
    namespace::{Namespace, with_namespace},
    oracle::Access,
    proxy::{Stop, When},
    succession::Succession,
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

/// What is tried, on controllers that come one after the other.
struct Scene(Succession);

impl Scene {
    /// How many writes a case takes.
    async fn writes(&self, before: &[Step], then: &[Step]) -> anyhow::Result<usize> {
        let body = async |ns: Namespace| {
            prepare(&ns, before).await?;
            self.0.proxy.begin(None);
            take(&ns, then).await?;
            rests(&ns).await?;
            anyhow::Ok(self.0.proxy.numbered().len())
        };
        self.0.cluster.with_namespace(body).await
    }

    /// The case once more, with a kill. Tells whether that write came: there may be fewer where the controller heard of two things
    /// at once.
    async fn killed(&mut self, before: &[Step], then: &[Step], stop: Stop) -> anyhow::Result<bool> {
        let cluster = self.0.cluster.clone();
        let body = async |ns: Namespace| {
            prepare(&ns, before).await?;
            let mut allowed = ns.due().await?.access;
            self.0.proxy.begin(Some(stop));
            take(&ns, then).await?;
            allowed.extend(ns.due().await?.access);
            let write = tokio::select! {
                biased;
                write = self.0.proxy.stopped() => write?,
                rest = rests(&ns) => {
                    // Nor is a later one to be stopped.
                    self.0.proxy.begin(None);
                    return rest.map(|()| false).map_err(anyhow::Error::from);
                }
            };
            self.0.kill();
            let access = ns.access(&USERS, &SECRETS).await?;
            let excess: Access = access.difference(&allowed).cloned().collect();
            ensure!(excess.is_empty(), "killed {:?} {write}: {excess:?}", stop.when);
            self.0.start().await?;
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
    let mut scene = Scene(Succession::new().await?);
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
