//! A cluster of its own, in which nobody sees to what a Job asks for.

use anyhow::ensure;
use apolo_tests::{cluster::Cluster, transcript::Transcript};
use k8s_openapi::api::batch::v1::Job;
use kube::api::ListParams;

#[tokio::test]
async fn no_job_runs_without_its_secrets() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster
        .with_namespace(async |ns| {
            let alice = ns.with_kubeconfig("alice").await?;
            let mut seen = Transcript::new().naming(&ns.name, "alice");
            let asking: [&[&str]; 3] = [
                &["run", "--env", "A=secret:db", "ubuntu:24.04"],
                &["run", "--volume", "secret:/bob/db:/db", "--detach", "--name", "asks", "ubuntu:24.04"],
                &["run", "--env", "A=secret:db", "--dry-run=server", "ubuntu:24.04"],
            ];
            for words in asking {
                let finished = seen.run(&alice, words, "").await?;
                ensure!(finished.status.code() == Some(125), "{words:?}: {}{}", finished.stdout, finished.stderr);
            }
            cluster.install_kinds().await?;
            let finished = seen.run(&alice, asking[1], "").await?;
            ensure!(finished.status.code() == Some(125), "{}{}", finished.stdout, finished.stderr);
            ensure!(ns.api::<Job>().list(&ListParams::default()).await?.items.is_empty());
            let finished = seen.run(&alice, &["run", "--detach", "--name", "plain", "ubuntu:24.04"], "").await?;
            ensure!(finished.status.success(), "{}", finished.stderr);
            Ok(seen.check("cli-run-without.txt")?)
        })
        .await
}
