//! The controller as a process: away, one of two, and before a grant that it cannot read. Each test has a control plane of its own.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use anyhow::{Context, ensure};
use apolo_tests::{
    cluster::Cluster, eventually::eventually, grants::grant, namespace::Namespace, proxy::Proxy, sharing::in_seconds,
    webhook::RELEASE,
};
use k8s_openapi::{
    api::{coordination::v1::Lease, events::v1::Event, rbac::v1::RoleBinding},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PropagationPolicy},
};
use serde_json::{Map, json};

#[tokio::test]
async fn what_happened_while_the_controller_was_away_is_made_good() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install_kinds().await?;
    let mut controller = cluster.start_controller("controller", &[]).await?;
    cluster
        .with_namespace(async |ns| {
            ns.secret("secret-password").await?;
            for (name, fields) in [
                ("deleted", json!({})),
                ("orphaned", json!({})),
                ("expired", json!({"expiresAt": in_seconds(6)})),
                ("narrowed", json!({"access": "Manage"})),
                ("kept", json!({})),
            ] {
                ns.share(name, &fields).await?;
                ns.stands(name, "Granted").await?;
            }
            controller.stop().await?;
            for (name, policy) in [("deleted", PropagationPolicy::Background), ("orphaned", PropagationPolicy::Orphan)]
            {
                let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
                ns.grants().delete(name, &params).await?;
            }
            ns.change("narrowed", &json!({"access": "Use"})).await?;
            let bindings = ns.api::<RoleBinding>();
            let kept = bindings.get("secretgrant:kept").await?.resource_version();
            bindings.get("secretgrant:expired").await?;
            eventually("the grant is orphaned", async || match ns.grants().get_opt("orphaned").await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await?;
            bindings.get("secretgrant:orphaned").await?;

            // The lease was given back, so another need not wait until it ends; this one allows less.
            controller = cluster.start_controller("controller", &["--max-access=Write"]).await?;
            for name in ["deleted", "orphaned", "expired"] {
                ns.is_withdrawn(name).await?;
            }
            ns.stands("expired", "Expired").await?;
            ns.stands("narrowed", "Granted").await?;
            assert_eq!(bindings.get("secretgrant:kept").await?.resource_version(), kept);
            ns.change("narrowed", &json!({"access": "Manage"})).await?;
            let status = ns.stands("narrowed", "AccessNotAllowed").await?;
            ensure!(status["conditions"][0]["message"].as_str().is_some_and(|it| it.ends_with("at most Write")));
            ns.is_withdrawn("narrowed").await?;

            // Nothing is written where nothing has changed.
            ns.catalog("it is shared", |status| status["own"][0]["sharedWith"] == 1).await?;
            controller.stop().await?;
            controller = cluster.start_controller("controller", &["--max-access=Write"]).await?;
            controller.leads().await?;
            eventually("all grants are looked at", async || {
                match controller.metric(r#"apolo_reconciles_total{outcome="settled"}"#).await {
                    Ok(Some(3.0..)) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await?;
            ensure!(controller.writes().await? == 0.0, "it wrote something");
            Ok(())
        })
        .await
}

/// A grant of the secret to carol that came from `parent`, by bob.
async fn derive(ns: &Namespace, name: &str, parent: &str) -> anyhow::Result<()> {
    let uid = ns.grants().get(parent).await?.uid().context("no uid")?;
    let mut child = grant(name, &Map::new());
    child["metadata"]["annotations"] = json!({"secrets.apolo.us/granted-via": format!("{uid} bob")});
    ns.create(&child).await?;
    Ok(())
}

#[tokio::test]
async fn what_came_from_a_grant_of_more_than_is_allowed_now_acts_again_when_it_is_allowed() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install_kinds().await?;
    let mut controller = cluster.start_controller("controller", &[]).await?;
    cluster
        .with_namespace(async |ns| {
            ns.secret("secret-password").await?;
            ns.share("parent", &json!({"access": "Manage"})).await?;
            derive(&ns, "child", "parent").await?;
            ns.stands("child", "Granted").await?;
            controller.stop().await?;
            controller = cluster.start_controller("controller", &["--max-access=Write"]).await?;
            for name in ["parent", "child"] {
                ns.stands(name, "AccessNotAllowed").await?;
                ns.is_withdrawn(name).await?;
            }
            controller.stop().await?;
            controller = cluster.start_controller("controller", &[]).await?;
            ns.stands("child", "Granted").await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn one_of_two_writes_and_the_other_takes_over() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install_kinds().await?;
    let mut first = cluster.start_controller("controller", &[]).await?;
    first.leads().await?;
    let second = cluster.start_controller("second-controller", &[]).await?;
    cluster
        .with_namespace(async |ns| {
            ns.secret("secret-password").await?;
            ns.share("one", &json!({})).await?;
            ns.stands("one", "Granted").await?;
            ensure!(second.writes().await? == 0.0, "the second wrote");
            ensure!(first.writes_of_grants().await? == 3.0, "it wrote again because of its own writes");
            ns.catalog("it is shared", |status| status["own"][0]["sharedWith"] == 1).await?;

            // Stopped, it does not know that its lease ends.
            let written = first.writes().await?;
            first.signal("STOP")?;
            ns.share("two", &json!({})).await?;
            ns.stands("two", "Granted").await?;
            second.leads().await?;
            first.signal("CONT")?;
            ns.share("three", &json!({})).await?;
            ns.stands("three", "Granted").await?;
            eventually("the first has heard of it", async || match first.metric("apolo_leading").await {
                Ok(Some(0.0)) => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await?;
            ensure!(first.writes().await? == written, "the first wrote after its lease");
            first.stop().await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_lease_that_somebody_deletes_is_still_its_holders_for_as_long_as_it_would_have_lasted() -> anyhow::Result<()>
{
    let cluster = Cluster::start().await?;
    cluster.install_kinds().await?;
    let first = cluster.start_controller("controller", &[]).await?;
    first.leads().await?;
    let proxy = Proxy::start(&cluster).await?;
    let second = cluster.start_controller_behind(&proxy, "second-controller", &[]).await?;
    eventually("the second has seen the lease", async || {
        let tries = proxy.tries();
        let looks = tries.iter().filter(|(what, _)| what.starts_with("GET ") && what.contains("/leases/"));
        if looks.map(|(_, count)| count).sum::<usize>() > 1 { Ok(()) } else { Err(format!("{tries:?}")) }
    })
    .await?;
    let leases: Api<Lease> = Api::namespaced(cluster.admin().await?, RELEASE);
    let name = "apolo-secrets-controller";
    let holder = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
    let before = holder(&leases.get(name).await?);
    leases.delete(name, &DeleteParams::default()).await?;
    let after = eventually("there is a lease again", async || match leases.get_opt(name).await {
        Ok(Some(lease)) => Ok(holder(&lease)),
        other => Err(format!("{other:?}")),
    })
    .await?;
    ensure!(after == before, "{after:?} took it from {before:?}");
    first.leads().await?;

    // Of who does not come again it is taken all the same.
    first.signal("STOP")?;
    leases.delete(name, &DeleteParams::default()).await?;
    second.leads().await?;
    Ok(())
}

#[tokio::test]
async fn a_grant_that_cannot_be_read_is_named_and_stops_no_other() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install_kinds().await?;
    let controller = cluster.start_controller("controller", &[]).await?;
    cluster
        .with_namespace(async |ns| {
            ns.secret("secret-password").await?;
            ns.share("bad", &json!({"access": "Manage"})).await?;
            ns.stands("bad", "Granted").await?;
            derive(&ns, "child", "bad").await?;
            ns.stands("child", "Granted").await?;
            // A later version of ours may have known more.
            let definitions: Api<CustomResourceDefinition> = Api::all(ns.client.clone());
            let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/access/enum/-";
            let operations = serde_json::from_value(json!([{"op": "add", "path": path, "value": "Own"}]))?;
            let name = "secretgrants.secrets.apolo.us";
            definitions.patch::<()>(name, &PatchParams::default(), &Patch::Json(operations)).await?;
            eventually("the API server takes it", async || {
                ns.change("bad", &json!({"access": "Own"})).await.map_err(|error| error.to_string())
            })
            .await?;
            ns.is_withdrawn("bad").await?;
            ns.share("good", &json!({})).await?;
            ns.stands("good", "Granted").await?;
            let events: Api<Event> = ns.api();
            eventually("an Event about the bad one", async || {
                let all = events.list(&Default::default()).await.map_err(|error| error.to_string())?;
                let is_told = |event: &Event| {
                    let about = event.regarding.as_ref().and_then(|it| it.name.as_deref());
                    about == Some("bad") && event.reason.as_deref() == Some("Unreadable")
                };
                if all.iter().any(is_told) { Ok(()) } else { Err(String::from("none")) }
            })
            .await?;
            eventually("the metric", async || match controller.metric("apolo_unreadable_grants").await {
                Ok(Some(1.0)) => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await?;

            ns.stands("child", "Withdrawn").await?;
            ns.is_withdrawn("child").await?;
            ns.change("bad", &json!({"access": "Manage"})).await?;
            ns.stands("child", "Granted").await?;
            Ok(())
        })
        .await
}
