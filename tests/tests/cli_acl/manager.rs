//! Whoever manages a secret shares it further, with no more rights than that gives him.

use anyhow::ensure;
use serde_json::json;

use super::scene::with_scene;

#[tokio::test]
async fn a_manager_shares_and_takes_back_what_he_shared() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let (ns, bob_ns) = (&scene.alice_ns, scene.bob_ns.name.as_str());
        let uri = format!("secret:/{}/aws-key", ns.name);
        let other = format!("secret:/{}/secret-password", ns.name);
        let mut seen = scene.transcript();
        seen.run(&scene.bob, &["share", &uri, "carol", "--to", bob_ns], "").await?;
        seen.run(&scene.alice, &["share", "secret:aws-key", "bob", "manage", "--kubectl-only"], "").await?;
        // The webhook hears of the grant a moment after the API server knows it.
        scene.comes_to(&scene.bob, &["share", &uri, "carol", "--to", bob_ns, "--dry-run=server"], 0).await?;
        for (words, code) in [
            (&["share", &uri, "carol", "--to", bob_ns][..], 0),
            (&["share", &uri, "carol", "write", "--to", bob_ns], 0),
            (&["share", &other, "carol", "--to", bob_ns], 4),
            (&["acl", "list", "--shared", &uri], 4),
            (&["acl", "revoke", &uri, "carol"], 0),
            (&["acl", "revoke", &uri, "dave"], 4),
        ] {
            let finished = seen.run(&scene.bob, words, "").await?;
            ensure!(finished.status.code() == Some(code), "{words:?}: {}", finished.stderr);
        }
        scene.quietly(&scene.alice, &["share", "secret:aws-key", "dave", "--to", bob_ns]).await?;
        seen.run(&scene.bob, &["share", &uri, "dave", "--to", bob_ns], "").await?;
        seen.run(&scene.bob, &["acl", "revoke", &uri, "dave"], "").await?;
        seen.check("cli-share-manager.txt")?;
        ensure!(scene.grants().await?.len() == 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nobody_gives_more_than_he_has_and_is_told_what_he_may_give() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let ns = &scene.alice_ns;
        let dana = ns.stranger("dana")?;
        ns.create(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "shares"},
            "rules": [
                {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["aws-key"], "verbs": ["use", "share"]},
                {"apiGroups": ["secrets.apolo.us"], "resources": ["secretgrants"], "verbs": ["get", "create", "patch"]},
            ],
        }))
        .await?;
        ns.create(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "shares"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "shares"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dana"}],
        }))
        .await?;
        scene.comes_to(&dana, &["share", "aws-key", "carol", "use", "--dry-run=server"], 0).await?;
        let mut seen = scene.transcript();
        for (words, code) in [
            (&["share", "aws-key", "carol", "write"][..], 4),
            (&["share", "secret-password", "carol", "use"], 4),
            (&["share", "aws-key", "carol", "use"], 0),
            (&["share", "aws-key", "carol", "read"], 4),
        ] {
            let finished = seen.run(&dana, words, "").await?;
            ensure!(finished.status.code() == Some(code), "{words:?}: {}", finished.stderr);
        }
        let grants = scene.grants().await?;
        ensure!(grants.len() == 1 && grants["aws-key-carol"]["access"] == "Use", "{grants:?}");
        seen.check("cli-share-no-more.txt")?;
        Ok(())
    })
    .await
}
