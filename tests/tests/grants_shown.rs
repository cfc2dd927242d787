//! What people read of grants with `kubectl get` and `kubectl describe`, as the controller leaves them.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use anyhow::{Context, ensure};
use apolo_tests::{
    command,
    eventually::eventually,
    grants::grant,
    namespace::{Namespace, with_namespace},
    snapshot,
};
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// What `kubectl ARGUMENTS…` prints in a namespace.
async fn kubectl(ns: &Namespace, arguments: &[&str]) -> anyhow::Result<String> {
    let finished = command::run(ns.kubectl([&["--namespace", &ns.name], arguments].concat()), "").await?;
    ensure!(finished.status.success(), "kubectl {arguments:?}: {}", finished.stderr);
    Ok(finished.stdout)
}

/// Grants by name, with the reason for which each will stand.
fn grants() -> [(&'static str, &'static str, Value); 3] {
    let everybody = json!([
        {"kind": "User", "name": "bob"},
        {"kind": "Group", "name": "ml-team"},
        {"kind": "ServiceAccount", "name": "trainer", "namespace": "jobs"},
        {"kind": "Namespace", "name": "nightly"},
    ]);
    [
        ("old-intern", "Expired", json!({"expiresAt": "2020-12-31T23:59:59Z"})),
        ("secret-password-bob", "Granted", json!({"namespaces": ["bob"]})),
        (
            "team",
            "SecretNotFound",
            json!({
                "secrets": ["secret-password", "AWS_KEY", "wandb-token"], "access": "Use", "subjects": everybody,
                "namespaces": ["bob", "research"], "expiresAt": "2100-01-01T00:00:00Z",
            }),
        ),
    ]
}

/// A table of kubectl without the ages at the ends of its lines.
fn without_ages(table: &str) -> String {
    table.lines().map(|line| format!("{}\n", line.rsplit_once(' ').map_or(line, |(rest, _)| rest).trim_end())).collect()
}

/// What `kubectl describe` prints, without what is different each time.
fn steady(described: &str, ns: &Namespace) -> String {
    let described = described.replace(&ns.name, "alice");
    let (object, events) = described.split_once("Events:").unwrap_or((&described, ""));
    let fields = object.lines().map(|line| match line.split_once(':') {
        Some((field, rest))
            if ["Creation Timestamp", "Resource Version", "UID", "Last Transition Time"].contains(&field.trim()) =>
        {
            let spaces = rest.len() - rest.trim_start().len();
            format!("{field}:{}…\n", " ".repeat(spaces))
        }
        _ => format!("{line}\n"),
    });
    let events = events.lines().map(|line| {
        // The age is the third word, and the width of its column follows it.
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [kind @ ("Normal" | "Warning"), reason, _, from, message @ ..] => {
                format!("  {kind}  {reason}  …  {from}  {}\n", message.join(" "))
            }
            words => format!("  {}\n", words.join("  ")),
        }
    });
    let (fields, events) = (fields.collect::<String>(), events.collect::<String>());
    format!("{fields}Events:{}", events.strip_prefix("  ").unwrap_or(&events))
}

#[tokio::test]
async fn kubectl_shows_grants_as_it_shows_what_is_built_in() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.serves_grants().await?;
        ns.secret("secret-password").await?;
        // Once a grant of it is in force, the controller knows of the Secret, and each of the others stands at once as it will.
        ns.share("first", &json!({})).await?;
        ns.stands("first", "Granted").await?;
        ns.grants().delete("first", &DeleteParams::default()).await?;
        let alice = ns.person("alice").await?;
        for (name, reason, fields) in grants() {
            ns.create_as(&alice, &grant(name, fields.as_object().context("no fields")?)).await?;
            ns.stands(name, reason).await?;
        }
        // It is of the same category.
        eventually("there is a catalog", async || kubectl(&ns, &["get", "secretcatalog", "secrets"]).await).await?;
        let mut page = String::new();
        for arguments in [
            &["get", "secretgrants"][..],
            &["get", "secretgrants", "--output=wide"],
            &["get", "sgrant", "--output=name"],
            &["get", "apolo-secrets"],
        ] {
            let table = kubectl(&ns, arguments).await?;
            let table = if arguments.contains(&"--output=name") { table } else { without_ages(&table) };
            page.push_str(&format!("$ kubectl {}\n{table}\n", arguments.join(" ")));
        }
        for (name, _, _) in grants() {
            let described = eventually("its Event is shown", async || {
                let described = kubectl(&ns, &["describe", "secretgrant", name]).await;
                let described = described.map_err(|error| error.to_string())?;
                if described.contains("Events:  <none>") { Err(described) } else { Ok(described) }
            })
            .await?;
            page.push_str(&format!("$ kubectl describe secretgrant {name}\n{}\n", steady(&described, &ns)));
        }
        snapshot::check("show-secretgrants.txt", &page)?;
        Ok(())
    })
    .await
}
