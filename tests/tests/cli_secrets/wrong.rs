//! Wrong uses: each ends with its exit code and the words that mend it, tells no value, and leaves nothing half-done.

use std::fs;

use anyhow::Context;
use apolo_tests::{
    namespace::{Namespace, with_namespace},
    person::Person,
    transcript::Transcript,
};
use serde_json::{Value, json};

use super::state::{allow, secrets};

/// The fewest rows that there may be.
const FEWEST: usize = 60;

/// Who, the words of the command, what comes on standard input, and the exit code.
type Row<'a> = (&'a Person, Vec<&'a str>, Vec<u8>, i32);

async fn scene(ns: &Namespace) -> anyhow::Result<()> {
    for (name, fields) in [
        ("aws-key", json!({"stringData": {"aws-key": "planted"}})),
        ("db-creds", json!({"stringData": {"user": "u", "password": "planted"}})),
        ("site", json!({"type": "kubernetes.io/tls", "stringData": {"tls.crt": "planted", "tls.key": "planted"}})),
        (
            "token",
            json!({"type": "kubernetes.io/service-account-token",
            "metadata": {"name": "token", "annotations": {"kubernetes.io/service-account.name": "default"}}}),
        ),
        ("release", json!({"type": "helm.sh/release.v1", "stringData": {"release": "planted"}})),
        ("fixed", json!({"immutable": true, "stringData": {"fixed": "planted"}})),
    ] {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
        for (field, value) in fields.as_object().into_iter().flatten() {
            secret[field] = value.clone();
        }
        ns.create(&secret).await?;
    }
    Ok(())
}

/// The kubeconfig of a person with this in place of what it has, in a file beside it.
fn kubeconfig(person: &Person, pointer: &str, value: Value) -> anyhow::Result<String> {
    let mut kubeconfig: Value = serde_saphyr::from_str(&fs::read_to_string(&person.kubeconfig)?)?;
    if let Some(field) = kubeconfig.pointer_mut(pointer) {
        *field = value;
    }
    let folder = person.kubeconfig.parent().context("no folder")?;
    let file = tempfile::Builder::new().prefix("kubeconfig-").tempfile_in(folder)?.into_temp_path().keep()?;
    fs::write(&file, kubeconfig.to_string())?;
    Ok(file.display().to_string())
}

#[tokio::test]
async fn every_wrong_use_is_refused_in_words_and_leaves_nothing_half_done() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        scene(&ns).await?;
        let alice = ns.with_kubeconfig("alice").await?;
        let bob = ns.stranger("bob")?;
        let mut admin = alice.clone();
        (admin.name, admin.kubeconfig) = ("root".into(), ns.kubeconfig("root", &["system:masters"])?);
        allow(&ns, "carol", &["create"], &[]).await?;
        let carol = ns.stranger("carol")?;
        let expired = kubeconfig(&alice, "/users/0/user", json!({"token": "expired"}))?;
        let nowhere = kubeconfig(&alice, "/clusters/0/cluster/server", json!("https://127.0.0.1:1"))?;
        let login = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/no/such/login",
            "interactiveMode": "Never"}});
        let plugin = kubeconfig(&alice, "/users/0/user", login)?;
        let nobody = kubeconfig(&alice, "/users/0/user", json!({}))?;
        let before = secrets(&ns).await?;
        let mut seen = Transcript::new()
            .naming(&expired, "expired.yaml")
            .naming(&nowhere, "nowhere.yaml")
            .naming(&plugin, "plugin.yaml")
            .naming(&nobody, "nobody.yaml")
            .naming(&ns.name, "alice");
        let none = Vec::new;
        let large = || vec![b'x'; 1_048_577];
        let rows: Vec<Row<'_>> = vec![
            (&alice, vec!["add"], none(), 2),
            (&alice, vec!["add", "planted!"], b"planted".to_vec(), 2),
            (&alice, vec!["add", "k=planted"], none(), 2),
            (&alice, vec!["add", "k", "planted", "words"], none(), 2),
            (&alice, vec!["add", "k", "-planted"], none(), 2),
            (&alice, vec!["add", "k", "--planted"], none(), 2),
            (&alice, vec!["add", "k", "-oplanted"], none(), 2),
            (&alice, vec!["add", "k", "--litral", "@planted"], none(), 2),
            (&alice, vec!["add", "k", "v", "--literal=planted"], none(), 2),
            (&alice, vec!["add", "k", "--literal"], none(), 2),
            (&alice, vec!["add", "k", "@planted"], none(), 1),
            (&alice, vec!["add", "k", "@"], none(), 2),
            (&alice, vec!["add", "k", "@/"], none(), 1),
            (&alice, vec!["add", "k", "@/dev/zero"], none(), 1),
            (&alice, vec!["add", "k", ""], none(), 2),
            (&alice, vec!["add", "k"], none(), 2),
            (&alice, vec!["add", "k"], b"\n".to_vec(), 2),
            (&alice, vec!["add", "k"], large(), 1),
            (&alice, vec!["add", ".", "planted"], none(), 2),
            (&alice, vec!["add", "..k", "planted"], none(), 2),
            (&alice, vec!["add", "apolo-shared-k", "planted"], none(), 2),
            (&alice, vec!["add", "Apolo_Shared_K", "planted"], none(), 2),
            (&alice, vec!["add", "secret:planted/k", "planted"], none(), 2),
            (&alice, vec!["add", "secret:db-creds#password", "planted"], none(), 2),
            (&alice, vec!["add", "secret://prod/alice/k", "planted"], none(), 2),
            (&alice, vec!["add", "secret:/kube-public/k", "planted"], none(), 4),
            (&alice, vec!["add", "secret:/kube-system/k", "planted"], none(), 2),
            (&alice, vec!["add", "db-creds", "planted"], none(), 5),
            (&alice, vec!["add", "site", "planted"], none(), 5),
            (&alice, vec!["add", "fixed", "planted-anew"], none(), 5),
            (&alice, vec!["add", "token", "planted"], none(), 5),
            (&alice, vec!["add", "k", "v", "--dry-run=planted"], none(), 2),
            (&alice, vec!["add", "k", "v", "--dry-run", "--quiet"], none(), 2),
            (&alice, vec!["add", "k", "v", "--from-env-file", "f"], none(), 2),
            (&alice, vec!["add", "--from-env-file", "no/such/file"], none(), 1),
            (&alice, vec!["add", "--from-env-file", "-"], b"planted\n".to_vec(), 1),
            (&alice, vec!["add", "k", "v", "--cluster-name", "Planted"], none(), 2),
            (&alice, vec!["add", "k", "v", "--as-group", "g"], none(), 2),
            (&admin, vec!["add", "aws-key", "planted", "--as", "carol"], none(), 4),
            (&alice, vec!["add", "k", "v", "--kubeconfig", "/no/such/file"], none(), 1),
            (&alice, vec!["add", "k", "v", "--context", "elsewhere"], none(), 2),
            (&alice, vec!["add", "k", "v", "--kubeconfig", &expired], none(), 4),
            (&alice, vec!["add", "k", "v", "--kubeconfig", &nowhere], none(), 1),
            (&alice, vec!["add", "k", "v", "--kubeconfig", &plugin], none(), 4),
            (&alice, vec!["add", "k", "v", "--kubeconfig", &nobody], none(), 4),
            (&bob, vec!["add", "k", "planted"], none(), 4),
            (&bob, vec!["add", "k", "planted", "--dry-run=server"], none(), 4),
            (&carol, vec!["add", "aws-key", "planted"], none(), 4),
            (&admin, vec!["add", "secret:/no-such-namespace/k", "planted"], none(), 3),
            (&alice, vec!["ad", "k", "v"], none(), 2),
            (&alice, vec!["get"], none(), 2),
            (&alice, vec!["get", "nothing-like-it"], none(), 3),
            (&alice, vec!["get", "aws-kye"], none(), 3),
            (&alice, vec!["get", "db-creds"], none(), 3),
            (&alice, vec!["get", "secret:db-creds#pasword"], none(), 3),
            (&alice, vec!["get", "secret://prod/alice/aws-key"], none(), 2),
            (&alice, vec!["get", "aws key"], none(), 2),
            (&alice, vec!["get", "/alice/aws-key"], none(), 2),
            (&alice, vec!["get", "db-creds#password"], none(), 2),
            (&alice, vec!["get", "token"], none(), 3),
            (&alice, vec!["get", "secret:release#release"], none(), 3),
            (&admin, vec!["get", "secret:/kube-system/k"], none(), 3),
            (&bob, vec!["get", "aws-key"], none(), 4),
            (&alice, vec!["get", "aws-key", "-f", "/no/such/folder/file"], none(), 1),
            (&alice, vec!["get", "aws-key", "-f", "/"], none(), 1),
            (&alice, vec!["get", "aws-key", "-f", "/dev/null"], none(), 1),
            (&alice, vec!["get", "aws-key", "more"], none(), 2),
            (&alice, vec!["rm"], none(), 2),
            (&alice, vec!["rm", "nothing-like-it", "secret:nothing"], none(), 3),
            (&alice, vec!["rm", "aws-kye"], none(), 3),
            (&alice, vec!["rm", "secret:db-creds#password"], none(), 2),
            (&alice, vec!["rm", "aws-key", "a b"], none(), 2),
            (&alice, vec!["rm", "site"], none(), 5),
            (&alice, vec!["rm", "token", "--ignore-not-found"], none(), 0),
            (&alice, vec!["rm", "secret:/kube-system/k"], none(), 3),
            (&bob, vec!["rm", "aws-key"], none(), 4),
            (&bob, vec!["ls"], none(), 4),
            (&admin, vec!["ls"], none(), 0),
            (&alice, vec!["ls", "--output=table"], none(), 2),
        ];
        let count = rows.len();
        for (person, words, stdin, code) in rows {
            let arguments = [&["secret"], words.as_slice()].concat();
            let finished = seen.run(person, &arguments, &stdin).await?;
            assert_eq!(finished.status.code(), Some(code), "{words:?}: {}", finished.stderr);
            let told = finished.stdout + &finished.stderr;
            assert!(!told.to_lowercase().contains("planted"), "{words:?}: {told}");
            assert!(code == 0 || told.contains("error: "), "{words:?}: {told}");
        }
        seen.check("cli-secret-wrong.txt")?;
        assert!(before == secrets(&ns).await?, "something was changed");
        println!("{count} wrong uses");
        assert!(count >= FEWEST, "{count}");
        Ok(())
    })
    .await
}
