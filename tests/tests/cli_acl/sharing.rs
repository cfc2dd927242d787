//! A secret shared: what is told, what the other side can type then, and what it sees.

use anyhow::{Context, ensure};
use apolo_tests::transcript::Transcript;
use serde_json::json;

use super::scene::{VALUE, another, with_scene};

#[tokio::test]
async fn the_other_side_is_told_what_to_type_and_it_works() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let mut seen = scene.transcript();
        let to = ["--to", &scene.bob_ns.name];
        let words = [&["acl", "grant", "secret:secret-password", "bob", "read"], &to[..]].concat();
        let granted = seen.run(&scene.alice, &words, "").await?;
        ensure!(granted.status.success(), "{}", granted.stderr);
        let shared = format!("{}/secret-password", scene.alice_ns.name);
        scene.bob_ns.catalog_shares(&[&shared]).await?;
        seen.run(&scene.bob, &["acl", "list"], "").await?;
        seen.at_terminal(&scene.bob, &["acl", "list"], &[]).await?;
        seen.check("cli-acl-grant.txt")?;

        let line = granted.stdout.lines().find(|line| line.contains("secret get")).context("no line to type")?;
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let got = scene.bob.run(&words, "").await?;
        ensure!(got.stdout == VALUE, "bob did not get it: {}", got.stderr);
        ensure!(!(granted.stdout + &granted.stderr).contains(VALUE));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn each_kind_of_subject_is_told_where_its_jobs_may_use_it() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let bob_ns = scene.bob_ns.name.as_str();
        let account = format!("serviceaccount:{bob_ns}/trainer");
        let whole = format!("namespace:{bob_ns}");
        let (ours, theirs) = (scene.alice_ns.name.as_str(), format!("secret:/{}/aws-key", scene.alice_ns.name));
        let mut seen = scene.transcript();
        for words in [
            &["share", "secret:aws-key", bob_ns][..],
            &["share", "aws-key", &account, "use", "--expires", "2100-01-01"],
            &["share", "secret:aws-key", &whole, "write", "--expires=2100-01-01T00:00:00Z"],
            &["share", &theirs, "group:ml-team", "manage", "--to", bob_ns, "--to", ours],
            &["share", "secret:aws-key", "carol@example.com", "--kubectl-only"],
            &["share", "secret:aws-key", "dave", "use", "--kubectl-only"],
            &["share", "secret:aws-key", "erin"],
        ] {
            let finished = seen.run(&scene.alice, words, "").await?;
            ensure!(finished.status.success(), "{}", finished.stderr);
        }
        seen.check("cli-share-subjects.txt")?;
        let grants = scene.grants().await?;
        ensure!(grants.len() == 7, "{grants:?}");
        ensure!(grants["aws-key-erin"]["namespaces"] == json!(["erin"]), "{grants:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_ordinary_secret_is_asked_for_by_one_of_its_entries() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db-creds"},
            "stringData": {"user": "u", "password": VALUE}});
        scene.alice_ns.create(&secret).await?;
        let mut seen = scene.transcript();
        seen.run(&scene.alice, &["share", "secret:db-creds", "bob", "--to", &scene.bob_ns.name], "").await?;
        seen.run(&scene.alice, &["share", "secret:aws-kye", "bob", "--to", &scene.bob_ns.name], "").await?;
        seen.run(&scene.alice, &["share", "AWS_KEY", "bob", "--to", &scene.bob_ns.name], "").await?;
        // Who may see all namespaces is told of one that is not there.
        let root = another(&scene.alice, "root", scene.alice_ns.kubeconfig("root", &["system:masters"])?);
        for subject in ["no-such-namespace", &scene.bob_ns.name] {
            seen.run(&root, &["share", "secret:aws-key", subject], "").await?;
        }
        seen.check("cli-share-entries.txt")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_shared_is_printed_in_each_form_and_a_dry_run_keeps_nothing() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let mut seen = scene.transcript();
        let to = ["--to", &scene.bob_ns.name];
        for more in [
            &["--dry-run=client"][..],
            &["--dry-run=server"],
            &["--dry-run=client", "-o", "yaml"],
            &["--dry-run=client", "-o", "json"],
            &["--dry-run=server", "-o", "name"],
            &["--dry-run=client", "-o", "wide"],
            &["--dry-run=client", "-o", "wide", "--no-headers"],
            &["--dry-run=server", "--quiet"],
        ] {
            let words = [&["share", "secret:aws-key", "bob", "--expires", "2100-01-01"], &to[..], more].concat();
            seen.run(&scene.alice, &words, "").await?;
        }
        ensure!(scene.grants().await?.is_empty(), "a dry run was kept");
        for form in ["name", "wide"] {
            let words = [&["share", "secret:aws-key", "bob", "-o", form], &to[..]].concat();
            seen.run(&scene.alice, &words, "").await?;
        }
        seen.at_terminal(&scene.alice, &[&["share", "secret:aws-key", "carol"], &to[..]].concat(), &[]).await?;
        seen.check("cli-share-forms.txt")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_service_account_and_a_member_of_a_group_use_what_is_shared_with_them() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let (ns, bob_ns) = (&scene.alice_ns, &scene.bob_ns);
        bob_ns.create(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trainer"}})).await?;
        let account = format!("serviceaccount:{}/trainer", bob_ns.name);
        let grant = scene.quietly(&scene.alice, &["share", "secret:aws-key", &account, "-o", "name"]).await?;
        let grant = grant.trim().rsplit('/').next().unwrap_or_default();
        scene.quietly(&scene.alice, &["share", "secret:aws-key", "group:ml-team", "--to", &bob_ns.name]).await?;
        let trainer = another(&scene.bob, "trainer", ns.kubeconfig_of_account(&bob_ns.name, "trainer").await?);
        let gina = another(&scene.bob, "gina", ns.kubeconfig("gina", &["ml-team"])?);
        // Its name is made of that of a namespace, so it is written otherwise before that is.
        let mut seen = Transcript::new()
            .naming(grant, "aws-key-serviceaccount-bob-trainer-0123456789abcdef")
            .naming(&ns.name, "alice")
            .naming(&bob_ns.name, "bob");
        let uri = format!("secret:/{}/aws-key", ns.name);
        for who in [&trainer, &gina] {
            seen.run(who, &["whoami"], "").await?;
            seen.run(who, &["acl", "can", &uri, "read"], "").await?;
            let got = who.run(&["secret", "get", &uri], "").await?;
            ensure!(got.stdout == VALUE, "{} did not get it: {}", who.name, got.stderr);
        }
        seen.run(&scene.bob, &["whoami"], "").await?;
        seen.run(&scene.bob, &["whoami", "-o", "name"], "").await?;
        seen.run(&trainer, &["whoami", "-o", "yaml"], "").await?;
        seen.run(&gina, &["whoami", "-o", "json"], "").await?;
        seen.check("cli-whoami.txt")?;
        Ok(())
    })
    .await
}
