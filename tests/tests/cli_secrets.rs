//! `apolo secret` as people use it, on a real API server.

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
