//! What `apolo-manifest` says that a file says, against kubectl: its corpus, as written and as added to.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use anyhow::Context;
use apolo_tests::{cluster::Cluster, command};
use serde_json::{Value, json};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/apolo-manifest/tests/corpus");

#[tokio::test]
async fn kubectl_reads_the_corpus_as_we_do() -> anyhow::Result<()> {
    let cluster = Cluster::shared()?;
    let mut count = 0;
    for (file, json) in files()? {
        let arguments = ["create", "--dry-run=client", "--validate=false", "--output=json", "--namespace=default"];
        let file = file.to_str().context("a path in UTF-8")?;
        let read = command::run(cluster.kubectl([&arguments[..], &["--filename", file]].concat()), "").await?;
        assert!(read.status.success(), "{file}: {}", read.stderr);
        let mut read =
            serde_json::Deserializer::from_str(&read.stdout).into_iter().collect::<Result<Vec<Value>, _>>()?;
        let ours: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(json)?)?;
        let mut ours: Vec<Value> = ours.into_iter().flat_map(items).collect();
        ours.iter_mut().chain(&mut read).for_each(as_created);
        assert_eq!(ours.len(), read.len(), "{file}");
        for (ours, read) in ours.iter().zip(&read) {
            assert!(is_equal(ours, read), "{file}: we read\n{ours:#}\nkubectl reads\n{read:#}");
        }
        count += 1;
    }
    assert!(count > 40, "{count}");
    Ok(())
}

/// Each file of the corpus, and the same added to, with the JSON that we read in it.
fn files() -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    let mut files = Vec::new();
    let expected = Path::new(CORPUS).join("expected");
    for file in std::fs::read_dir(CORPUS)? {
        let file = file?.path();
        let name = file.file_name().context("a name")?.to_string_lossy().into_owned();
        if name.ends_with(".yaml") || name.ends_with(".json") {
            files.push((file, expected.join(format!("{name}.read.json"))));
            files.push((expected.join(format!("{name}.added")), expected.join(format!("{name}.added.json"))));
        }
    }
    Ok(files)
}

/// kubectl takes a List apart.
fn items(object: Value) -> Vec<Value> {
    match (object["kind"].as_str(), object["items"].as_array()) {
        (Some("List"), Some(items)) => items.clone(),
        _ => vec![object],
    }
}

/// Leaves out what kubectl itself changes in an object that it is to create.
fn as_created(object: &mut Value) {
    object["metadata"]["namespace"] = json!("default");
    object["metadata"].as_object_mut().map(|metadata| metadata.remove("managedFields"));
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    if object["metadata"]["annotations"].is_null() {
        object["metadata"].as_object_mut().map(|metadata| metadata.remove("annotations"));
    }
}

/// Whether two values are one to Kubernetes, which has no integer above 2⁶³.
fn is_equal(ours: &Value, read: &Value) -> bool {
    match (ours, read) {
        (Value::Number(ours), Value::Number(read)) => {
            let (ours, read) = (ours.as_f64().unwrap_or(f64::NAN), read.as_f64().unwrap_or(f64::NAN));
            (ours - read).abs() <= ours.abs() * f64::EPSILON
        }
        (Value::Array(ours), Value::Array(read)) => {
            ours.len() == read.len() && ours.iter().zip(read).all(|(ours, read)| is_equal(ours, read))
        }
        (Value::Object(ours), Value::Object(read)) => {
            ours.len() == read.len()
                && ours.iter().all(|(name, ours)| read.get(name).is_some_and(|read| is_equal(ours, read)))
        }
        _ => ours == read,
    }
}
