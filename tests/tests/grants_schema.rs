//! What the API server takes as a SecretGrant, what it says of what it does not take, and how kubectl shows our kinds.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use apolo_tests::{
    binaries::apolo,
    command::{self, Finished},
    grants::{self, VERSION, grant},
    namespace::{Namespace, with_namespace},
    snapshot,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Map, Value, json};

/// `kubectl ARGUMENTS…` in a namespace.
async fn kubectl(ns: &Namespace, arguments: &[&str], stdin: &str) -> anyhow::Result<Finished> {
    Ok(command::run(ns.kubectl([&["--namespace", &ns.name], arguments].concat()), stdin).await?)
}

/// The same, where it has to succeed: what it printed.
async fn said(ns: &Namespace, arguments: &[&str]) -> anyhow::Result<String> {
    let finished = kubectl(ns, arguments, "").await?;
    ensure!(finished.status.success(), "kubectl {arguments:?}: {}", finished.stderr);
    Ok(finished.stdout)
}

fn fields(fields: &Value) -> Map<String, Value> {
    fields.as_object().cloned().unwrap_or_default()
}

fn all(client: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("secrets.apolo.us", "v1alpha1", kind);
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
}

#[tokio::test]
async fn each_row_is_refused_in_its_words_and_its_twin_is_accepted() -> anyhow::Result<()> {
    let rows = grants::rows()?;
    assert!(rows.len() > 35, "{} rows", rows.len());
    with_namespace(async |ns| {
        ns.serves_grants().await?;
        let minor = ns.client.apiserver_version().await?.minor.trim_end_matches('+').parse()?;
        let create = ["create", "--dry-run=server", "--filename=-"];
        for row in &rows {
            let twin = kubectl(&ns, &create, &grant("row", &row.accepted).to_string()).await?;
            assert!(twin.status.success(), "{}: its twin: {}", row.name, twin.stderr);
            let refused = kubectl(&ns, &create, &grant("row", &row.refused).to_string()).await?;
            assert_eq!(lines(&refused.stderr, minor), lines(&row.says(), minor), "{}", row.name);
            assert!(!refused.status.success(), "{}: allowed", row.name);
        }
        Ok(())
    })
    .await
}

/// The lines of a refusal, sorted: the API server tells fields in any order. Of a value that a
/// rule refuses Kubernetes 1.34 tells its type.
fn lines(refusal: &str, minor: u32) -> Vec<String> {
    let without_value = |line: &str| {
        let (begin, rest) = line.split_once("Invalid value: \"")?;
        Some(format!("{begin}Invalid value: {}", rest.split_once("\": ")?.1))
    };
    let told = |line: &str| if minor == 34 { without_value(line) } else { None };
    let mut lines: Vec<String> = refusal.lines().map(|line| told(line).unwrap_or_else(|| line.to_owned())).collect();
    lines.sort();
    lines
}

/// A text of so many characters that begins with this number.
fn long(number: usize, length: usize, fill: &str) -> String {
    let number = format!("{number:03}");
    number.chars().chain(fill.chars().cycle()).take(length).collect()
}

/// A grant that is as great as can be in every way, and a bit more in one.
fn greatest(secrets: usize, subjects: usize, namespaces: usize, more: usize) -> Value {
    let secrets: Vec<String> = (0..secrets).map(|number| long(number, 253 + more, "-a")).collect();
    let subjects: Vec<Value> =
        (0..subjects).map(|number| json!({"kind": "User", "name": long(number, 512 + more, "🦀")})).collect();
    let namespaces: Vec<String> = (0..namespaces).map(|number| long(number, 63 + more, "a")).collect();
    grant("greatest", &fields(&json!({"secrets": secrets, "subjects": subjects, "namespaces": namespaces})))
}

#[tokio::test]
async fn the_greatest_grant_is_accepted_and_anything_more_is_refused() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.serves_grants().await?;
        let create = ["create", "--dry-run=server", "--filename=-"];
        for (grant, says) in [
            (greatest(64, 100, 100, 0), vec![]),
            (greatest(65, 1, 1, 0), vec!["spec.secrets: Too many: 65: must have at most 64 items"]),
            (greatest(1, 101, 1, 0), vec!["spec.subjects: Too many: 101: must have at most 100 items"]),
            (greatest(1, 1, 101, 0), vec!["spec.namespaces: Too many: 101: must have at most 100 items"]),
            (
                greatest(1, 1, 1, 1),
                vec![
                    "spec.secrets[0]: Too long: may not be more than 253 bytes",
                    "spec.subjects[0].name: Too long: may not be more than 512 bytes",
                    "spec.namespaces[0]: Too long: may not be more than 63 bytes",
                ],
            ),
        ] {
            let created = kubectl(&ns, &create, &grant.to_string()).await?;
            assert_eq!(created.status.success(), says.is_empty(), "{says:?}: {}", created.stderr);
            for line in says {
                assert!(created.stderr.contains(line), "{line}: {}", created.stderr);
            }
        }
        Ok(())
    })
    .await
}

/// Every text of one to four of these parts.
fn texts_near_a_key() -> Vec<String> {
    let parts = ["apolo", "SHARED", "shared", "-", "_", ".", "-0123456789abcdef", "x", "é"];
    let mut texts = vec![String::new()];
    let mut begin = 0;
    for _ in 0..4 {
        let end = texts.len();
        for text in begin..end {
            let longer = parts.iter().map(|part| format!("{}{part}", texts[text]));
            let longer: Vec<String> = longer.collect();
            texts.extend(longer);
        }
        begin = end;
    }
    let distinct: BTreeSet<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    distinct.into_iter().collect()
}

#[tokio::test]
async fn a_grant_takes_the_keys_that_annotations_take() -> anyhow::Result<()> {
    let texts = texts_near_a_key();
    assert!(texts.len() > 5000, "{} texts", texts.len());
    let (mut pods, mut text_of_line) = (String::new(), Vec::new());
    for (number, texts) in texts.chunks(64).enumerate() {
        let head = format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: p{number}\n  annotations:\n    secrets.apolo.us/env: |\n"
        );
        let items = texts.iter().enumerate().map(|(item, text)| format!("      K{item}=secret:{text}\n"));
        text_of_line.extend(head.lines().map(|_| None));
        text_of_line.extend(texts.iter().map(Some));
        pods.push_str(&format!("{head}{}spec: {{containers: [{{name: a, image: b}}]}}\n", items.collect::<String>()));
        text_of_line.push(None);
    }
    let inject = command::run(apolo(&["inject", "--check", "--filename=-"])?, pods).await?;
    let mut no_keys = BTreeSet::new();
    for mistake in inject.stdout.lines().chain(inject.stderr.lines()).filter(|line| line.starts_with("<stdin>:")) {
        let line: usize = mistake.split(':').nth(1).context("no line")?.parse()?;
        no_keys.insert(text_of_line[line - 1].context("no item")?.as_str());
    }
    assert!(no_keys.len() > 1000, "{} texts are no keys", no_keys.len());

    with_namespace(async |ns| {
        ns.serves_grants().await?;
        let api = all(&ns.client, &ns.name, "SecretGrant");
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let mut refused = BTreeSet::new();
        for texts in texts.chunks(64) {
            let grant = serde_json::from_value(grant("keys", &fields(&json!({"secrets": texts}))))?;
            let Err(kube::Error::Api(status)) = api.create(&dry, &grant).await else { continue };
            for cause in status.details.context("no details")?.causes {
                let index = cause.field.strip_prefix("spec.secrets[").and_then(|rest| rest.strip_suffix(']'));
                let index: usize = index.with_context(|| format!("{}: {}", cause.field, cause.message))?.parse()?;
                refused.insert(texts[index].as_str());
            }
        }
        assert_eq!(refused, no_keys);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn access_is_read_where_nothing_else_is_said() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.serves_grants().await?;
        let stored = ns.create(&grant("defaults", &Map::new())).await?;
        let expected = json!({
            "access": "Read",
            "secrets": ["secret-password"],
            "subjects": [{"kind": "User", "name": "bob"}],
        });
        assert_eq!(stored.data["spec"], expected);
        assert_eq!(stored.data.get("status"), None);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_two_managers_apply_is_merged_and_what_one_leaves_out_goes() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.serves_grants().await?;
        let api = all(&ns.client, &ns.name, "SecretGrant");
        let apply = async |manager: &str, spec: Value| {
            let grant =
                json!({"apiVersion": VERSION, "kind": "SecretGrant", "metadata": {"name": "both"}, "spec": spec});
            let applied = api.patch("both", &PatchParams::apply(manager), &Patch::Apply(grant)).await?;
            anyhow::Ok(applied.data["spec"].clone())
        };
        let subjects = json!([{"kind": "User", "name": "bob"}]);
        apply("one", json!({"secrets": ["a", "b"], "subjects": subjects, "namespaces": ["bob"]})).await?;
        let both = apply("two", json!({"secrets": ["b", "c"], "namespaces": ["jobs"]})).await?;
        assert_eq!(both["secrets"], json!(["a", "b", "c"]));
        assert_eq!(both["namespaces"], json!(["bob", "jobs"]));
        let narrowed = apply("one", json!({"secrets": ["b"], "subjects": subjects})).await?;
        assert_eq!(narrowed["secrets"], json!(["b", "c"]));
        assert_eq!(narrowed["namespaces"], json!(["jobs"]));
        // As with the subjects of a RoleBinding, one manager has them all.
        let others = apply("two", json!({"secrets": ["c"], "subjects": [{"kind": "Group", "name": "team"}]})).await;
        let conflict = others.err().context("a second manager took the subjects")?.to_string();
        assert!(conflict.contains("conflict with \"one\"") && conflict.contains(".spec.subjects"), "{conflict}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn status_is_written_only_by_its_subresource() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.serves_grants().await?;
        let mut manifest = grant("forged", &Map::new());
        manifest["status"] = json!({"uris": ["secret://default/alice/aws-key"]});
        let stored = ns.create(&manifest).await?;
        assert_eq!(stored.data.get("status"), None);
        let api = all(&ns.client, &ns.name, "SecretGrant");
        let uris = json!(["secret://default/alice/aws-key"]);
        let patch = Patch::Merge(json!({"spec": {"access": "Manage"}, "status": {"uris": uris}}));
        let patched = api.patch_status("forged", &PatchParams::default(), &patch).await?;
        assert_eq!(patched.data["spec"]["access"], "Read");
        // The controller may have said more by now.
        assert_eq!(patched.data["status"]["uris"], uris);
        Ok(())
    })
    .await
}

/// The paths of all fields below a schema, and those of them that nobody has described.
fn walk(schema: &Value, path: &str, paths: &mut Vec<String>, bare: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if field["description"].as_str().is_none_or(|words| words.len() < 10 || words.contains('\n')) {
            bare.push(path.clone());
        }
        walk(field, &path, paths, bare);
        walk(&field["items"], &path, paths, bare);
        paths.push(path);
    }
}

#[tokio::test]
async fn kubectl_explains_every_field() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.serves_grants().await?;
        for kind in ["secretgrants", "secretcatalogs"] {
            let definition =
                said(&ns, &["get", "crd", &format!("{kind}.{}", "secrets.apolo.us"), "--output=json"]).await?;
            let definition: Value = serde_json::from_str(&definition)?;
            let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            let (mut paths, mut bare) = (Vec::new(), Vec::new());
            walk(schema, "", &mut paths, &mut bare);
            assert!(paths.len() > 10 && bare.is_empty(), "{} fields, not described: {bare:?}", paths.len());

            let mut page = said(&ns, &["explain", kind]).await?;
            page.push_str(&said(&ns, &["explain", kind, "--recursive"]).await?);
            paths.sort();
            for path in paths {
                page.push_str(&said(&ns, &["explain", &format!("{kind}{path}")]).await?);
            }
            snapshot::check(&format!("explain-{kind}.txt"), &page)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_catalog_has_a_status_only() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.serves_grants().await?;
        // One of the name secrets would be the controller's, who would delete it.
        let metadata = json!({"name": "another"});
        ns.create(&json!({"apiVersion": VERSION, "kind": "SecretCatalog", "metadata": metadata})).await?;
        let said = json!({
            "cluster": "default",
            "own": [
                {"key": "AWS_KEY", "created": "2026-01-01T00:00:00Z", "updated": "2026-02-01T00:00:00Z", "sharedWith": 2},
                {"key": "db-creds", "ordinary": true, "sharedWith": 0},
            ],
            "shared": [{
                "uri": "secret://default/alice/secret-password",
                "access": "Read",
                "subjects": ["bob", "group:ml-team"],
                "by": "alice",
                "expiresAt": "2027-01-01T00:00:00Z",
            }],
            "truncated": 3,
        });
        let api = all(&ns.client, &ns.name, "SecretCatalog");
        let patch = Patch::Merge(json!({"status": said}));
        let stored = api.patch_status("another", &PatchParams::default(), &patch).await?;
        assert_eq!(stored.data, json!({"status": said}));
        let shown = kubectl(&ns, &["get", "secretcatalog"], "").await?.stdout;
        assert!(shown.starts_with("NAME      CLUSTER   AGE\nanother   default   "), "{shown}");
        Ok(())
    })
    .await
}
