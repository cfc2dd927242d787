//! `apolo` as a plugin of the real kubectl, and what is offered where somebody types: by kubectl, and by the scripts for shells.

#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context, ensure};
use apolo_tests::{
    binaries,
    command::{self, Finished},
    namespace::{Namespace, with_namespace},
    person::Person,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with the command under the names of a plugin, as somebody installs it.
fn installed() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for name in ["apolo", "kubectl-apolo", "kubectl_complete-apolo"] {
        symlink(binaries::built("apolo")?, folder.path().join(name))?;
    }
    Ok(folder)
}

async fn run(person: &Person, folder: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<Finished> {
    let path = std::env::split_paths(&person.path()?).collect::<Vec<_>>();
    let path = std::env::join_paths([folder.to_owned()].into_iter().chain(path))?;
    let program =
        std::env::split_paths(&path).map(|it| it.join(program)).find(|it| it.exists()).context("not there")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", path).env("KUBECONFIG", &person.kubeconfig);
    command.env("HOME", folder);
    Ok(command::run(command, "").await?)
}

/// Alice, with secrets, a grant, and something that is shared with her.
async fn alice(ns: &Namespace) -> anyhow::Result<Person> {
    let alice = ns.with_kubeconfig("alice").await?;
    for key in ["aws-key", "aws-token", "db"] {
        let added = alice.run(&["secret", "add", key, "value"], "").await?;
        ensure!(added.status.success(), "{}", added.stderr);
    }
    ns.create(&json!({
        "apiVersion": "secrets.apolo.us/v1alpha1", "kind": "SecretGrant", "metadata": {"name": "to-team"},
        "spec": {"secrets": ["db"], "subjects": [{"kind": "Group", "name": "ml-team"}]},
    }))
    .await?;
    Ok(alice)
}

#[tokio::test]
async fn kubectl_runs_it_and_what_it_says_is_to_be_typed_for_kubectl() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let (alice, folder) = (alice(&ns).await?, installed()?);
        let listed =
            run(&alice, folder.path(), "kubectl", &["apolo", "secret", "ls", "-o", "name", "-n", &ns.name]).await?;
        ensure!(listed.stdout == "aws-key\naws-token\ndb\n", "{}{}", listed.stdout, listed.stderr);
        let help = run(&alice, folder.path(), "kubectl", &["apolo", "secret", "--help"]).await?;
        ensure!(help.stdout.contains("Usage: kubectl apolo secret"), "{}", help.stdout);
        ensure!(help.stdout.contains("\n  kubectl apolo secret ls"), "{}", help.stdout);
        ensure!(!help.stdout.contains("\n  apolo "), "{}", help.stdout);
        let wrong =
            run(&alice, folder.path(), "kubectl", &["apolo", "secret", "get", "nothing", "-n", &ns.name]).await?;
        ensure!(wrong.status.code() == Some(3), "{wrong:?}");
        ensure!(wrong.stderr.contains("hint: kubectl apolo "), "{}", wrong.stderr);
        // kubectl hands on no flags that stand before the name of a plugin.
        let before = run(&alice, folder.path(), "kubectl", &["-n", &ns.name, "apolo", "secret", "ls"]).await?;
        ensure!(!before.status.success() && before.stderr.contains("plugin"), "{}", before.stderr);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_the_cluster_knows_is_offered_where_somebody_types() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let (alice, folder) = (alice(&ns).await?, installed()?);
        let namespace = format!("--namespace={}", ns.name);
        for (words, offered) in [
            (vec!["secret", "rm", &namespace, "aws"], "aws-key\naws-token\n"),
            (vec!["share", &namespace, "secret:d"], "secret:db\n"),
            (vec!["share", &namespace, "secret:db", "group:"], "group:ml-team\n"),
            (vec!["secret", "l"], "list\n"),
            (vec!["secret", "rm", &namespace, ""], "aws-key\naws-token\ndb\n"),
            (vec!["secret", "rm", "--ig"], "--ignore-not-found\n"),
            (vec!["run", &namespace, "--env", "A=secret:d"], "A=secret:db\n"),
            (vec!["secret", "rm", "--namespace=nowhere", "aws"], ""),
        ] {
            let by_kubectl = [&["__complete", "apolo"], words.as_slice()].concat();
            let told = run(&alice, folder.path(), "kubectl", &by_kubectl).await?.stdout;
            let names = |text: &str| text.lines().filter(|line| !line.starts_with(':')).map(name).collect::<String>();
            ensure!(names(&told) == offered, "kubectl: {words:?}: {told:?}");
        }
        for shell in ["bash", "zsh", "fish"] {
            let script = run(&alice, folder.path(), "apolo", &["completion", shell]).await?.stdout;
            ensure!(script.contains("APOLO_COMPLETE"), "{shell}: {script}");
        }
        let line = format!("apolo secret rm {namespace} aws");
        let typed = format!(
            "source <(apolo completion bash); COMP_WORDS=({line}); COMP_CWORD=4; COMP_TYPE=9; \
             _clap_complete_apolo apolo aws {namespace}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let offered = run(&alice, folder.path(), "bash", &["-c", &typed]).await?;
        let offered: Vec<&str> = offered.stdout.split_whitespace().collect();
        ensure!(offered == ["aws-key", "aws-token"], "bash: {offered:?}");
        Ok(())
    })
    .await
}

/// What is offered, without what it is.
fn name(line: &str) -> String {
    format!("{}\n", line.split('\t').next().unwrap_or_default())
}

#[tokio::test]
async fn there_is_a_page_of_the_manual_for_each_command() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut man = binaries::apolo(&["man"])?;
    man.arg(folder.path());
    ensure!(command::run(man, "").await?.status.success());
    let page = fs::read_to_string(folder.path().join("apolo-secret-add.1"))?;
    ensure!(page.contains(".SH NAME") && page.contains("apolo secret add"), "{page}");
    Ok(())
}

#[test]
fn the_manifest_for_krew_installs_the_plugin_under_its_name() -> anyhow::Result<()> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../.krew.yaml"))?;
    // What the release fills in.
    let text = text.replace("{{ .TagName }}", "v0.1.0");
    let filled = |line: &str| match line.trim_start().strip_prefix("{{addURIAndSha") {
        Some(_) => "      uri: https://example.org\n      sha256: \"0\"\n".to_owned(),
        None => format!("{line}\n"),
    };
    let manifest: Value = serde_saphyr::from_str(&text.lines().map(filled).collect::<String>())?;
    ensure!(manifest["kind"] == "Plugin" && manifest["metadata"]["name"] == "apolo", "{manifest}");
    let platforms = manifest["spec"]["platforms"].as_array().context("no platforms")?;
    ensure!(platforms.len() == 3);
    for platform in platforms {
        ensure!(platform["bin"] == "kubectl-apolo", "{platform}");
        let files = platform["files"].as_array().context("no files")?;
        ensure!(files.iter().any(|file| file["from"] == "apolo" && file["to"] == "kubectl-apolo"), "{platform}");
    }
    Ok(())
}
