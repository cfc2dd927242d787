//! Apolo Secrets taken away from a real node, by helm and by `manifests/uninstall`, each with its Job in a Pod. By itself, for nobody else can
//! use the node then.

use std::process::Command;

use anyhow::ensure;
use apolo_tests::{
    command,
    delivered::{KEY, Scene, with_scene},
    generated::root,
    node::containers::template,
    objects,
    webhook::RELEASE,
};

/// Kinds of which we have objects, but for the definitions, which stay.
const KINDS: &str = "serviceaccounts,deployments,services,poddisruptionbudgets,jobs,clusterroles,clusterrolebindings,roles,rolebindings,\
                     flowschemas,mutatingwebhookconfigurations,validatingwebhookconfigurations,validatingadmissionpolicies,\
                     validatingadmissionpolicybindings";

async fn succeeds(command: Command) -> anyhow::Result<String> {
    let told = format!("{command:?}");
    let finished = command::run(command, "").await?;
    ensure!(finished.status.success(), "{told}: {}{}", finished.stdout, finished.stderr);
    Ok(finished.stdout)
}

/// A Pod of bob's that runs with alice's password, and one that waits for an entry which is not there.
async fn one_runs_and_one_waits(scene: &Scene, [runs, waits]: [&str; 2]) -> anyhow::Result<()> {
    let reference = scene.reference(KEY);
    for (name, entry) in [(runs, ""), (waits, "#other")] {
        let item = format!("{reference}{entry}:/secrets/password");
        scene.create(&objects::pod(name, &template(&[("secrets.apolo.us/volume", &item)], "sleep 600"))).await?;
    }
    scene.bobs.runs(runs).await?;
    scene.bobs.is_told(waits, "SourceMissing").await?;
    Ok(scene.bobs.copies_hold(&["hunter2"]).await?)
}

/// Nothing of ours is there but definitions and the grant, and neither Pod is held up.
async fn nothing_is_left(scene: &Scene, [runs, waits]: [&str; 2]) -> anyhow::Result<()> {
    let of_release = format!("--selector=app.kubernetes.io/instance={RELEASE}");
    for (kinds, selector) in [
        (KINDS, of_release.as_str()),
        ("secrets", "--selector=secrets.apolo.us/delivery=true"),
        ("roles,rolebindings", "--selector=secrets.apolo.us/grant-uid"),
        ("secretcatalogs", "--selector="),
    ] {
        let listed = ["get", kinds, "--all-namespaces", "--output=name", selector];
        assert_eq!(succeeds(scene.alice.kubectl(listed)).await?, "");
    }
    let own = ["get", "secrets,leases", "--namespace", RELEASE, "--output=name"];
    assert_eq!(succeeds(scene.alice.kubectl(own)).await?, "");
    let grants =
        succeeds(scene.alice.kubectl(["get", "secretgrants", "--namespace", &scene.alice.name, "--output=name"]));
    assert_eq!(grants.await?, "secretgrant.secrets.apolo.us/password\n");
    scene.bobs.is_lifted(waits).await?;
    assert_eq!(scene.bobs.inside(runs, "cat /secrets/password").await?, "hunter2");
    for pod in [runs, waits] {
        scene.bobs.delete_pod(pod).await?;
    }
    Ok(())
}

#[tokio::test]
async fn helm_and_the_script_leave_nothing_but_definitions_and_grants_which_act_again() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let cluster = &scene.alice;
        scene.share("password", &[KEY]).await?;
        one_runs_and_one_waits(&scene, ["runs", "waits"]).await?;
        succeeds(cluster.helm(["uninstall", RELEASE, "--namespace", RELEASE, "--wait"])).await?;
        nothing_is_left(&scene, ["runs", "waits"]).await?;

        let install = root().join("manifests/install.yaml");
        succeeds(cluster.kubectl(["apply", "--filename", &install.display().to_string()])).await?;
        let rollout = ["rollout", "status", "deployment", "--namespace", RELEASE, "--timeout=60s"];
        succeeds(cluster.kubectl(rollout)).await?;
        one_runs_and_one_waits(&scene, ["runs-again", "waits-again"]).await?;
        let mut script = Command::new(root().join("manifests/uninstall"));
        script.envs(cluster.environment());
        succeeds(script).await?;
        nothing_is_left(&scene, ["runs-again", "waits-again"]).await?;
        let namespaces = succeeds(cluster.kubectl(["get", "namespaces", "--output=name"])).await?;
        ensure!(!namespaces.contains(&format!("/{RELEASE}\n")), "{namespaces}");
        Ok(())
    })
    .await
}
