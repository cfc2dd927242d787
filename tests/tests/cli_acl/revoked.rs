//! What was granted, taken back.

use anyhow::ensure;
use apolo_tests::command;
use serde_json::json;

use super::scene::with_scene;

#[tokio::test]
async fn a_grant_goes_and_others_that_give_the_same_are_named() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let (ns, bob_ns) = (&scene.alice_ns, scene.bob_ns.name.as_str());
        let bob = ns.user("bob", &[]).await?;
        scene.quietly(&scene.alice, &["share", "secret:aws-key", "bob", "--to", bob_ns]).await?;
        ns.comes_to(&bob, "aws-key", &["use", "get"]).await?;
        let mut seen = scene.transcript();
        let words = ["acl", "revoke", "secret:aws-key", "bob"];
        for more in [&["--dry-run=client"][..], &["--dry-run=server"], &["--dry-run=server", "-o", "name"]] {
            seen.run(&scene.alice, &[&words[..], more].concat(), "").await?;
        }
        ensure!(scene.grants().await?.len() == 1, "a dry run was kept");
        seen.run(&scene.alice, &words, "").await?;
        ns.comes_to(&bob, "aws-key", &[]).await?;
        seen.run(&scene.alice, &words, "").await?;

        let team = json!({"secrets": ["aws-key", "secret-password"], "access": "Use",
            "subjects": [{"kind": "User", "name": "bob"}, {"kind": "Namespace", "name": bob_ns}]});
        ns.share("team", &team).await?;
        ns.stands("team", "Granted").await?;
        scene.quietly(&scene.alice, &["share", "secret:aws-key", "bob", "--to", bob_ns]).await?;
        let account = format!("serviceaccount:{bob_ns}/trainer");
        for (words, code) in [
            (&["acl", "revoke", "secret:aws-key", "bob", "--dry-run=server"][..], 5),
            (&["acl", "revoke", "secret:aws-key", "bob"], 5),
            (&["acl", "revoke", "secret:aws-key", &account], 5),
            (&["acl", "revoke", "secret:aws-key", "carol"], 3),
        ] {
            let finished = seen.run(&scene.alice, words, "").await?;
            ensure!(finished.status.code() == Some(code), "{words:?}: {}", finished.stderr);
        }
        ns.comes_to(&bob, "aws-key", &["use"]).await?;
        ensure!(scene.grants().await?.into_keys().collect::<Vec<_>>() == ["team"]);
        seen.check("cli-acl-revoke.txt")?;
        // Also where that the one is gone cannot be told.
        scene.quietly(&scene.alice, &["share", "secret:aws-key", "bob", "--to", bob_ns]).await?;
        let line = format!("apolo acl revoke secret:aws-key bob -n {} >/dev/full", ns.name);
        let finished = command::run(scene.alice.shell(&line, tempfile::tempdir()?.path())?, "").await?;
        ensure!(finished.status.code() == Some(5) && finished.stderr.contains("all the same"), "{finished:?}");
        Ok(())
    })
    .await
}
