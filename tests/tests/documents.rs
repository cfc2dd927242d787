//! Documents that are made from others are up to date: `make generate` writes them, `make verify` checks them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use serde::Deserialize;

const GENERATE: &str = "APOLO_GENERATE";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Writes a document, or holds what is there against what it should be.
fn check(path: &str, content: &str) -> anyhow::Result<()> {
    let file = root().join(path);
    if std::env::var_os(GENERATE).is_some() {
        return std::fs::write(&file, content).with_context(|| format!("writing {path}"));
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(there == content, "{path} is not up to date: run make generate");
    Ok(())
}

#[derive(Deserialize)]
struct Row {
    name: String,
    says: String,
}

#[test]
fn the_reference_of_mistakes_is_the_table_of_mistakes() -> anyhow::Result<()> {
    let rows: Vec<Row> = serde_saphyr::from_str(include_str!("../tables/mistakes.yaml"))?;
    let mut page = String::from(
        "# Mistakes\n\nWhat is said about a manifest that asks for secrets in a wrong way. All mistakes are told at once, one a \
         line, each\nwith its annotation, its item and the mend. Generated from `tests/tables/mistakes.yaml`.\n",
    );
    for Row { name, says } in rows {
        let mut first = name.chars();
        let title: String = first.next().into_iter().flat_map(char::to_uppercase).chain(first).collect();
        page.push_str(&format!("\n## {title}\n\n```text\n{}\n```\n", says.trim_end()));
    }
    check("docs/reference/mistakes.md", &page)
}

#[test]
fn the_workload_table_of_the_chart_is_that_of_the_webhook() -> anyhow::Result<()> {
    check("charts/apolo-secrets/files/workloads.yaml", include_str!("../../crates/apolo-core/src/workload/table.yaml"))
}

#[test]
fn the_reference_of_the_servers_is_what_their_help_says() -> anyhow::Result<()> {
    let mut page = String::from("# apolo-secrets\n\nThe servers, one binary. Generated from its `--help`.\n");
    for arguments in [&["--help"][..], &["webhook", "--help"]] {
        page.push_str(&help(&apolo_tests::webhook::binary()?, "apolo-secrets", arguments)?);
    }
    check("docs/reference/apolo-secrets.md", &page)
}

#[test]
fn the_reference_of_the_command_is_what_its_help_says() -> anyhow::Result<()> {
    let mut page = String::from("# apolo\n\nThe command. Generated from its `--help`.\n");
    for arguments in [&["--help"][..], &["inject", "--help"], &["completion", "--help"], &["version", "--help"]] {
        page.push_str(&help(&apolo_tests::binaries::built("apolo")?, "apolo", arguments)?);
    }
    check("docs/reference/apolo.md", &page)
}

/// The help of a binary, as a section of a page.
fn help(binary: &Path, name: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let help = Command::new(binary).args(arguments).env_clear().env("COLUMNS", "120").output()?;
    let title = [&[name], arguments].concat().join(" ");
    Ok(format!("\n## {title}\n\n```text\n{}\n```\n", String::from_utf8(help.stdout)?.trim_end()))
}

#[test]
fn the_readme_quotes_the_examples_as_they_are() -> anyhow::Result<()> {
    let readme = std::fs::read_to_string(root().join("README.md"))?;
    let example = std::fs::read_to_string(root().join("examples/job.yaml"))?;
    let quoted: String = example.lines().skip(1).map(|line| format!("{line}\n")).collect();
    assert!(readme.contains(&quoted), "README.md does not quote examples/job.yaml as it is");
    Ok(())
}
