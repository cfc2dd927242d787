//! A thousand Pods for one shared secret: they come and go, or are those of one Job. Nothing stays behind, and the controller rests.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{collections::HashSet, pin::pin};

use anyhow::{Context, ensure};
use apolo_tests::{
    controller::{ACCOUNT, LEASE},
    delivered::{KEY, Scene, is_gated, with_scene},
    eventually::{DEADLINE, eventually, reached},
    namespace::Namespace,
    objects,
    webhook::RELEASE,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{
    batch::v1::Job,
    coordination::v1::Lease,
    core::v1::{Pod, ResourceQuota},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use tokio::{task::JoinSet, time::timeout};

/// How many Pods come.
const PODS: usize = 1_000;
/// How many are asked for at a time.
const WIDTH: usize = 16;
/// As many Pods own a copy at most.
const MOST_OWNERS: usize = 16;

/// What becomes of a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It is deleted as soon as it has been created.
    DeletedAtOnce,
    /// It is deleted at the moment that its gate is lifted.
    DeletedWhenLifted,
    /// It finishes at that moment.
    Finishes,
    /// It is deleted when all others have ended.
    Stays,
}

/// What becomes of the Pod of this name.
fn end(name: &str) -> anyhow::Result<End> {
    let ends = [End::DeletedAtOnce, End::DeletedWhenLifted, End::Finishes, End::Stays];
    Ok(ends[name.trim_start_matches("pod-").parse::<usize>()? % ends.len()])
}

/// Creates all Pods, and deletes at once those that end so.
async fn come(scene: &Scene) -> anyhow::Result<()> {
    let template = &scene.template(&[KEY]);
    let comes = async |number: usize| {
        let name = format!("pod-{number}");
        scene.bobs.create_as(&scene.bob, &objects::pod(&name, template)).await?;
        if end(&name)? == End::DeletedAtOnce {
            scene.bobs.delete_pod(&name).await?;
        }
        anyhow::Ok(())
    };
    stream::iter(0..PODS).map(comes).buffer_unordered(WIDTH).try_collect().await
}

/// Watches until so many Pods of those that `is_meant` have lost their gate, and begins something with each of them then.
async fn lifted<W>(
    namespace: &Namespace,
    count: usize,
    is_meant: impl Fn(&str) -> bool,
    begin: impl Fn(String) -> W,
) -> anyhow::Result<()>
where
    W: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let (mut seen, mut begun) = (HashSet::new(), JoinSet::new());
    let mut pods = pin!(watcher(namespace.api::<Pod>(), watcher::Config::default()).applied_objects());
    while seen.len() < count {
        let pod = timeout(DEADLINE, pods.try_next()).await.with_context(|| format!("{} of {count}", seen.len()))??;
        let pod = pod.context("the watch has ended")?;
        if !is_gated(&pod) && is_meant(&pod.name_any()) && seen.insert(pod.name_any()) {
            begun.spawn(begin(pod.name_any()));
        }
    }
    while let Some(done) = begun.join_next().await {
        done??;
    }
    Ok(())
}

/// There is one copy, and it is owned by Pods that are there, as many as there may be.
async fn is_owned_by_those_that_are_there(namespace: &Namespace) -> anyhow::Result<()> {
    eventually("one copy, owned by Pods that are there", async || {
        let pods = namespace.api::<Pod>().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let there: HashSet<_> = pods.iter().filter_map(ResourceExt::uid).collect();
        let copies = namespace.copies().await.map_err(|error| error.to_string())?;
        let owners: Vec<_> = copies.iter().flat_map(ResourceExt::owner_references).collect();
        let live = owners.iter().filter(|owner| there.contains(&owner.uid)).count();
        let seen = format!("{} copies, {live} of {} owners are there", copies.len(), owners.len());
        if copies.len() == 1 && live > 0 && owners.len() <= MOST_OWNERS { Ok(()) } else { Err(seen) }
    })
    .await?;
    Ok(())
}

/// The controller asks nothing more about these namespaces than so often, for as long as it takes to renew its Lease twice.
async fn rests(scene: &Scene, most: usize) -> anyhow::Result<()> {
    let leases: Api<Lease> = Api::namespaced(scene.bobs.client.clone(), RELEASE);
    let names = [scene.alice.name.as_str(), scene.bobs.name.as_str()];
    let renewed = |lease: Option<&Lease>| lease.and_then(|lease| lease.spec.as_ref()?.renew_time.clone());
    eventually("the controller rests", async || {
        let audit = scene.bobs.audit().map_err(|error| error.to_string())?;
        for _ in 0..2 {
            let before = renewed(Some(&leases.get(LEASE).await.map_err(|error| error.to_string())?));
            let is_later = |lease: Option<&Lease>| renewed(lease) > before;
            reached(leases.clone(), LEASE, "the Lease is renewed", is_later)
                .await
                .map_err(|error| error.to_string())?;
        }
        let asked = audit.asked_by(&format!("{RELEASE}:{ACCOUNT}")).map_err(|error| error.to_string())?;
        let heard = asked.iter().any(|asked| asked.resource() == "leases");
        let about = asked.iter().filter(|asked| asked.namespace().is_some_and(|of| names.contains(&of)));
        let about: Vec<_> = about.map(|asked| format!("{} {}", asked.verb(), asked.resource())).collect();
        if heard && about.len() <= most { Ok(()) } else { Err(format!("{} requests: {about:?}", asked.len())) }
    })
    .await?;
    Ok(())
}

/// Runs `body` with two namespaces, and alice's password shared with bob.
async fn with_shared(body: impl AsyncFnOnce(Scene) -> anyhow::Result<()>) -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &[KEY]).await?;
        scene.delivered("first").await?;
        scene.bobs.delete_pod("first").await?;
        scene.bobs.copies_hold(&[]).await?;
        body(scene).await
    })
    .await
}

#[tokio::test]
async fn of_a_thousand_pods_that_come_and_go_no_copy_and_no_gate_is_left() -> anyhow::Result<()> {
    with_shared(async |scene| {
        let bobs = scene.bobs.clone();
        let is_meant = |name: &str| end(name).is_ok_and(|end| end != End::DeletedAtOnce);
        let begin = |name: String| {
            let bobs = bobs.clone();
            async move {
                match end(&name)? {
                    End::DeletedWhenLifted => Ok(bobs.delete_pod(&name).await?),
                    End::Finishes => Ok(bobs.finish(&name).await?),
                    End::DeletedAtOnce | End::Stays => Ok(()),
                }
            }
        };
        tokio::try_join!(come(&scene), lifted(&scene.bobs, PODS / 4 * 3, is_meant, begin))?;
        let left = scene.bobs.api::<Pod>().list(&ListParams::default()).await?;
        ensure!(left.items.len() == PODS / 2 && !left.iter().any(is_gated), "{} Pods are left", left.items.len());
        is_owned_by_those_that_are_there(&scene.bobs).await?;
        scene.clear().await?;
        scene.bobs.copies_hold(&[]).await?;
        rests(&scene, 0).await
    })
    .await
}

#[tokio::test]
async fn a_job_of_a_thousand_pods_has_one_copy_and_it_goes_with_the_job() -> anyhow::Result<()> {
    with_shared(async |scene| {
        let mut job = objects::job("many", &scene.template(&[KEY]));
        job["spec"]["completions"] = json!(PODS);
        job["spec"]["parallelism"] = json!(PODS);
        scene.create(&job).await?;
        lifted(&scene.bobs, PODS, |_| true, |_| async { Ok(()) }).await?;
        scene.bobs.copies_hold(&["hunter2"]).await?;
        is_owned_by_those_that_are_there(&scene.bobs).await?;
        scene.bobs.api::<Job>().delete("many", &DeleteParams::background()).await?;
        eventually("its Pods have gone", async || {
            let pods = scene.bobs.api::<Pod>().list_metadata(&ListParams::default().limit(1)).await;
            let pods = pods.map_err(|error| error.to_string())?;
            if pods.items.is_empty() { Ok(()) } else { Err(format!("{:?}", pods.metadata.remaining_item_count)) }
        })
        .await?;
        scene.bobs.copies_hold(&[]).await?;
        rests(&scene, 0).await
    })
    .await
}

#[tokio::test]
async fn many_copies_that_a_quota_refuses_are_not_tried_without_end() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let keys: Vec<String> = (0..56).map(|number| format!("key-{number:02}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        for key in &keys {
            scene.alice.secret_of(key, &[(key, "hunter2")]).await?;
        }
        scene.share("many", &keys).await?;
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
            "spec": {"hard": {"secrets": "0"}}});
        scene.bobs.create(&quota).await?;
        let is_counted = |quota: Option<&ResourceQuota>| quota.is_some_and(|it| it.status.is_some());
        reached(scene.bobs.api::<ResourceQuota>(), "none", "the quota is counted", is_counted).await?;
        // More than one look has room for.
        for number in 0..8 {
            scene.create(&objects::pod(&format!("pod-{number}"), &scene.template(&keys[number..number + 48]))).await?;
        }
        scene.bobs.is_told("pod-7", "DeliveryRefused").await?;
        rests(&scene, 30).await?;
        scene.bobs.api::<ResourceQuota>().delete("none", &DeleteParams::default()).await?;
        // Who waits is looked at again when something about him changes: another Pod like it.
        scene.create(&objects::pod("another", &scene.template(&keys[..48]))).await?;
        for name in ["another", "pod-0"] {
            scene.bobs.is_lifted(name).await?;
        }
        Ok(())
    })
    .await
}
