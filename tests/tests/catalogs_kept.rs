//! How a catalog is kept: written when it changes, not too often, and mended when others have changed it.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Instant;

use anyhow::{Context, ensure};
use apolo_tests::{
    catalogs::{NAME, ends, keys},
    cluster::Cluster,
    eventually::eventually,
    grants::VERSION,
    namespace::{Namespace, with_namespace},
};
use k8s_openapi::api::core::v1::{self, Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

#[tokio::test]
async fn a_catalog_that_somebody_has_edited_deleted_or_added_to_is_mended() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.secret("one").await?;
        let right = ns.catalog_owns(&["one"]).await?;
        let is_right = |status: &Value| *status == right;
        let catalogs = ns.catalogs();
        let version = async || Ok::<_, kube::Error>(catalogs.get(NAME).await?.resource_version());
        let edits = [
            Patch::Merge(json!({"status": {"own": []}})),
            Patch::Merge(json!({"status": {"shared": [{"uri": "secret://default/a/b", "access": "Read"}]}})),
            Patch::Merge(json!({"status": {"cluster": "another", "truncated": 7}})),
        ];
        for edit in edits {
            let before = version().await?;
            catalogs.patch_status(NAME, &PatchParams::default(), &edit).await?;
            ns.catalog(&format!("it is right again after {edit:?}"), is_right).await?;
            ensure!(version().await? != before, "nobody has written it");
        }
        // What another applies stays his, whatever is applied beside it.
        let applied = Patch::Apply(json!({
            "apiVersion": VERSION, "kind": "SecretCatalog", "metadata": {"name": NAME}, "status": {"truncated": 7},
        }));
        catalogs.patch_status(NAME, &PatchParams::apply("another"), &applied).await?;
        ns.catalog("it is right again", is_right).await?;
        let uid = catalogs.get(NAME).await?.uid();
        catalogs.delete(NAME, &DeleteParams::default()).await?;
        ns.catalog("it is there again", is_right).await?;
        ensure!(catalogs.get(NAME).await?.uid() != uid, "it has not been made anew");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_catalog_of_another_name_is_nobodys_business() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.create(&json!({"apiVersion": VERSION, "kind": "SecretCatalog", "metadata": {"name": "mine"}})).await?;
        let catalogs = ns.catalogs();
        let status = Patch::Merge(json!({"status": {"cluster": "mine"}}));
        let mine = catalogs.patch_status("mine", &PatchParams::default(), &status).await?;
        ns.secret("one").await?;
        ns.catalog_owns(&["one"]).await?;
        ns.api::<Secret>().delete("one", &DeleteParams::default()).await?;
        ns.catalog("there is none", Value::is_null).await?;
        assert_eq!(catalogs.get("mine").await?.resource_version(), mine.resource_version());
        Ok(())
    })
    .await
}

/// It cannot go, so it says nothing; when it can, another comes when there is something to list.
#[tokio::test]
async fn a_catalog_that_a_finalizer_keeps_lists_nothing_that_is_not_there() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.secret("one").await?;
        ns.catalog_owns(&["one"]).await?;
        let finalizers = |all: Value| Patch::Merge(json!({"metadata": {"finalizers": all}}));
        let (catalogs, params) = (ns.catalogs(), PatchParams::default());
        catalogs.patch(NAME, &params, &finalizers(json!(["example.com/keep"]))).await?;
        ns.api::<Secret>().delete("one", &DeleteParams::default()).await?;
        ns.catalog("it lists nothing", |status| *status == json!({"cluster": "default"})).await?;
        ns.secret("two").await?;
        ns.catalog_owns(&["two"]).await?;
        catalogs.patch(NAME, &params, &finalizers(json!([]))).await?;
        eventually("another has come", async || match catalogs.get_opt(NAME).await {
            Ok(Some(catalog)) if catalog.metadata.deletion_timestamp.is_none() => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
        ns.catalog_owns(&["two"]).await?;
        Ok(())
    })
    .await
}

/// Two hundred changes a second, for as long as three seconds take on this machine.
#[tokio::test]
async fn a_storm_of_changes_is_written_about_once_a_second_and_the_last_of_them_too() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.secret("first").await?;
        ns.catalog_owns(&["first"]).await?;
        let (began, before) = (Instant::now(), ns.catalog_writes()?);
        let mut storm = JoinSet::new();
        for task in 0..8 {
            let ns = ns.clone();
            storm.spawn(async move {
                for number in (task..1000).step_by(8) {
                    let name = format!("later-{number:04}");
                    ns.secret(&name).await?;
                    // Every third stays.
                    if number % 3 > 0 {
                        ns.api::<Secret>().delete(&name, &DeleteParams::default()).await?;
                    }
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = storm.join_next().await {
            done??;
        }
        let mut expected: Vec<String> = (0..1000).step_by(3).map(|number| format!("later-{number:04}")).collect();
        expected.insert(0, "first".into());
        ns.catalog("the last state", |status| keys(status) == expected).await?;
        let (seconds, writes) = (began.elapsed().as_secs(), ns.catalog_writes()? - before);
        ensure!(writes > 0 && writes as u64 <= seconds + 2, "{writes} writes in {seconds} s");
        Ok(())
    })
    .await
}

async fn settled(controller: &apolo_tests::controller::Controller, least: f64) -> anyhow::Result<()> {
    eventually("all catalogs are looked at", async || {
        match controller.metric(r#"apolo_catalogs_total{outcome="settled"}"#).await {
            Ok(Some(count)) if count >= least => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_controller_that_starts_writes_only_the_catalogs_that_have_become_wrong() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install_kinds().await?;
    let mut controller = cluster.start_controller("controller", &[]).await?;
    cluster
        .with_namespace(async |alice| {
            cluster
                .with_namespace(async |bob: Namespace| {
                    alice.secret("one").await?;
                    alice.share("shared", &json!({"secrets": ["one"], "namespaces": [bob.name]})).await?;
                    alice.stands("shared", "Granted").await?;
                    alice.catalog("it is shared", |status| status["own"][0]["sharedWith"] == 1).await?;
                    let shared = format!("{}/one", alice.name);
                    bob.catalog_shares(&[&shared]).await?;
                    controller.stop().await?;
                    controller = cluster.start_controller("controller", &[]).await?;
                    controller.leads().await?;
                    settled(&controller, 2.0).await?;
                    ensure!(controller.writes().await? == 0.0, "it wrote something");

                    // What happened meanwhile is made good.
                    controller.stop().await?;
                    alice.api::<Secret>().delete("one", &DeleteParams::default()).await?;
                    alice.secret("two").await?;
                    bob.catalogs().delete(NAME, &DeleteParams::default()).await?;
                    bob.secret("three").await?;
                    controller = cluster.start_controller("controller", &[]).await?;
                    alice.catalog_owns(&["two"]).await?;
                    let status = bob.catalog_owns(&["three"]).await?;
                    assert!(ends(&status).is_empty(), "{status}");

                    // In a namespace that goes nothing is made, and nothing fails.
                    let namespaces: Api<v1::Namespace> = Api::all(alice.client.clone());
                    namespaces.delete(&bob.name, &DeleteParams::default()).await?;
                    eventually("the namespace has gone", async || match namespaces.get_opt(&bob.name).await {
                        Ok(None) => Ok(()),
                        other => Err(format!("{other:?}")),
                    })
                    .await?;
                    alice.secret("four").await?;
                    alice.catalog_owns(&["four", "two"]).await?;
                    let failed = controller.metric(r#"apolo_catalogs_total{outcome="failed"}"#).await?;
                    assert_eq!(failed, None);
                    anyhow::Ok(())
                })
                .await
        })
        .await
        .context("catalogs")
}
