//! What is shared with a namespace, and what it shares, in each form.

use serde_json::json;

use super::scene::{soon, with_scene};

#[tokio::test]
async fn what_is_shared_is_listed_from_both_sides_in_each_form() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let (ns, bob_ns) = (&scene.alice_ns, &scene.bob_ns);
        let mut seen = scene.transcript();
        for words in
            [&["acl", "list"][..], &["acl", "list", "--shared"], &["acl", "list", "-o", "json"], &["acl", "list", "-q"]]
        {
            seen.run(&scene.bob, words, "").await?;
        }
        let to = ["--to", &bob_ns.name];
        for words in [&["share", "secret:secret-password", "bob"][..], &["share", "aws-key", "group:ml-team", "use"]] {
            scene.quietly(&scene.alice, &[words, &["--expires", "2100-01-01"], &to[..]].concat()).await?;
        }
        let many: Vec<_> = (1..=5).map(|number| json!({"kind": "User", "name": format!("user-{number}")})).collect();
        let team = json!({"secrets": ["aws-key", "not-there"], "subjects": many, "namespaces": [bob_ns.name]});
        ns.share("team", &team).await?;
        ns.stands("team", "SecretNotFound").await?;
        let keys = ["aws-key", "aws-key", "secret-password"].map(|key| format!("{}/{key}", ns.name));
        bob_ns.catalog_shares(&keys.each_ref().map(String::as_str)).await?;
        let one = format!("secret:/{}/aws-key", ns.name);
        for words in [
            &["acl", "list"][..],
            &["acl", "ls", "--no-headers"],
            &["acl", "list", "-o", "wide"],
            &["acl", "list", "-o", "name"],
            &["acl", "list", "-o", "json"],
            &["acl", "list", "-o", "yaml"],
            &["acl", "list", &one],
            &["acl", "list", "secret:/elsewhere/aws-key"],
        ] {
            seen.run(&scene.bob, words, "").await?;
        }
        for words in [
            &["acl", "list", "--shared"][..],
            &["acl", "list", "--shared", "-o", "wide"],
            &["acl", "list", "--shared", "-o", "name"],
            &["acl", "list", "--shared", "secret:secret-password", "-o", "json"],
            &["acl", "list", "--shared", "secret-password", "-o", "yaml"],
            &["acl", "list", "--shared", "nothing"],
        ] {
            seen.run(&scene.alice, words, "").await?;
        }
        seen.check("cli-acl-list.txt")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_grant_that_gives_nothing_now_says_why() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let ended = soon();
        let ns = &scene.alice_ns;
        ns.share("ended", &json!({"secrets": ["aws-key"], "expiresAt": ended})).await?;
        ns.stands("ended", "Expired").await?;
        let mut seen = scene.transcript().naming(&ended, "2026-01-01T00:00:00Z");
        seen.run(&scene.alice, &["acl", "list", "--shared"], "").await?;
        seen.check("cli-acl-list-states.txt")?;
        Ok(())
    })
    .await
}
