//! The stamps of Pod templates while no webhook writes them: what the chart's policies let stand, each refusal beside a twin.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use anyhow::{Context, ensure};
use apolo_tests::{cluster::Cluster, namespace::Namespace, objects, presets};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{
    Client,
    api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
    core::{GroupVersionKind, TypeMeta},
};
use serde_json::{Value, json};

const ENV: &str = "secrets.apolo.us/env";
const BY: &str = "secrets.apolo.us/launched-by";
const GROUPS: &str = "secrets.apolo.us/launched-by-groups";
const SAYS: &str = "of a Pod template name another than you, who writes it; leave them out";

/// A template that asks for a secret, and was launched by somebody with these groups.
fn stamped(user: &str, groups: &str) -> Value {
    objects::template(&[(ENV, "A=secret:a"), (BY, user), (GROUPS, groups)])
}

/// Each kind of Kubernetes' own that has a Pod template, around this one.
fn own(name: &str, template: &Value) -> Vec<Value> {
    let labels = json!({"app": name});
    let mut controller = objects::replica_set(name, template);
    controller["apiVersion"] = json!("v1");
    controller["kind"] = json!("ReplicationController");
    controller["spec"]["selector"] = labels;
    vec![
        controller,
        objects::daemon_set(name, template),
        objects::deployment(name, template),
        objects::replica_set(name, template),
        objects::stateful_set(name, template),
        objects::cron_job(name, template),
        objects::job(name, template),
    ]
}

/// Kinds of whose Pods nobody can tell by their templates who launched them, so that no stamp on these is believed.
const NOT_BELIEVED: [&str; 4] = ["RayCluster", "RayJob", "TrainJob", "Workflow"];

/// Each version of each kind of other projects, around this template.
fn of_others(name: &str, template: &Value) -> Vec<Value> {
    let object = |(index, (version, kind, spec)): (usize, (&str, &str, Value))| json!({"apiVersion": version, "kind": kind, "metadata": {"name": format!("{name}-{index}")}, "spec": spec});
    presets::specs(template).into_iter().enumerate().map(object).collect()
}

async fn refused(ns: &Namespace, who: &Client, object: &Value) -> anyhow::Result<()> {
    let said = ns.create_as(who, object).await.err().with_context(|| format!("it was done: {object}"))?;
    let said = format!("{:#}", anyhow::Error::from(said));
    ensure!(said.contains(SAYS), "{}: {said}", object["kind"]);
    Ok(())
}

/// A cluster whose API server holds the policies, also on the kinds of others, and asks no webhook.
async fn without_hooks() -> anyhow::Result<Cluster> {
    let cluster = Cluster::start().await?;
    cluster.add_presets().await?;
    cluster.install_kinds().await?;
    Ok(cluster)
}

#[tokio::test]
async fn a_template_names_whoever_writes_it() -> anyhow::Result<()> {
    let cluster = without_hooks().await?;
    cluster
        .with_namespace(async |ns| {
            ns.person("bob").await?;
            let bob = ns.user("bob", &["dev"]).await?;
            let right = stamped("bob", "dev\nsystem:authenticated");
            for wrong in [
                stamped("alice", "dev"),
                stamped("bob", "dev\nadmins"),
                objects::template(&[(ENV, "A=secret:a"), (BY, "alice")]),
                // Also one that asks for nothing, yet.
                objects::template(&[(GROUPS, "admins")]),
            ] {
                for object in own("refused", &wrong) {
                    refused(&ns, &bob, &object).await?;
                }
            }
            for object in own("own", &right) {
                ns.create_as(&bob, &object).await.with_context(|| format!("the twin: {}", object["kind"]))?;
            }
            // Of other projects' kinds the administrator.
            for object in of_others("refused", &stamped("bob", "dev")) {
                if NOT_BELIEVED.iter().any(|kind| object["kind"] == *kind) {
                    ns.create(&object).await.with_context(|| format!("not believed: {}", object["kind"]))?;
                } else {
                    refused(&ns, &ns.client, &object).await?;
                }
            }
            for object in of_others("own", &stamped("admin", "system:authenticated")) {
                ns.create(&object).await.with_context(|| format!("the twin: {object}"))?;
            }
            // With a stamp at one of several places.
            let job = |(index, user): (usize, &str)| json!({"name": format!("job-{index}"), "template": {"spec": {"template": stamped(user, "")}}});
            let jobs = |users: [&str; 3]| users.into_iter().enumerate().map(job).collect::<Value>();
            let set = |users| json!({"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": "several"}, "spec": {"replicatedJobs": jobs(users)}});
            refused(&ns, &ns.client, &set(["admin", "admin", "bob"])).await?;
            ns.create(&set(["admin", "admin", "admin"])).await?;
            Ok(())
        })
        .await
}

/// An object as somebody changes it.
async fn change(ns: &Namespace, who: &Client, object: &Value, template: &Value) -> anyhow::Result<DynamicObject> {
    let types: TypeMeta = serde_json::from_value(object.clone())?;
    let kind = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
    let api = Api::<DynamicObject>::namespaced_with(who.clone(), &ns.name, &kind);
    let path = if types.kind == "CronJob" { "/spec/jobTemplate/spec/template" } else { "/spec/template" };
    let patch =
        path.trim_start_matches('/').split('/').rev().fold(template.clone(), |inner, field| json!({field: inner}));
    let name = object["metadata"]["name"].as_str().context("no name")?;
    Ok(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?)
}

#[tokio::test]
async fn the_stamp_of_another_stays_only_while_what_runs_is_the_same() -> anyhow::Result<()> {
    let cluster = without_hooks().await?;
    cluster
        .with_namespace(async |ns| {
            ns.person("bob").await?;
            let bob = ns.user("bob", &["dev"]).await?;
            let carol = ns.person("carol").await?;
            ns.person("system:serviceaccount:kueue-system:kueue-controller-manager").await?;
            let kueue = ns.user("system:serviceaccount:kueue-system:kueue-controller-manager", &[]).await?;
            let annotation = |name: &str, value: Value| json!({"metadata": {"annotations": {name: value}}});
            let image = json!({"spec": {"containers": [{"name": "main", "image": "registry.invalid/carols"}]}});
            // A Job's template cannot be changed.
            for object in own("bobs", &stamped("bob", "dev")).into_iter().filter(|object| object["kind"] != "Job") {
                ns.create_as(&bob, &object).await?;
                let kind = object["kind"].as_str().unwrap_or_default();
                for (what, changes) in [
                    ("what runs", image.clone()),
                    ("whose it is", annotation(BY, json!("alice"))),
                    ("in which groups he is", annotation(GROUPS, json!("admins"))),
                    ("what it asks for", annotation(ENV, json!("A=secret:b"))),
                    ("another annotation", annotation("example.com/a", json!("b"))),
                    ("a label", json!({"metadata": {"labels": {"more": "a"}}})),
                    ("the node", json!({"spec": {"nodeSelector": {"a": "b"}}})),
                ] {
                    let said = change(&ns, &carol, &object, &changes).await.err();
                    let said = said.with_context(|| format!("carol changed {what} of bob's {kind}"))?.to_string();
                    ensure!(said.contains(SAYS), "{kind}, {what}: {said}");
                }
                for (who, what, changes) in [
                    (
                        &carol,
                        "restarted",
                        annotation("kubectl.kubernetes.io/restartedAt", json!("2026-11-25T00:00:00Z")),
                    ),
                    (&kueue, "nodes", json!({"spec": {"nodeSelector": {"kueue": "b"}}})),
                    (&bob, "his own", image.clone()),
                    (
                        &carol,
                        "made hers",
                        json!({"metadata": {"annotations": {BY: "carol", GROUPS: null, ENV: "A=secret:c"}}}),
                    ),
                    (&carol, "without a stamp", annotation(BY, Value::Null)),
                ] {
                    change(&ns, who, &object, &changes).await.with_context(|| format!("{kind}, {what}"))?;
                }
            }
            Ok(())
        })
        .await
}

/// Its controller still writes the revisions of a StatefulSet that is being deleted, and they can be left behind for another.
#[tokio::test]
async fn in_what_is_being_deleted_a_stamp_stays_only_while_what_runs_is_the_same() -> anyhow::Result<()> {
    let cluster = without_hooks().await?;
    cluster
        .with_namespace(async |ns| {
            let bob = ns.person("bob").await?;
            let carol = ns.person("carol").await?;
            let image = |of: &str| json!({"spec": {"containers": [{"name": "main", "image": format!("registry.invalid/{of}")}]}});
            let mut set = objects::stateful_set("goes", &stamped("bob", ""));
            set["metadata"]["finalizers"] = json!(["example.com/stay"]);
            ns.create_as(&bob, &set).await?;
            ns.api::<StatefulSet>().delete("goes", &DeleteParams::background()).await?;
            let said = change(&ns, &carol, &set, &image("carols")).await.err();
            let said = format!("{:#}", said.context("carol changed what bob launched")?);
            ensure!(said.contains(SAYS), "{said}");
            change(&ns, &bob, &set, &image("bobs")).await.context("the twin")?;
            // With its last finalizer it goes, whatever else is written.
            let freed = Patch::Merge(json!({"metadata": {"finalizers": null}, "spec": {"template": image("carols")}}));
            Api::<StatefulSet>::namespaced(carol, &ns.name).patch("goes", &PatchParams::default(), &freed).await?;
            Ok(())
        })
        .await
}
