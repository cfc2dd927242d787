//! `apolo secret rm`: asked where somebody relies on it, and said who keeps access.

use anyhow::Context;
use apolo_tests::{
    command,
    namespace::{Namespace, with_namespace},
    objects,
    transcript::Transcript,
};
use serde_json::{Value, json};

use super::state::{allow, secrets};

/// A Pod that uses a Secret in this field of its first container.
fn pod(name: &str, fields: &Value) -> Value {
    let mut pod = objects::pod(name, &objects::template(&[]));
    for (field, value) in fields.as_object().into_iter().flatten() {
        pod["spec"][field] = value.clone();
    }
    pod
}

async fn scene(ns: &Namespace) -> anyhow::Result<()> {
    ns.serves_grants().await?;
    for key in ["aws-key", "db", "free", "wandb-token"] {
        ns.create(
            &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": key}, "stringData": {key: "planted"}}),
        )
        .await?;
    }
    let bob = json!([{"kind": "User", "name": "bob"}]);
    let others = json!([{"kind": "Group", "name": "ml team"}, {"kind": "ServiceAccount", "name": "trainer", "namespace": "jobs"}]);
    ns.share("aws-key-bob", &json!({"secrets": ["aws-key"], "subjects": bob})).await?;
    ns.share("team", &json!({"secrets": ["aws-key", "db"], "access": "Use", "subjects": others})).await?;
    ns.share("old", &json!({"secrets": ["free"], "subjects": bob, "expiresAt": "2020-12-31T23:59:59Z"})).await?;
    ns.stands("aws-key-bob", "Granted").await?;
    let env = json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "wandb-token", "key": "wandb-token", "optional": true}}}]);
    let debug = json!([{"name": "setup", "image": "registry.invalid/setup", "env": env}]);
    ns.create(&pod("train-1", &json!({"initContainers": debug}))).await?;
    let volume = json!([{"name": "v", "projected": {"sources": [{"secret": {"name": "db"}}]}}]);
    ns.create(&pod("train-2", &json!({"volumes": volume}))).await?;
    Ok(())
}

#[tokio::test]
async fn on_a_terminal_it_asks_where_somebody_relies_on_it() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        scene(&ns).await?;
        let alice = ns.with_kubeconfig("alice").await?;
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        seen.at_terminal(&alice, &["secret", "rm", "aws-key"], &[("[y/N] ", "n\n")]).await?;
        seen.at_terminal(&alice, &["secret", "rm", "aws-key"], &[("[y/N] ", "\n")]).await?;
        seen.at_terminal(&alice, &["secret", "rm", "aws-key"], &[("[y/N] ", "\u{3}")]).await?;
        seen.at_terminal(&alice, &["secret", "rm", "aws-key", "--no-input"], &[]).await?;
        assert_eq!(secrets(&ns).await?.len(), 4);
        seen.at_terminal(&alice, &["secret", "rm", "db", "wandb-token"], &[("[y/N] ", "no\n"), ("[y/N] ", "y\n")])
            .await?;
        seen.at_terminal(&alice, &["secret", "rm", "aws-key"], &[("[y/N] ", "yes\n")]).await?;
        seen.at_terminal(&alice, &["secret", "rm", "db", "--yes"], &[]).await?;
        seen.at_terminal(&alice, &["secret", "rm", "free"], &[]).await?;
        assert_eq!(secrets(&ns).await?.len(), 0);
        seen.check("cli-secret-rm-terminal.txt")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn elsewhere_it_asks_nothing_and_says_who_keeps_access() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        scene(&ns).await?;
        ns.create(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "three"},
            "stringData": {"a": "planted", "b": "planted", "c": "planted"}}))
            .await?;
        let alice = ns.with_kubeconfig("alice").await?;
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        for arguments in [
            ["secret", "rm", "aws-key", "--dry-run=client"].as_slice(),
            &["secret", "rm", "aws-key", "--dry-run=server"],
            &["secret", "rm", "aws-key", "--quiet"],
            &["secret", "rm", "aws-key", "--ignore-not-found"],
            &["secret", "rm", "none", "db", "db", "secret:nothing", "free"],
            &["secret", "rm", "wandb-token", "-o", "name"],
            &["secret", "rm", "three"],
            &["secret", "ls"],
        ] {
            seen.run(&alice, arguments, "").await?;
        }
        for key in ["aws-key", "db"] {
            alice.run(&["secret", "add", key, "next"], "").await?;
        }
        seen.run(&alice, &["secret", "rm", "aws-key", "-o", "yaml"], "").await?;
        seen.run(&alice, &["secret", "rm", "db", "-o", "wide"], "").await?;
        seen.check("cli-secret-rm.txt")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_command_that_is_told_takes_the_access_away_whatever_the_controller_writes_meanwhile() -> anyhow::Result<()>
{
    with_namespace(async |ns| {
        scene(&ns).await?;
        let alice = ns.with_kubeconfig("alice").await?;
        let home = tempfile::tempdir()?;
        for round in 0..5 {
            let removed = alice.run(&["secret", "rm", "aws-key"], "").await?;
            let told = "bob keeps access to the next secret of this name: ";
            let line = removed.stderr.lines().find_map(|line| line.strip_prefix(told)).context("no bob")?;
            let revoked = command::run(alice.shell(line, home.path())?, "").await?;
            assert!(revoked.status.success(), "round {round}: {line}: {}", revoked.stderr);
            alice.run(&["secret", "add", "aws-key", "next"], "").await?;
            let again = alice.run(&["secret", "rm", "aws-key"], "").await?;
            assert!(!again.stderr.contains("bob") && again.stderr.contains("ml team"), "{}", again.stderr);
            alice.run(&["secret", "add", "aws-key", "next"], "").await?;
            let bob = json!({"secrets": ["aws-key"], "subjects": [{"kind": "User", "name": "bob"}]});
            ns.share("aws-key-bob", &bob).await?;
            ns.stands("aws-key-bob", "Granted").await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn where_grants_or_pods_may_not_be_listed_that_is_said() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        scene(&ns).await?;
        allow(&ns, "carol", &["get", "delete"], &[]).await?;
        let carol = ns.stranger("carol")?;
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        seen.run(&carol, &["secret", "rm", "aws-key"], "").await?;
        seen.at_terminal(&carol, &["secret", "rm", "db"], &[]).await?;
        seen.check("cli-secret-rm-unknown.txt")?;
        assert_eq!(secrets(&ns).await?.len(), 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn one_that_waits_for_its_finalizers_is_said_to_wait() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.create(&json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"held": "planted"},
            "metadata": {"name": "held", "finalizers": ["example.com/held"]}}))
            .await?;
        let alice = ns.with_kubeconfig("alice").await?;
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        seen.run(&alice, &["secret", "rm", "held"], "").await?;
        seen.run(&alice, &["secret", "add", "held", "again"], "").await?;
        seen.check("cli-secret-rm-held.txt")?;
        let patch = json!({"metadata": {"finalizers": null}});
        ns.api::<k8s_openapi::api::core::v1::Secret>()
            .patch("held", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(patch))
            .await?;
        Ok(())
    })
    .await
}
