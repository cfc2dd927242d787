//! `apolo secret ls`.

use apolo_tests::{namespace::with_namespace, transcript::Transcript};
use serde_json::json;

#[tokio::test]
async fn secrets_are_listed_by_their_keys_and_never_with_a_value() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        seen.run(&alice, &["secret", "ls"], "").await?;
        ns.create(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db-creds"},
            "stringData": {"user": "u", "password": "planted"}}))
            .await?;
        seen.run(&alice, &["secret", "ls"], "").await?;
        seen.run(&alice, &["secret", "ls", "--full-uri"], "").await?;
        seen.run(&alice, &["secret", "ls", "-o", "name"], "").await?;
        seen.at_terminal(&alice, &["secret", "ls"], &[]).await?;
        seen.check("cli-secret-ls.txt")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_may_not_list_secrets_gets_what_the_catalog_says() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let (alice, carol) = (ns.with_kubeconfig("alice").await?, ns.stranger("carol")?);
        alice.run(&["secret", "add", "AWS_KEY", "planted"], "").await?;
        ns.secret("db-creds").await?;
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        seen.run(&carol, &["secret", "ls"], "").await?;
        ns.create(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "carol"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "catalogs"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "carol"}]}))
            .await?;
        ns.create(
            &json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "catalogs"},
            "rules": [{"apiGroups": ["secrets.apolo.us"], "resources": ["secretcatalogs"], "verbs": ["get"]}]}),
        )
        .await?;
        apolo_tests::eventually::eventually("the catalog has both", async || {
            let listed = carol.run(&["secret", "ls", "-o", "name"], "").await.map_err(|error| error.to_string())?;
            if listed.stdout == "AWS_KEY\ndb-creds\n" { Ok(()) } else { Err(format!("{listed:?}")) }
        })
        .await?;
        seen.run(&carol, &["secret", "ls"], "").await?;
        seen.check("cli-secret-ls-catalog.txt")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_namespace_that_is_not_there_has_no_empty_list() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let mut root = ns.stranger("root")?;
        root.kubeconfig = ns.kubeconfig("root", &["system:masters"])?;
        let folder = tempfile::tempdir()?;
        let mut seen = Transcript::new();
        for line in [
            "apolo secret ls -n no-such-namespace",
            "apolo secret add k v -n no-such-namespace",
            "apolo secret get k -n no-such-namespace",
            "apolo secret ls -n kube-system",
            "apolo secret ls -n No_Such",
        ] {
            seen.shell(&root, line, folder.path()).await?;
        }
        seen.check("cli-secret-no-namespace.txt")?;
        Ok(())
    })
    .await
}
