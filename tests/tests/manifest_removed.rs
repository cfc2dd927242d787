//! `manifests/uninstall`, against what `manifests/install.yaml` has installed, on a control plane of its own. No Pod runs on that, so the
//! test says how the Pod of the Job ends; what it does when it runs is tested where Pods run.

use std::{process::Command, time::Instant};

use anyhow::{Context, ensure};
use apolo_tests::{
    cluster::Cluster,
    command::{self, Finished},
    eventually::{DEADLINE, eventually},
    generated::root,
    grants::grant,
    webhook::RELEASE,
};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Map, json};

/// Kinds of which we have objects, but for our own.
const KINDS: &str = "namespaces,serviceaccounts,deployments,services,poddisruptionbudgets,jobs,clusterroles,clusterrolebindings,roles,\
                     rolebindings,flowschemas,mutatingwebhookconfigurations,validatingwebhookconfigurations,\
                     validatingadmissionpolicies,validatingadmissionpolicybindings";

async fn kubectl(cluster: &Cluster, arguments: &[&str]) -> anyhow::Result<String> {
    let finished = command::run(cluster.kubectl(arguments), "").await?;
    ensure!(finished.status.success(), "kubectl {arguments:?}: {}", finished.stderr);
    Ok(finished.stdout)
}

/// All of the release, by its label, in all namespaces.
async fn ours(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let label = format!("--selector=app.kubernetes.io/instance={RELEASE}");
    let listed = kubectl(cluster, &["get", KINDS, "--all-namespaces", "--output=name", &label]).await?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// Runs the script; meanwhile the Pod of its Job ends as told, where there is one.
async fn uninstall(cluster: &Cluster, arguments: &[&str], phase: Option<&str>) -> anyhow::Result<Finished> {
    let mut script = Command::new(root().join("manifests/uninstall"));
    let others = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(cluster.bin()).chain(std::env::split_paths(&others)))?;
    script.args(arguments).envs(cluster.environment()).env("PATH", path);
    let pods: Api<Pod> = Api::namespaced(cluster.admin().await?, RELEASE);
    let end = async {
        let Some(phase) = phase else { return anyhow::Ok(()) };
        let labelled = ListParams::default().labels("app.kubernetes.io/component=uninstall");
        let is_running = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Pending");
        let pod = eventually("the Job has a Pod", async || match pods.list(&labelled).await {
            Ok(all) => all.items.into_iter().find(is_running).ok_or("none".to_owned()),
            Err(error) => Err(error.to_string()),
        })
        .await?;
        let ended = Patch::Merge(json!({"status": {"phase": phase}}));
        if phase == "Failed" {
            // It is not to be tried six times more.
            let once = Patch::Merge(json!({"spec": {"backoffLimit": 0}}));
            let jobs: Api<Job> = Api::namespaced(cluster.admin().await?, RELEASE);
            jobs.patch("apolo-secrets-uninstall", &PatchParams::default(), &once).await?;
        }
        pods.patch_status(&pod.name_any(), &PatchParams::default(), &ended).await?;
        Ok(())
    };
    let (finished, ended) = tokio::join!(command::run(script, ""), end);
    ended?;
    finished.context("running manifests/uninstall")
}

#[tokio::test]
async fn the_script_takes_away_what_the_manifest_has_installed() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let install = root().join("manifests/install.yaml");
    let install = install.to_str().context("a path in UTF-8")?;
    kubectl(&cluster, &["apply", "--filename", install]).await?;
    cluster.serves_grants().await?;
    ensure!(ours(&cluster).await?.len() > 50, "{:?}", ours(&cluster).await?);

    // Nobody serves the hooks, which would be asked about a grant.
    for hooks in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
        kubectl(&cluster, &["delete", hooks, RELEASE]).await?;
    }
    let made =
        command::run(cluster.kubectl(["create", "--filename=-"]), grant("kept", &Map::new()).to_string()).await?;
    ensure!(made.status.success(), "{}", made.stderr);

    // It waits no longer than the Job does, whose own deadline is five minutes.
    let all = ours(&cluster).await?;
    let began = Instant::now();
    let failed = uninstall(&cluster, &[], Some("Failed")).await?;
    ensure!(failed.status.code() == Some(1) && began.elapsed() < DEADLINE, "{}{}", failed.stdout, failed.stderr);
    for says in [
        "the Job has not ended well: Job has reached the specified backoff limit.",
        "But for what the Job has done, all is there still",
    ] {
        ensure!(failed.stderr.contains(says), "{says}: {}", failed.stderr);
    }
    assert_eq!(ours(&cluster).await?, all);

    let finished = uninstall(&cluster, &[], Some("Succeeded")).await?;
    ensure!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
    assert_eq!(ours(&cluster).await?, [""; 0]);
    let namespaces = kubectl(&cluster, &["get", "namespaces", "--output=name"]).await?;
    ensure!(!namespaces.contains(RELEASE), "{namespaces}");
    let kept = kubectl(&cluster, &["get", "secretgrants", "--output=name"]).await?;
    assert_eq!(kept, "secretgrant.secrets.apolo.us/kept\n");

    // Where nothing is left it does no harm, and takes the kinds when told so.
    let again = uninstall(&cluster, &["--with-definitions"], None).await?;
    ensure!(again.status.success(), "{}{}", again.stdout, again.stderr);
    let definitions = kubectl(&cluster, &["get", "customresourcedefinitions", "--output=name"]).await?;
    ensure!(!definitions.contains("secrets.apolo.us"), "{definitions}");
    Ok(())
}

#[tokio::test]
async fn the_script_knows_no_other_argument() -> anyhow::Result<()> {
    let mut script = Command::new(root().join("manifests/uninstall"));
    script.arg("--all");
    let finished = command::run(script, "").await?;
    assert_eq!(finished.status.code(), Some(2), "{}", finished.stderr);
    Ok(())
}
