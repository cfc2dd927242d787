//! The controller killed immediately before and after each write by which it delivers: nothing is delivered meanwhile that neither the
//! grants, Pods and Secrets before nor those of now give, and when the next controller has run there is exactly what they give.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use apolo_tests::{
    attempts::{Somebody, done},
    cluster::Cluster,
    controller::ACCOUNT,
    delivered::{copy_name, hooked_pod},
    eventually::DEADLINE,
    namespace::Namespace,
    oracle::deliveries::{Deliveries, Fault},
    proxy::{Stop, When},
    succession::Succession,
    webhook::RELEASE,
};
use k8s_openapi::api::core::v1::{self, Secret};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;

const SECRETS: [&str; 2] = ["a", "b"];
/// As many kills as there have to be at least.
const LEAST: usize = 30;

/// What happens to deliveries.
#[derive(Clone, Copy)]
enum Step {
    /// Alice gives bob the use of these.
    Share(&'static [&'static str]),
    /// She takes it back.
    Withdraw,
    /// A Pod of bob's comes that asks for these.
    Pod(&'static str, &'static [&'static str]),
    /// It ends.
    Finish(&'static str),
    /// It goes.
    Delete(&'static str),
    /// A value is another.
    Rotate(&'static str),
    /// A secret comes.
    Come(&'static str),
    /// A secret goes.
    Go(&'static str),
    /// All that is due has been done.
    Rest,
}

use Step::{Come, Delete, Finish, Go, Pod, Rest, Rotate, Share, Withdraw};

/// What is there before, what then happens, and what happens while the controller is stopped at a write.
struct Case {
    name: &'static str,
    before: &'static [Step],
    then: &'static [Step],
    held: &'static [Step],
}

const fn case(name: &'static str, before: &'static [Step], then: &'static [Step], held: &'static [Step]) -> Case {
    Case { name, before, then, held }
}

const CASES: [Case; 11] = [
    case("a Pod comes", &[Share(&["a"])], &[Pod("one", &["a"])], &[]),
    case("two secrets", &[Share(&["a", "b"])], &[Pod("one", &["a", "b"])], &[]),
    case("withdrawn between copy and gate", &[Share(&["a"])], &[Pod("one", &["a"])], &[Withdraw]),
    case("rotated between copy and gate", &[Share(&["a"])], &[Pod("one", &["a"])], &[Rotate("a")]),
    case("shared with a Pod that waits", &[Pod("one", &["a"])], &[Share(&["a"])], &[]),
    case("withdrawn", &[Share(&["a"]), Pod("one", &["a"])], &[Withdraw], &[]),
    case("rotated", &[Share(&["a"]), Pod("one", &["a"])], &[Rotate("a")], &[]),
    case("the last Pod ends", &[Share(&["a"]), Pod("one", &["a"])], &[Finish("one")], &[]),
    case(
        "an owner goes",
        &[Share(&["a"]), Pod("one", &["a"]), Rest, Pod("two", &["a"]), Rest, Pod("three", &["a"])],
        &[Delete("one")],
        &[],
    ),
    case("the source goes", &[Share(&["a"]), Pod("one", &["a"])], &[Go("a")], &[]),
    case("the source comes", &[Go("a"), Share(&["a"]), Pod("one", &["a"])], &[Come("a")], &[]),
];

/// Alice's namespace and bob's.
struct Pair<'a> {
    alice: &'a Namespace,
    bobs: &'a Namespace,
}

impl Pair<'_> {
    async fn prepare(&self, before: &[Step]) -> anyhow::Result<Deliveries> {
        for name in SECRETS {
            self.take(&[Come(name)]).await?;
        }
        self.take(before).await?;
        self.rest().await
    }

    async fn take(&self, steps: &[Step]) -> anyhow::Result<()> {
        let Self { alice, bobs } = self;
        let bob = Somebody::with_all_rights(&bobs.client, "bob", &[]);
        for step in steps {
            match *step {
                Share(keys) => {
                    let subjects = json!([{"kind": "User", "name": "bob"}]);
                    let fields = json!({"secrets": keys, "subjects": subjects, "namespaces": [bobs.name]});
                    alice.share("one", &fields).await?;
                }
                Withdraw => drop(alice.grants().delete("one", &DeleteParams::default()).await?),
                Pod(name, keys) => {
                    drop(done(bob.create(&bobs.name, &hooked_pod(name, "bob", &alice.name, keys))).await?);
                }
                Finish(name) => bobs.finish(name).await?,
                Delete(name) => bobs.delete_pod(name).await?,
                Rotate(name) => alice.rotate(name, name, "rotated").await?,
                Come(name) => alice.secret_of(name, &[(name, "hunter2")]).await?,
                Go(name) => drop(alice.api::<Secret>().delete(name, &DeleteParams::default()).await?),
                Rest => drop(self.rest().await?),
            }
        }
        Ok(())
    }

    async fn look(&self) -> Result<Deliveries, kube::Error> {
        Deliveries::look(&self.bobs.client, &[&self.alice.name, &self.bobs.name]).await
    }

    /// What is there when all that is due has been done.
    async fn rest(&self) -> anyhow::Result<Deliveries> {
        self.alice.rests(DEADLINE, &["bob"], &SECRETS).await?;
        Ok(Deliveries::rest(&self.bobs.client, &[&self.alice.name, &self.bobs.name], DEADLINE).await?)
    }
}

/// Nothing is delivered that was not before, and that none of `justly` justifies.
fn is_just(now: &Deliveries, before: &Deliveries, justly: &[&Deliveries]) -> anyhow::Result<()> {
    for place in now.copies.keys() {
        ensure!(justly.iter().any(|it| it.justified.contains_key(place)), "a copy that nobody may use: {place:?}");
    }
    let allowed: BTreeSet<String> = justly.iter().flat_map(|it| it.allowed()).collect();
    let lifted = &now.lifted() - &before.lifted();
    ensure!(lifted.is_subset(&allowed), "a gate was lifted for one who may not");
    Ok(())
}

/// What is tried, on controllers that come one after the other.
struct Scene(Succession);

impl Scene {
    async fn with_pair<T>(&self, body: impl AsyncFnOnce(Pair<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let cluster = &self.0.cluster;
        cluster
            .with_namespace(async |alice| {
                cluster.with_namespace(async |bobs| body(Pair { alice: &alice, bobs: &bobs }).await).await
            })
            .await
    }

    /// How many writes a case takes.
    async fn writes(&self, case: &Case) -> anyhow::Result<usize> {
        self.with_pair(async |pair| {
            pair.prepare(case.before).await?;
            self.0.proxy.begin(None);
            pair.take(case.then).await?;
            pair.rest().await?;
            Ok(self.0.proxy.numbered().len())
        })
        .await
    }

    /// The case once more, with a kill. Tells whether that write came: there may be fewer where the controller heard of two things
    /// at once, or Kubernetes was faster.
    async fn killed(&mut self, case: &Case, stop: Stop) -> anyhow::Result<bool> {
        let cluster = self.0.cluster.clone();
        let mut body = async |pair: Pair<'_>| {
            let before = pair.prepare(case.before).await?;
            self.0.proxy.begin(Some(stop));
            pair.take(case.then).await?;
            let then = pair.look().await?;
            let write = tokio::select! {
                biased;
                write = self.0.proxy.stopped() => write?,
                rest = pair.rest() => {
                    // Nor is a later one to be stopped.
                    self.0.proxy.begin(None);
                    return rest.map(|_| false);
                }
            };
            let killed = format!("killed {:?} {write}", stop.when);
            let at_the_kill = pair.look().await?;
            pair.take(case.held).await?;
            self.0.kill();
            is_just(&at_the_kill, &before, &[&before, &then]).with_context(|| killed.clone())?;
            self.0.start().await?;
            let after = pair.rest().await.with_context(|| killed.clone())?;
            is_just(&after, &at_the_kill, &[&after]).context(killed)?;
            Ok(true)
        };
        cluster
            .with_namespace(async |alice| {
                cluster.with_namespace(async |bobs| body(Pair { alice: &alice, bobs: &bobs }).await).await
            })
            .await
    }
}

#[tokio::test]
async fn a_controller_that_is_killed_around_any_write_leaves_nothing_that_the_next_does_not_mend() -> anyhow::Result<()>
{
    let mut scene = Scene(Succession::new().await?);
    let mut kills = 0;
    for case in &CASES {
        let name = case.name;
        let writes = scene.writes(case).await?;
        ensure!(writes > 0, "{name}: nothing was written");
        for number in 1..=writes {
            for when in [When::Before, When::After] {
                let came = scene.killed(case, Stop { number, when }).await;
                kills += usize::from(came.with_context(|| format!("{name}, write {number} of {writes}"))?);
            }
        }
        println!("{name}: {writes} writes");
    }
    println!("{kills} kills in all");
    ensure!(kills >= LEAST, "{kills} kills are too few to show anything");
    Ok(())
}

/// The faults that the oracle sees, in few words.
async fn faults(pair: &Pair<'_>) -> anyhow::Result<Vec<&'static str>> {
    let faults = pair.look().await?.faults();
    let word = |fault: &Fault| match fault {
        Fault::Unjustified(..) => "unjustified",
        Fault::Missing(_) => "missing",
        Fault::Stale(_) => "stale",
        Fault::Gated(..) => "gated",
    };
    Ok(faults.iter().map(word).collect())
}

#[tokio::test]
async fn the_oracle_sees_what_should_not_be_and_what_is_not_there() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install_kinds().await?;
    // No controller runs: what one does is done here, as its account.
    let account = cluster.service_account(RELEASE, ACCOUNT).await?;
    let with_alice = async |alice: Namespace| {
        cluster
            .with_namespace(async |bobs: Namespace| {
                let pair = Pair { alice: &alice, bobs: &bobs };
                let copies: Api<Secret> = Api::namespaced(account.clone(), &bobs.name);
                let pods: Api<v1::Pod> = Api::namespaced(account.clone(), &bobs.name);
                let patch = PatchParams::default();
                pair.take(&[Come("a"), Come("b"), Pod("one", &["a"]), Pod("no", &["b"])]).await?;
                // The API server serves our kinds a moment before it has their storage.
                Deliveries::rest(&bobs.client, &[&alice.name, &bobs.name], DEADLINE).await?;
                pair.take(&[Share(&["a"])]).await?;
                assert_eq!(faults(&pair).await?, ["missing", "gated"]);
                let copy = copy_name(&alice.name, "a", "a");
                let secret = |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"a": "hunter2"}});
                bobs.create_as(&account, &secret(&copy)).await?;
                assert_eq!(faults(&pair).await?, ["gated"]);
                let no_gate = Patch::Merge(json!({"spec": {"schedulingGates": []}}));
                pods.patch("one", &patch, &no_gate).await?;
                assert_eq!(faults(&pair).await?, [""; 0]);
                copies.patch(&copy, &patch, &Patch::Merge(json!({"stringData": {"a": "another"}}))).await?;
                assert_eq!(faults(&pair).await?, ["stale"]);
                bobs.create_as(&account, &secret(&copy_name(&alice.name, "b", "b"))).await?;
                assert_eq!(faults(&pair).await?, ["unjustified", "stale"]);
                let before = pair.look().await?;
                pods.patch("no", &patch, &no_gate).await?;
                let after = pair.look().await?;
                ensure!(is_just(&after, &before, &[&after]).is_err() && is_just(&after, &after, &[&before, &after]).is_err());
                pair.take(&[Withdraw]).await?;
                assert_eq!(faults(&pair).await?, ["unjustified"; 2]);
                Ok(())
            })
            .await
    };
    cluster.with_namespace(with_alice).await
}
