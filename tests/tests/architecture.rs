//! Which crate may use which: dependencies go one way.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, process::Command};

use anyhow::Context;
use serde_json::Value;

/// Each crate, and those of ours that it may use. The tests are strangers: they see the API server and the binaries.
const TABLE: [(&str, &[&str]); 11] = [
    ("apolo-core", &[]),
    ("apolo-manifest", &[]),
    ("apolo-api", &["apolo-core"]),
    ("apolo-runtime", &["apolo-core"]),
    ("apolo-webhook", &["apolo-core", "apolo-api", "apolo-runtime"]),
    ("apolo-controller", &["apolo-core", "apolo-api", "apolo-runtime"]),
    ("apolo-client", &["apolo-core", "apolo-api"]),
    ("apolo-secrets", &["apolo-api", "apolo-client", "apolo-controller", "apolo-runtime", "apolo-webhook"]),
    ("apolo-cli", &["apolo-client", "apolo-core", "apolo-manifest"]),
    ("apolo-bench", &["apolo-runtime", "apolo-tests"]),
    ("apolo-tests", &[]),
];

/// The crates that are pure.
const PURE: [&str; 2] = ["apolo-core", "apolo-manifest"];

/// What these may not depend on.
const NOT_IN_THEM: [&str; 8] = ["tokio", "hyper", "axum", "kube", "k8s-openapi", "tracing", "reqwest", "rustls"];

#[test]
fn dependencies_go_one_way() -> anyhow::Result<()> {
    let table = BTreeMap::from(TABLE);
    for package in packages()? {
        let name = package["name"].as_str().context("no name")?;
        let allowed = table.get(name).with_context(|| format!("{name} is not in the table"))?;
        for dependency in dependencies(&package) {
            let ours = dependency.starts_with("apolo-");
            assert!(!ours || allowed.contains(&dependency), "{name} may not use {dependency}");
            assert!(
                !PURE.contains(&name) || !NOT_IN_THEM.contains(&dependency),
                "{name} is pure, but uses {dependency}"
            );
        }
    }
    Ok(())
}

fn packages() -> anyhow::Result<Vec<Value>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output =
        Command::new(cargo).args(["metadata", "--no-deps", "--format-version=1", "--locked", "--offline"]).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    Ok(metadata["packages"].as_array().context("no packages")?.clone())
}

fn dependencies(package: &Value) -> impl Iterator<Item = &str> {
    package["dependencies"].as_array().into_iter().flatten().filter_map(|dependency| dependency["name"].as_str())
}

#[test]
fn the_document_has_the_same_table() -> anyhow::Result<()> {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ARCHITECTURE.md"))?;
    for (name, uses) in TABLE {
        let row = document.lines().find(|line| line.starts_with(&format!("| `{name}`"))).context(name)?;
        let cell = row.split('|').nth(3).context("three columns")?.trim();
        let shown: Vec<&str> = uses.iter().map(|name| name.trim_start_matches("apolo-")).collect();
        assert_eq!(cell, if shown.is_empty() { "–".to_owned() } else { shown.join(", ") }, "{name}");
    }
    Ok(())
}
