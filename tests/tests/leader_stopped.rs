//! A leader that was stopped, while grants and Pods come and go: it writes nothing once another has the Lease.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, ensure};
use apolo_tests::{
    attempts::{Somebody, done as allowed},
    cluster::Cluster,
    delivered::hooked_pod,
    eventually::eventually,
    namespace::Namespace,
    proxy::Proxy,
};
use kube::api::DeleteParams;
use serde_json::json;

/// As many grants as a storm may have.
const MOST_GRANTS: usize = 20_000;
/// How many grants, and Pods, are there at a time.
const AT_A_TIME: usize = 20;

/// Grants that come and go until `done`, and Pods of bob's that get what they give.
async fn storm(ns: &Namespace, done: &AtomicBool) -> anyhow::Result<()> {
    ns.secret_of("a", &[("a", "hunter2")]).await?;
    let bob = Somebody::with_all_rights(&ns.client, "bob", &[]);
    ns.with_namespace(async |bobs| {
        let spec = json!({"secrets": ["a"], "subjects": [{"kind": "User", "name": "bob"}], "namespaces": [bobs.name]});
        for number in 0..MOST_GRANTS {
            if done.load(Relaxed) {
                return Ok(());
            }
            ns.share(&format!("grant-{number}"), &spec).await?;
            allowed(bob.create(&bobs.name, &hooked_pod(&format!("pod-{number}"), "bob", &ns.name, &["a"]))).await?;
            if let Some(old) = number.checked_sub(AT_A_TIME) {
                ns.grants().delete(&format!("grant-{old}"), &DeleteParams::default()).await?;
                bobs.delete_pod(&format!("pod-{old}")).await?;
            }
            // A rotation makes a copy be written that is there already.
            ns.rotate("a", "a", &number.to_string()).await?;
        }
        anyhow::bail!("the storm was over too soon")
    })
    .await
}

/// How many writes to objects of a kind were done.
fn done_to(proxy: &Proxy, resource: &str) -> usize {
    proxy.writes().iter().filter(|write| write.about.resource == resource && write.is_done()).count()
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
            for (who, proxy) in [("old", &old_proxy), ("new", &new_proxy)] {
                let [roles, copies, gates] = ["roles", "secrets", "pods"].map(|resource| done_to(proxy, resource));
                println!("the {who} leader wrote {roles} times to Roles, {copies} to copies, {gates} to gates");
                ensure!(roles > 0 && copies > 0 && gates > 0, "the storm was none");
            }
            println!("{} of the old one to the Lease, later", late.len());
            Ok(())
        })
        .await
}
