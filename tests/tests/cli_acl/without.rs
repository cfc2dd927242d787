//! A cluster of its own, in which Apolo Secrets is not there, then without its controller, then without its webhook.

use anyhow::ensure;
use apolo_tests::{cluster::Cluster, person::Person, transcript::Transcript};

use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::scene::another;

#[tokio::test]
async fn what_is_missing_is_told_and_how_it_comes() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster
        .with_namespace(async |ns| {
            let alice = ns.with_kubeconfig("alice").await?;
            let root = another(&alice, "root", ns.kubeconfig("root", &["system:masters"])?);
            ns.kept_secret("aws-key", "aws-key", "planted").await?;
            // A name that a grant needs, taken while nothing keeps others from it.
            ns.create(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": [],
                "metadata": {"name": "secretgrant:aws-key-dave"}}))
                .await?;
            let mut seen = Transcript::new().naming(&ns.name, "alice");
            let uses: [(&Person, &[&str], i32); 8] = [
                (&alice, &["share", "aws-key", "bob"], 1),
                (&root, &["share", "aws-key", "bob"], 1),
                (&alice, &["acl", "revoke", "aws-key", "bob"], 1),
                (&alice, &["acl", "list"], 1),
                (&root, &["acl", "list", "--shared"], 1),
                (&root, &["acl", "can", "secret:/elsewhere/aws-key"], 1),
                (&alice, &["acl", "can", "aws-key"], 0),
                (&alice, &["whoami"], 0),
            ];
            for (who, words, code) in uses {
                let finished = seen.run(who, words, "").await?;
                ensure!(finished.status.code() == Some(code), "{words:?}: {}{}", finished.stdout, finished.stderr);
            }
            cluster.install_kinds().await?;
            apolo_tests::eventually::eventually("alice may grant", async || {
                let tried = alice.run(&["share", "aws-key", "bob", "--dry-run=server"], "").await;
                let tried = tried.map_err(|error| error.to_string())?;
                if tried.status.success() { Ok(()) } else { Err(tried.stderr) }
            })
            .await?;
            for words in [&["share", "aws-key", "bob"][..], &["acl", "list", "--shared"], &["acl", "list"]] {
                seen.run(&alice, words, "").await?;
            }
            let catalogs = ns.catalogs();
            let catalog = json!({"apiVersion": "secrets.apolo.us/v1alpha1", "kind": "SecretCatalog", "metadata": {"name": "secrets"}});
            ns.create(&catalog).await?;
            let status = json!({"status": {"cluster": "prod", "truncated": 7,
                "shared": [{"uri": "secret://prod/carol/a\u{1b}[31m", "access": "Use", "subjects": ["alice"], "by": "ca\nrol"}]}});
            catalogs.patch_status("secrets", &PatchParams::default(), &Patch::Merge(status)).await?;
            for words in [&["acl", "list"][..], &["acl", "list", "-o", "name"], &["whoami"]] {
                seen.run(&alice, words, "").await?;
            }
            seen.run(&root, &["acl", "can", "secret:/elsewhere/aws-key"], "").await?;
            let mut webhook = cluster.install().await?;
            webhook.stop().await?;
            for words in [
                &["share", "aws-key", "carol"][..],
                &["share", "aws-key", "bob", "manage"],
                &["acl", "revoke", "aws-key", "bob"],
            ] {
                seen.run(&alice, words, "").await?;
            }
            webhook = cluster.install().await?;
            let controller = cluster.start_controller("controller", &[]).await?;
            seen.run(&alice, &["share", "aws-key", "dave"], "").await?;
            seen.run(&alice, &["acl", "list", "--shared"], "").await?;
            drop((webhook, controller));
            seen.check("cli-acl-without.txt")?;
            anyhow::Ok(())
        })
        .await
}
