//! Whether one may, and why.

use anyhow::ensure;
use apolo_tests::person::Person;
use k8s_openapi::api::core::v1;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::scene::with_scene;

#[tokio::test]
async fn each_answer_says_why_and_what_mends_it() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let (ns, bob_ns) = (&scene.alice_ns, &scene.bob_ns);
        let uri = format!("secret:/{}/aws-key", ns.name);
        let full = format!("secret://default/{}/aws-key", ns.name);
        let carol = ns.stranger("carol")?;
        let mut seen = scene.transcript();
        let mut row = async |who: &Person, words: &[&str], code: i32| -> anyhow::Result<()> {
            let finished = seen.run(who, &[&["acl", "can"], words].concat(), "").await?;
            ensure!(finished.status.code() == Some(code), "{words:?}: {}{}", finished.stdout, finished.stderr);
            Ok(())
        };
        // Before anything is shared.
        row(&scene.bob, &[&uri], 1).await?;
        row(&scene.bob, &[&uri, "get"], 1).await?;
        row(&scene.alice, &["secret:aws-key"], 0).await?;
        row(&scene.alice, &["aws-key", "manage"], 0).await?;
        row(&carol, &["aws-key"], 1).await?;
        // Shared, and no namespace opened: a right is not enough.
        scene.quietly(&scene.alice, &["share", "secret:aws-key", "bob", "--kubectl-only"]).await?;
        row(&scene.bob, &[&uri, "read"], 0).await?;
        row(&scene.bob, &[&uri], 1).await?;
        // Opened for others.
        scene.quietly(&scene.alice, &["share", "secret:aws-key", "dave", "--to", &bob_ns.name]).await?;
        bob_ns.catalog_shares(&[&format!("{}/aws-key", ns.name)]).await?;
        row(&scene.bob, &[&uri], 1).await?;
        // And for him.
        scene.quietly(&scene.alice, &["share", "secret:aws-key", "bob", "--to", &bob_ns.name]).await?;
        let both = format!("{}/aws-key", ns.name);
        bob_ns.catalog_shares(&[&both, &both]).await?;
        row(&scene.bob, &[&uri], 0).await?;
        row(&scene.bob, &[&full, "use"], 0).await?;
        row(&scene.bob, &[&uri, "write"], 1).await?;
        row(&scene.bob, &[&uri, "share"], 1).await?;
        for form in ["json", "yaml", "wide", "name"] {
            row(&scene.bob, &[&uri, "-o", form], 0).await?;
        }
        row(&scene.bob, &[&uri, "delete", "-o", "json"], 1).await?;
        row(&scene.bob, &[&uri, "delete", "-q"], 1).await?;
        seen.check("cli-acl-can.txt")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_may_create_pods_uses_what_is_there_unless_the_namespace_is_enforced() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let ns = &scene.alice_ns;
        let carol = ns.stranger("carol")?;
        let rules = json!([
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
        ]);
        ns.create(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "runs"}, "rules": rules}))
            .await?;
        ns.create(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "runs"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "runs"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "carol"}],
        }))
        .await?;
        scene.comes_to(&carol, &["acl", "can", "aws-key"], 0).await?;
        let mut seen = scene.transcript();
        seen.run(&carol, &["acl", "can", "aws-key"], "").await?;
        let label = json!({"metadata": {"labels": {"secrets.apolo.us/enforce": "true"}}});
        let namespaces: Api<v1::Namespace> = Api::all(ns.client.clone());
        namespaces.patch(&ns.name, &PatchParams::default(), &Patch::Merge(label)).await?;
        seen.run(&carol, &["acl", "can", "aws-key"], "").await?;
        scene.quietly(&scene.alice, &["share", "aws-key", "carol", "use", "--kubectl-only"]).await?;
        seen.run(&carol, &["acl", "can", "aws-key"], "").await?;
        seen.check("cli-acl-can-own.txt")?;
        Ok(())
    })
    .await
}
