//! `apolo check` where all is well, where nothing is installed, and for people who may see little.

use anyhow::ensure;
use apolo_tests::{cluster::Cluster, namespace::with_namespace, person::Person, transcript::Transcript};

#[tokio::test]
async fn a_launcher_is_told_what_he_may_see_and_that_his_pods_get_their_secrets() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let stranger = ns.stranger("mallory")?;
        let mut seen = Transcript::new().naming(&ns.name, "alice").naming(version(&alice).await?, "VERSION");
        let checked = seen.run(&alice, &["check"], "").await?;
        ensure!(checked.status.success(), "{}{}", checked.stdout, checked.stderr);
        seen.run(&alice, &["check", "-o", "json"], "").await?;
        seen.run(&alice, &["check", "--pre"], "").await?;
        seen.run(&stranger, &["check"], "").await?;
        Ok(seen.check("cli-check.txt")?)
    })
    .await
}

#[tokio::test]
async fn where_nothing_is_installed_it_says_how_to_install_it() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster
        .with_namespace(async |ns| {
            let admin = ns.stranger("root")?.with_kubeconfig(ns.environment().into_iter().next().map(|(_, file)| file));
            let mut seen = Transcript::new().naming(&ns.name, "alice").naming(version(&admin).await?, "VERSION");
            let checked = seen.run(&admin, &["check"], "").await?;
            ensure!(checked.status.code() == Some(1), "{}", checked.stdout);
            let before = seen.run(&admin, &["check", "--pre"], "").await?;
            ensure!(before.status.success(), "{}", before.stdout);
            Ok(seen.check("cli-check-before.txt")?)
        })
        .await
}

/// Of the API server, as it is told.
async fn version(person: &Person) -> anyhow::Result<String> {
    let told = person.run(&["check", "--pre"], "").await?.stdout;
    let line = told.lines().next().unwrap_or_default();
    Ok(line.rsplit(' ').next().unwrap_or_default().to_owned())
}
