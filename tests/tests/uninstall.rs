//! `apolo-secrets uninstall`, with no more rights than it needs: it leaves nothing of ours but definitions and grants, holds nobody up,
//! and grants act again after a reinstall.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::process::Command;

use anyhow::{Context, ensure};
use apolo_tests::{
    certificates::Site,
    cluster::Cluster,
    command::{self, Finished},
    controller::Controller,
    delivered::{ENV, KEY},
    eventually::eventually,
    objects,
    webhook::{self, RELEASE},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::{Value, json};

/// Whom the uninstall runs as.
const ACCOUNT: &str = "uninstaller";

/// What it may do: exactly what its steps need.
fn rights() -> Value {
    let rule = |group: &str, resources: &[&str], names: &[&str], verbs: &[&str]| {
        let mut rule = json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
        if !names.is_empty() {
            rule["resourceNames"] = json!(names);
        }
        rule
    };
    let (admission, rbac) = ("admissionregistration.k8s.io", "rbac.authorization.k8s.io");
    let hooks = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
    let policies = ["validatingadmissionpolicies", "validatingadmissionpolicybindings"];
    let certificates = ["apolo-secrets-webhook-ca", "apolo-secrets-webhook-tls"];
    let everywhere = json!([
        rule(admission, &hooks[..1], &[], &["list"]),
        rule(admission, &hooks, &[RELEASE], &["delete"]),
        rule(admission, &policies, &[], &["list", "delete"]),
        rule("", &["pods"], &[], &["list", "patch"]),
        rule("", &["secrets"], &[], &["list", "delete"]),
        rule(rbac, &["roles", "rolebindings"], &[], &["list", "delete"]),
        rule("secrets.apolo.us", &["secretcatalogs"], &[], &["list", "delete"]),
    ]);
    let here = json!([
        rule("apps", &["deployments/scale"], &["apolo-secrets-controller"], &["patch"]),
        rule("coordination.k8s.io", &["leases"], &["apolo-secrets-controller"], &["get", "delete"]),
        rule("", &["secrets"], &certificates, &["get"]),
    ]);
    let api = format!("{rbac}/v1");
    let metadata = json!({"name": ACCOUNT, "namespace": RELEASE});
    let bound = |kind: &str| json!({"apiGroup": rbac, "kind": kind, "name": ACCOUNT});
    let subjects = json!([{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": RELEASE}]);
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": api, "kind": "ClusterRole", "metadata": metadata, "rules": everywhere},
        {"apiVersion": api, "kind": "ClusterRoleBinding", "metadata": metadata, "roleRef": bound("ClusterRole"), "subjects": subjects},
        {"apiVersion": api, "kind": "Role", "metadata": metadata, "rules": here},
        {"apiVersion": api, "kind": "RoleBinding", "metadata": metadata, "roleRef": bound("Role"), "subjects": subjects},
    ]})
}

/// A Deployment as the chart's of the controller, whose Pods nobody runs.
fn deployment() -> Value {
    let labels = json!({"app.kubernetes.io/instance": RELEASE, "app.kubernetes.io/component": "controller"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "apolo-secrets-controller", "namespace": RELEASE},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "controller", "image": "registry.invalid/apolo-secrets"}]},
        }},
    })
}

async fn apply(cluster: &Cluster, verb: &str, manifest: &str) -> anyhow::Result<()> {
    let done = command::run(cluster.kubectl([verb, "--filename=-"]), manifest).await?;
    ensure!(done.status.success(), "kubectl {verb}: {}", done.stderr);
    Ok(())
}

async fn uninstall(cluster: &Cluster, arguments: &[&str]) -> anyhow::Result<Finished> {
    let mut command = Command::new(webhook::binary()?);
    command.arg("uninstall").args(arguments).env_clear();
    command.env("KUBECONFIG", cluster.kubeconfig_of_account(RELEASE, ACCOUNT).await?);
    Ok(command::run(command, "").await?)
}

/// All objects of all kinds that name us, as `KIND NAMESPACE/NAME`, but for what tells of what was, and what is the test's.
async fn ours(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let kinds = command::run(cluster.kubectl(["api-resources", "--verbs=list", "--output=name"]), "").await?.stdout;
    let not = ["events", "events.events.k8s.io", "namespaces"];
    let kinds: Vec<&str> = kinds.lines().filter(|kind| !not.contains(kind)).collect();
    let listed = command::run(
        cluster.kubectl(["get", &kinds.join(","), "--all-namespaces", "--output=json", "--ignore-not-found"]),
        "",
    )
    .await?;
    ensure!(listed.status.success(), "{}", listed.stderr);
    let listed: Value = serde_json::from_str(&listed.stdout)?;
    let mut found = Vec::new();
    for object in listed["items"].as_array().context("no list")? {
        let mut object = object.clone();
        let metadata = object["metadata"].as_object_mut().context("no metadata")?;
        metadata.remove("managedFields");
        let (kind, name, namespace) =
            (object["kind"].clone(), object["metadata"]["name"].clone(), object["metadata"]["namespace"].clone());
        let text = [&object["metadata"], &object["spec"]["schedulingGates"], &name].map(ToString::to_string).join(" ");
        let names_us = ["apolo", "secretgrant"].iter().any(|word| text.contains(word));
        // Every namespace has these.
        let is_everywhere = namespace == RELEASE && (name == "default" || name == "kube-root-ca.crt");
        if names_us && !is_everywhere && name != ACCOUNT && namespace != "kube-system" {
            found.push(format!("{kind} {namespace}/{name}").replace('"', ""));
        }
    }
    found.sort();
    Ok(found)
}

/// Stops the controllers when their Deployment is scaled to zero, as kubelet does.
async fn play_kubelet(cluster: &Cluster, mut controller: Controller) -> anyhow::Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(cluster.admin().await?, RELEASE);
    eventually("it is scaled to zero", async || {
        let found = deployments.get("apolo-secrets-controller").await.map_err(|error| error.to_string())?;
        match found.spec.and_then(|spec| spec.replicas) {
            Some(0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    controller.runs().context("it ended by itself")?;
    controller.stop().await?;
    Ok(())
}

#[tokio::test]
async fn an_uninstall_leaves_nothing_but_definitions_and_grants_which_act_again_after_a_reinstall() -> anyhow::Result<()>
{
    let site = Site::start().await?;
    let controller = site.controller("90d").await?;
    site.is_ready().await?;
    apply(&site.cluster, "apply", &rights().to_string()).await?;
    apply(&site.cluster, "apply", &deployment().to_string()).await?;
    let control_plane = site.cluster.clone();
    control_plane
        .with_namespaces(2, async |namespaces| {
            let [alice, bob] = namespaces else { anyhow::bail!("not two namespaces") };
            alice.secret_of(KEY, &[(KEY, "s3cret")]).await?;
            alice.share("to-bob", &json!({"namespaces": [bob.name]})).await?;
            alice.stands("to-bob", "Granted").await?;
            let person = bob.person("bob").await?;
            let asks = |name: &str, key: &str| {
                objects::pod(name, &objects::template(&[(ENV, &format!("A=secret:/{}/{key}", alice.name))]))
            };
            bob.create_as(&person, &asks("has", KEY)).await?;
            bob.is_lifted("has").await?;
            bob.copies_hold(&["s3cret"]).await?;
            // One that waits for an entry that is not there.
            bob.create_as(&person, &asks("waits", &format!("{KEY}#other"))).await?;
            bob.is_told("waits", "SourceMissing").await?;

            let (finished, stopped) =
                tokio::join!(uninstall(&site.cluster, &[]), play_kubelet(&site.cluster, controller));
            stopped?;
            let finished = finished?;
            ensure!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
            println!("{}", finished.stdout);
            let told: Vec<&str> = finished.stdout.lines().collect();
            for line in [
                "webhook configurations: 2 deleted",
                "controllers: 0 left",
                "gates of waiting Pods: 1 lifted",
                "copies of shared secrets: 1 deleted",
                "RoleBindings of grants: 1 deleted",
                "Roles of grants: 1 deleted",
                "Secrets of certificates: 2 deleted",
                "leases: 1 deleted",
            ] {
                ensure!(told.contains(&line), "{line}: {told:?}");
            }
            bob.is_lifted("waits").await?;
            // The second time there is nothing to be done.
            let again = uninstall(&site.cluster, &[]).await?;
            ensure!(again.status.success(), "{}", again.stderr);
            for line in again.stdout.lines().filter(|line| line.contains(": ")) {
                ensure!(line.contains(": 0 "), "{line}");
            }

            // What was installed goes, as helm deletes it then; definitions stay.
            for pod in Api::<Pod>::namespaced(bob.client.clone(), &bob.name).list(&ListParams::default()).await? {
                bob.delete_pod(&pod.name_any()).await?;
            }
            let is_definition = |document: &&str| document.contains("\nkind: CustomResourceDefinition");
            let installed: Vec<&str> = site.chart().split("\n---\n").filter(|it| !is_definition(it)).collect();
            let delete = site.cluster.kubectl(["delete", "--filename=-", "--ignore-not-found"]);
            let deleted = command::run(delete, installed.join("\n---\n")).await?;
            ensure!(deleted.status.success(), "{}", deleted.stderr);
            apply(&site.cluster, "delete", &deployment().to_string()).await?;
            let left = ours(&site.cluster).await?;
            let expected = |it: &String| {
                it.starts_with("CustomResourceDefinition null/secret")
                    || it == "APIService null/v1alpha1.secrets.apolo.us"
                    || *it == format!("SecretGrant {}/to-bob", alice.name)
            };
            let others: Vec<&String> = left.iter().filter(|it| !expected(it)).collect();
            ensure!(others.is_empty() && left.len() == 4, "{left:?}");

            let site = Site::start_on(site.leave()).await?;
            let _controller = site.controller("90d").await?;
            site.is_ready().await?;
            alice.stands("to-bob", "Granted").await?;
            eventually("bob uses it again", async || bob.create_as(&person, &asks("again", KEY)).await.map(drop))
                .await?;
            bob.is_lifted("again").await?;
            bob.copies_hold(&["s3cret"]).await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_uninstall_beside_a_controller_that_does_not_leave_gives_up_in_time_and_says_why() -> anyhow::Result<()> {
    let site = Site::start().await?;
    let controller = site.controller("90d").await?;
    apply(&site.cluster, "apply", &rights().to_string()).await?;
    let finished = uninstall(&site.cluster, &["--timeout=6s"]).await?;
    ensure!(!finished.status.success(), "{}", finished.stdout);
    let why =
        format!("controllers: not done in time: {} holds the Lease apolo-secrets-controller", controller.identity);
    let said = finished.stdout.clone() + &finished.stderr;
    ensure!(said.contains(&why), "{said}");
    ensure!(finished.stdout.lines().next() == Some("webhook configurations: 2 deleted"), "{}", finished.stdout);
    Ok(())
}

/// Nothing tells which of two has made a Role, a copy or a catalog.
#[tokio::test]
async fn an_uninstall_beside_another_release_leaves_it_what_was_made_in_other_namespaces() -> anyhow::Result<()> {
    let site = Site::start().await?;
    let controller = site.controller("90d").await?;
    site.is_ready().await?;
    apply(&site.cluster, "apply", &rights().to_string()).await?;
    apply(&site.cluster, "apply", &deployment().to_string()).await?;
    let other = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "other", "labels": {"app.kubernetes.io/name": RELEASE, "app.kubernetes.io/instance": "other"}},
    });
    apply(&site.cluster, "apply", &other.to_string()).await?;
    let control_plane = site.cluster.clone();
    control_plane
        .with_namespace(async |alice| {
            alice.secret_of(KEY, &[(KEY, "s3cret")]).await?;
            alice.share("to-bob", &json!({"namespaces": ["bob"]})).await?;
            alice.stands("to-bob", "Granted").await?;
            alice.catalog_owns(&[KEY]).await?;
            let made = async || {
                let made = ["--namespace", &alice.name, "get", "roles,rolebindings,secretcatalogs", "--output=name"];
                Ok::<_, std::io::Error>(command::run(site.cluster.kubectl(made), "").await?.stdout)
            };
            let before = made().await?;
            ensure!(before.lines().count() == 3, "{before}");
            let (finished, stopped) =
                tokio::join!(uninstall(&site.cluster, &[]), play_kubelet(&site.cluster, controller));
            stopped?;
            let finished = finished?;
            ensure!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
            let told: Vec<&str> = finished.stdout.lines().collect();
            let left = "what was made in other namespaces is left to the release other, which is there";
            for line in ["webhook configurations: 2 deleted", left, "Secrets of certificates: 2 deleted"] {
                ensure!(told.contains(&line), "{line}: {told:?}");
            }
            assert_eq!(made().await?, before);
            Ok(())
        })
        .await
}
