//! Wrong uses: each ends with its exit code and the words that mend it, and leaves nothing half-done.

use anyhow::ensure;
use apolo_tests::person::Person;
use serde_json::json;

use super::scene::{VALUE, another, with_scene};

/// The fewest rows that there may be.
const FEWEST: usize = 50;

#[tokio::test]
async fn every_wrong_use_is_refused_in_words_and_leaves_nothing_half_done() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let (ns, bob_ns) = (scene.alice_ns.name.as_str(), scene.bob_ns.name.as_str());
        let (alice, bob) = (&scene.alice, &scene.bob);
        let root = another(alice, "root", scene.alice_ns.kubeconfig("root", &["system:masters"])?);
        let carol = scene.alice_ns.stranger("carol")?;
        scene.alice_ns.share("team", &json!({"secrets": ["aws-key"]})).await?;
        let before = scene.grants().await?;
        let account = format!("serviceaccount:{bob_ns}/trainer");
        let theirs = format!("secret:/{ns}/aws-key");
        let kubectl_only = ["share", "secret:aws-key", &account, "--kubectl-only"];
        let of_bob = ["acl", "grant", &theirs, "carol", "--to", bob_ns];
        let rows: Vec<(&Person, &[&str], i32)> = vec![
            (alice, &["share"], 2),
            (alice, &["share", "secret:aws-key"], 2),
            (alice, &["share", "bob", "secret:aws-key"], 2),
            (alice, &["share", "secret:aws-key", "bob", "raed"], 2),
            (alice, &["share", "secret:aws-key", "bob", "read", "write"], 2),
            (alice, &["share", "secret:aws-key", "bob", "Read"], 2),
            (alice, &["share", "aws key", "bob"], 2),
            (alice, &["share", "/alice/aws-key", "bob"], 2),
            (alice, &["share", "storage:aws-key", "bob"], 2),
            (alice, &["share", "secret:alice/aws-key", "bob"], 2),
            (alice, &["share", "secret:apolo-shared-x", "bob"], 2),
            (alice, &["share", "secret://prod/alice/aws-key", "bob"], 2),
            (alice, &["share", "secret:aws-key#password", "bob"], 2),
            (alice, &["share", "secret:aws-key", ""], 2),
            (alice, &["share", "secret:aws-key", "oidc:bob"], 2),
            (alice, &["share", "secret:aws-key", "sa:jobs/trainer"], 2),
            (alice, &["share", "secret:aws-key", "serviceaccount:trainer"], 2),
            (alice, &["share", "secret:aws-key", "serviceaccount:Jobs/trainer"], 2),
            (alice, &["share", "secret:aws-key", "namespace:Nightly"], 2),
            (alice, &["share", "secret:aws-key", "user:system:serviceaccount:jobs:trainer"], 2),
            (alice, &["share", "secret:aws-key", "group:system:serviceaccounts:jobs"], 2),
            (alice, &["share", "secret:aws-key", "group:system:authenticated"], 2),
            (alice, &["share", "secret:aws-key", "group:system:masters"], 2),
            (alice, &["share", "secret:aws-key", "user:system:anonymous"], 2),
            (alice, &["share", "secret:aws-key", "bo\u{1b}[31mb"], 2),
            (alice, &["share", "secret:aws-key", "group:ml-team"], 2),
            (alice, &["share", "secret:aws-key", "bob@example.com"], 2),
            (alice, &kubectl_only, 2),
            (alice, &["share", "secret:aws-key", "bob", "--to", "jobs", "--kubectl-only"], 2),
            (alice, &["share", "secret:aws-key", "bob", "--to", "Jobs"], 2),
            (alice, &["share", "secret:aws-key", "bob", "--to"], 2),
            (alice, &["share", "secret:aws-key", "bob", "--expires", "soon"], 2),
            (alice, &["share", "secret:aws-key", "bob", "--expires", "2020-01-01"], 2),
            (alice, &["share", "secret:aws-key", "bob", "--expires", "-7d"], 2),
            (alice, &["share", "secret:aws-key", "bob", "--expires", "2100-01-01T18:00"], 2),
            (alice, &["share", "secret:aws-key", "bob", "--expires", "9000y"], 2),
            (alice, &["share", "secret:aws-key", "bob", "--dry-run=maybe"], 2),
            (alice, &["share", "secret:aws-key", "bob", "--output=table"], 2),
            (alice, &["share", "secret:aws-key", "bob", "--expire", "7d"], 2),
            (alice, &["share", "secret:aws-key", "bob", "--as", "carol"], 4),
            (alice, &["share", "secret:/kube-public/aws-key", "bob"], 4),
            (&carol, &["share", "secret:aws-key", "bob"], 4),
            (&carol, &["share", "secret:aws-key", "bob", "--dry-run=server"], 4),
            (bob, &of_bob, 4),
            (&root, &["share", "secret:/no-such-namespace/aws-key", "bob"], 3),
            (&root, &["share", "secret:/kube-system/aws-key", "bob"], 4),
            (&root, &["share", "secret:/apolo-secrets/aws-key", "bob"], 4),
            (alice, &["acl"], 2),
            (alice, &["acl", "gran", "secret:aws-key", "bob"], 2),
            (alice, &["acl", "revoke", "secret:aws-key"], 2),
            (alice, &["acl", "revoke", "secret:aws-key", "carol"], 3),
            (alice, &["acl", "revoke", "secret:aws-key", "group:bob"], 3),
            (alice, &["acl", "revoke", "secret:aws-kye", "bob"], 3),
            (alice, &["acl", "revoke", "secret:aws-key", "group:system:masters"], 2),
            (&carol, &["acl", "revoke", "secret:aws-key", "bob"], 4),
            (alice, &["acl", "revoke", "secret:aws-key", "bob"], 5),
            (alice, &["acl", "list", "secret:aws-key"], 2),
            (&carol, &["acl", "list"], 4),
            (&carol, &["acl", "list", "--shared"], 4),
            (&root, &["acl", "list", "secret:/no-such-namespace/x", "--shared"], 3),
            (alice, &["acl", "list", "--output=table"], 2),
            (alice, &["acl", "can", "aws-key", "frob"], 2),
            (alice, &["acl", "can"], 2),
            (alice, &["acl", "can", "secret://prod/alice/aws-key"], 2),
            (alice, &["whoami", "bob"], 2),
            (alice, &["whoami", "--context", "elsewhere"], 2),
        ];
        let mut seen = scene.transcript();
        let count = rows.len();
        for (person, words, code) in rows {
            let finished = seen.run(person, words, "").await?;
            ensure!(finished.status.code() == Some(code), "{words:?}: {}{}", finished.stdout, finished.stderr);
            let told = finished.stdout + &finished.stderr;
            ensure!(
                !told.contains(VALUE) && (told.contains("error: ") || told.contains("Usage:")),
                "{words:?}: {told}"
            );
        }
        ensure!(scene.grants().await? == before, "something was changed");
        seen.check("cli-acl-wrong.txt")?;
        println!("{count} wrong uses");
        ensure!(count >= FEWEST, "{count}");
        Ok(())
    })
    .await
}
