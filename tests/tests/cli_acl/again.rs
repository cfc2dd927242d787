//! To grant again adds, and never takes away.

use anyhow::ensure;
use serde_json::json;

use super::scene::{soon, with_scene};

#[tokio::test]
async fn granting_again_adds_and_never_takes_away() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let bob_ns = scene.bob_ns.name.as_str();
        let mut seen = scene.transcript();
        for words in [
            &["share", "secret:aws-key", "bob", "--to", bob_ns][..],
            &["share", "secret:aws-key", "bob", "--to", bob_ns],
            &["share", "secret:aws-key", "bob", "write", "--to", "jobs", "--expires", "2100-01-01"],
            &["share", "secret:aws-key", "user:bob", "read"],
            &["share", "secret:aws-key", "bob", "write", "--kubectl-only"],
            &["share", "secret:aws-key", "bob", "write", "--expires", "never"],
            &["share", "secret:aws-key", "bob", "manage", "--dry-run=client"],
            &["share", "secret:aws-key", "bob", "manage", "--dry-run=server"],
            &["share", "secret:aws-key", "group:ml-team", "--to", "jobs"],
            &["share", "secret:aws-key", "group:ml-team", "write"],
        ] {
            let finished = seen.run(&scene.alice, words, "").await?;
            ensure!(finished.status.success(), "{words:?}: {}", finished.stderr);
        }
        seen.check("cli-share-again.txt")?;
        let grants = scene.grants().await?;
        let mut namespaces = vec![bob_ns, "jobs"];
        namespaces.sort_unstable();
        let mut spec = grants["aws-key-bob"].clone();
        let mut opened: Vec<_> =
            spec["namespaces"].as_array().into_iter().flatten().filter_map(|it| it.as_str()).collect();
        opened.sort_unstable();
        ensure!(opened == namespaces, "{spec}");
        spec["namespaces"] = json!([]);
        ensure!(
            spec == json!({"secrets": ["aws-key"], "access": "Write", "subjects": [{"kind": "User", "name": "bob"}],
                "namespaces": []}),
            "{spec}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_grant_that_has_ended_goes_on_when_it_is_said_until_when() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let ended = soon();
        let mut seen = scene.transcript().naming(&ended, "2026-01-01T00:00:00Z");
        let fields = json!({"secrets": ["aws-key"], "namespaces": [scene.bob_ns.name], "expiresAt": ended});
        scene.alice_ns.share("aws-key-bob", &fields).await?;
        scene.alice_ns.stands("aws-key-bob", "Expired").await?;
        let before = scene.grants().await?;
        let refused = seen.run(&scene.alice, &["share", "secret:aws-key", "bob"], "").await?;
        ensure!(refused.status.code() == Some(5) && scene.grants().await? == before, "{}", refused.stderr);
        seen.run(&scene.alice, &["share", "secret:aws-key", "bob", "--expires", "never"], "").await?;
        scene.alice_ns.stands("aws-key-bob", "Granted").await?;
        seen.check("cli-share-ended.txt")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_grant_that_was_withdrawn_for_good_makes_room_for_another() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let (ns, bob_ns) = (&scene.alice_ns, scene.bob_ns.name.as_str());
        scene.quietly(&scene.alice, &["share", "secret:aws-key", "bob", "manage", "--kubectl-only"]).await?;
        let uri = format!("secret:/{}/aws-key", ns.name);
        scene.comes_to(&scene.bob, &["share", &uri, "carol", "--to", bob_ns, "-o", "name"], 0).await?;
        scene.quietly(&scene.alice, &["acl", "revoke", "secret:aws-key", "bob"]).await?;
        ns.stands("aws-key-carol", "Withdrawn").await?;
        let mut seen = scene.transcript();
        let words = ["share", "secret:aws-key", "carol", "use", "--to", bob_ns];
        seen.run(&scene.alice, &[&words[..], &["--dry-run=server"]].concat(), "").await?;
        ns.stands("aws-key-carol", "Withdrawn").await?;
        let shared = seen.run(&scene.alice, &words, "").await?;
        ensure!(shared.status.success(), "{}", shared.stderr);
        ns.stands("aws-key-carol", "Granted").await?;
        seen.check("cli-share-anew.txt")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn two_who_share_at_once_both_have_what_they_wanted() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let share = async |to, access| {
            scene.quietly(&scene.alice, &["share", "secret:aws-key", "bob", access, "--to", to, "-q"]).await
        };
        let (one, two, three, four) = tokio::join!(
            share("jobs-1", "read"),
            share("jobs-2", "write"),
            share("jobs-3", "use"),
            share("jobs-4", "manage")
        );
        for done in [one, two, three, four] {
            done?;
        }
        let spec = scene.grants().await?["aws-key-bob"].clone();
        let opened = spec["namespaces"].as_array().map_or(0, Vec::len);
        ensure!(opened == 4 && spec["access"] == "Manage", "{spec}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_grant_of_something_else_is_left_alone() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.alice_ns.share("aws-key-bob", &json!({"secrets": ["aws-key", "secret-password"]})).await?;
        let before = scene.grants().await?;
        let mut seen = scene.transcript();
        seen.run(&scene.alice, &["share", "secret:aws-key", "bob"], "").await?;
        seen.run(&scene.alice, &["acl", "revoke", "secret:aws-key", "bob"], "").await?;
        seen.run(&scene.alice, &["acl", "revoke", "secret:aws-key", "carol"], "").await?;
        ensure!(scene.grants().await? == before, "something was changed");
        seen.check("cli-share-other-content.txt")?;
        Ok(())
    })
    .await
}
