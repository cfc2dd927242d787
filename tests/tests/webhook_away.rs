//! A cluster of its own, in which the webhook stops, comes back, and gets new certificates.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use anyhow::Context;
use apolo_tests::{
    cluster::Cluster,
    command,
    eventually::eventually,
    grants::grant,
    namespace::{self, Namespace},
    objects,
};
use k8s_openapi::api::core::v1::Event;
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    core::Status,
};
use serde_json::{Map, Value, json};

const ASKING: [(&str, &str); 1] = [("secrets.apolo.us/env", "A=secret:a")];

async fn refused(ns: &Namespace, object: &Value) -> anyhow::Result<Box<Status>> {
    match ns.create(object).await.err().context("allowed")? {
        namespace::Error::Create { source: kube::Error::Api(status), .. } => Ok(status),
        other => Err(other.into()),
    }
}

#[tokio::test]
async fn without_the_webhook_pods_that_ask_are_refused_and_all_others_are_made() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let mut webhook = cluster.install().await?;
    cluster
        .with_namespace(async |ns| {
            ns.create(&objects::pod("before", &objects::template(&ASKING))).await?;
            let mut waits = objects::job("waits", &objects::template(&ASKING));
            waits["spec"]["suspend"] = Value::Bool(true);
            ns.create(&waits).await?;
            webhook.stop().await?;

            let status = refused(&ns, &objects::pod("asks", &objects::template(&ASKING))).await?;
            assert!(status.message.contains("failed calling webhook \"pods.secrets.apolo.us\""), "{}", status.message);
            for number in 0..20 {
                let name = format!("other-{number}");
                ns.create(&objects::pod(&name, &objects::template(&[("example.com/note", "x")]))).await?;
            }
            ns.create(&objects::job("a-job", &objects::template(&[]))).await?;
            ns.pod_of("a-job").await?;
            // What was let in keeps its life: only its creation was ours to hold up.
            for change in [&["label", "pod", "before", "team=blue"][..], &["delete", "pod", "before", "--wait=false"]] {
                let arguments = [change, &["--namespace", &ns.name]].concat();
                let changed = command::run(ns.kubectl(arguments), "").await?;
                assert!(changed.status.success(), "{}", changed.stderr);
            }

            let status = refused(&ns, &objects::job("asks", &objects::template(&ASKING))).await?;
            assert!(status.message.contains("failed calling webhook \"jobs.batch."), "{}", status.message);

            // A Job that is there already may go on, and gets its Pod once the webhook is back.
            let go_on = ["patch", "job", "waits", "--patch", r#"{"spec":{"suspend":false}}"#, "--namespace", &ns.name];
            let changed = command::run(ns.kubectl(go_on), "").await?;
            assert!(changed.status.success(), "{}", changed.stderr);
            webhook = cluster.install().await?;
            ns.pod_of("waits").await?;
            anyhow::Ok(())
        })
        .await
}

#[tokio::test]
async fn without_the_webhook_no_grant_is_made_or_changed_and_each_can_go() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let mut webhook = cluster.install().await?;
    cluster.serves_grants().await?;
    cluster
        .with_namespace(async |ns| {
            ns.share("before", &json!({})).await?;
            let held = json!({"metadata": {"finalizers": ["example.com/held"]}});
            ns.grants().patch("before", &PatchParams::default(), &Patch::Merge(held)).await?;
            webhook.stop().await?;

            let says = "failed calling webhook \"grants.secrets.apolo.us\"";
            let status = refused(&ns, &grant("another", &Map::new())).await?;
            assert!(status.message.contains(says), "{}", status.message);
            let narrowed = ns.change("before", &json!({"access": "Use"})).await.err().context("narrowed")?;
            assert!(narrowed.to_string().contains(says), "{narrowed}");

            // What gives nobody anything is not held up, nor what takes away.
            for patch in [json!({"metadata": {"labels": {"team": "blue"}}}), json!({"metadata": {"finalizers": null}})]
            {
                ns.grants().patch("before", &PatchParams::default(), &Patch::Merge(patch)).await?;
            }
            ns.grants().delete("before", &DeleteParams::default()).await?;
            assert!(ns.grants().get_opt("before").await?.is_none());
            anyhow::Ok(())
        })
        .await
}

#[tokio::test]
async fn a_job_from_before_the_installation_has_its_mistake_in_an_event_and_no_value() -> anyhow::Result<()> {
    const PLANTED: &str = "hunter2planted";
    let cluster = Cluster::start().await?;
    cluster
        .with_namespace(async |ns| {
            let template = objects::template(&[("secrets.apolo.us/env", &format!("PASSWORD={PLANTED}"))]);
            let mut job = objects::job("a-job", &template);
            job["spec"]["suspend"] = Value::Bool(true);
            ns.create(&job).await?;
            let _webhook = cluster.install().await?;
            let go_on = ["patch", "job", "a-job", "--patch", r#"{"spec":{"suspend":false}}"#, "--namespace", &ns.name];
            let changed = command::run(ns.kubectl(go_on), "").await?;
            assert!(changed.status.success(), "{}", changed.stderr);
            let events: Api<Event> = ns.api();
            let said = eventually("the Job's Event says so", async || {
                let failed = ListParams::default().fields("reason=FailedCreate");
                let events = events.list(&failed).await.map_err(|error| error.to_string())?;
                events.items.into_iter().find_map(|event| event.message).ok_or_else(|| "no Event".to_owned())
            })
            .await?;
            assert!(said.contains("secrets.apolo.us/env, item 1 (\"PASSWORD\"): the value must be"), "{said}");
            assert!(!said.contains(PLANTED), "{said}");
            anyhow::Ok(())
        })
        .await
}

#[tokio::test]
async fn a_pod_that_the_mutating_hook_did_not_see_is_refused_and_a_new_certificate_is_used() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let _webhook = cluster.install().await?;
    cluster
        .with_namespace(async |ns| {
            let end = async || {
                let metrics = cluster.webhook_metrics().await.map_err(|error| error.to_string())?;
                let end =
                    metrics.lines().find(|line| line.starts_with("apolo_tls_certificate_not_after_timestamp_seconds"));
                end.map(str::to_owned).ok_or_else(|| "no such metric".to_owned())
            };
            let before = end().await.map_err(anyhow::Error::msg)?;
            cluster.write_webhook_certificate(Duration::from_secs(3600))?;
            eventually("the webhook has its new certificate", async || {
                let after = end().await?;
                if after == before { Err(after) } else { Ok(()) }
            })
            .await?;
            ns.create(&objects::pod("renewed", &objects::template(&ASKING))).await?;

            let delete = ["delete", "mutatingwebhookconfiguration", "apolo-secrets"];
            let deleted = command::run(ns.kubectl(delete), "").await?;
            assert!(deleted.status.success(), "{}", deleted.stderr);
            let message = eventually("the API server asks the validating hook only", async || {
                // Without a stamp the policy would be quicker.
                let stamped = [ASKING[0], ("secrets.apolo.us/launched-by", "admin")];
                let pod = objects::pod("unseen", &objects::template(&stamped));
                match refused(&ns, &pod).await {
                    Ok(status) => Ok(status.message.clone()),
                    Err(error) => {
                        let gone = command::run(
                            ns.kubectl(["delete", "pod", "unseen", "--force", "--namespace", &ns.name]),
                            "",
                        );
                        let _ = gone.await;
                        Err(error.to_string())
                    }
                }
            })
            .await?;
            assert!(message.contains("the Pod lacks"), "{message}");
            assert!(message.contains("\"/spec/containers/0/env\""), "{message}");
            anyhow::Ok(())
        })
        .await
}
