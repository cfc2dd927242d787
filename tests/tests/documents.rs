//! Documents that are made from others are up to date: `make generate` writes them, `make verify` checks them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use apolo_tests::examples::Example;
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

/// The parts of docs/EXAMPLES.md: a folder of `examples`, its title, and what is to be said of all that is in it.
const PARTS: &[(&str, &str, &str)] = &[
    ("", "First", "The shortest forms, and what a mistake looks like."),
    ("pods", "Pods", "One Pod: where a secret can go, and who in the Pod gets it."),
    (
        "jobs",
        "Jobs",
        "Work that ends. The annotations belong to the Pod template: `spec.template.metadata`, and in a CronJob\n\
         `spec.jobTemplate.spec.template.metadata`.",
    ),
    ("services", "Services", "What keeps running. The annotations belong to `spec.template.metadata`."),
    (
        "training",
        "Training",
        "Kinds that operators bring: KubeRay, JobSet, Kubeflow. Their Pods are made from Pod templates as all others are, so that\n\
         it is enough to know where the template is.",
    ),
    (
        "workflows",
        "Workflows",
        "Argo Workflows, whose templates are not Pod templates but have the metadata of their Pods.",
    ),
    ("shared", "Shared secrets", "Secrets of another namespace. This version refuses them: sharing is not there yet."),
    (
        "mistakes",
        "Mistakes",
        "What is refused, with all that is wrong at once. More are in [reference/mistakes.md](reference/mistakes.md).",
    ),
];

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
fn the_page_of_examples_is_what_the_examples_say() -> anyhow::Result<()> {
    let examples = Example::all()?;
    let (mut index, mut body) = (String::new(), String::new());
    let mut shown = 0;
    for (folder, title, words) in PARTS {
        index.push_str(&format!("\n**{title}**\n\n"));
        body.push_str(&format!("\n## {title}\n\n{words}\n"));
        for example in examples.iter().filter(|example| example.folder() == *folder) {
            let (name, story) = (&example.name, example.story());
            let anchor: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            let words = story.replace('\n', " ");
            let first = words.split(". ").next().unwrap_or_default().trim_end_matches('.');
            index.push_str(&format!("- [{name}](#{anchor}): {first}\n"));
            let manifest = example.manifest();
            body.push_str(&format!("\n### [{name}](../examples/{name})\n\n{story}\n\n```yaml\n{manifest}```\n"));
            shown += 1;
        }
    }
    assert_eq!(shown, examples.len(), "a folder of examples has no part in docs/EXAMPLES.md");
    let page = format!(
        "# Examples\n\nManifests to copy. The tests apply each of them to a real API server, twice, and look whether its Pods have what it \
         asks for;\nwhat says that it is refused has to be.\n\nA key is the name of an ordinary Secret in the Pod's own namespace, with one entry of that name:\n\n    \
         kubectl create secret generic KEY --from-file=KEY=./file\n\nThis page is generated from `examples`, comments and all.\n\
         {index}{body}"
    );
    check("docs/EXAMPLES.md", &page)
}

#[test]
fn each_example_says_what_it_is() -> anyhow::Result<()> {
    for example in Example::all()? {
        assert!(!example.story().is_empty(), "{}: it has no comment on top", example.name);
        assert!(example.manifest().contains("secrets.apolo.us/"), "{}: it asks for nothing", example.name);
    }
    Ok(())
}

/// The blocks of YAML in a document, each with the name of the example that is linked last above it, after the block before.
fn quotes(document: &str) -> Vec<(String, &str)> {
    let mut quotes = Vec::new();
    // Every second part is the inside of a block.
    let parts: Vec<&str> = document.split("\n```").collect();
    for pair in parts.chunks_exact(2) {
        let [text, block] = pair else { continue };
        let name = text.rsplit_once("examples/").and_then(|(_, link)| link.split_once(".yaml)"));
        if let (Some((name, _)), Some(yaml)) = (name, block.strip_prefix("yaml\n")) {
            quotes.push((format!("{name}.yaml"), yaml));
        }
    }
    quotes
}

#[test]
fn the_documents_quote_the_examples_as_they_are() -> anyhow::Result<()> {
    let examples = Example::all()?;
    let mut pages = vec![root().join("README.md")];
    for entry in std::fs::read_dir(root().join("docs"))? {
        pages.push(entry?.path());
    }
    let mut quoted = 0;
    // The page of examples is made of them.
    for page in pages.iter().filter(|page| page.is_file() && !page.ends_with("EXAMPLES.md")) {
        for (name, yaml) in quotes(&std::fs::read_to_string(page)?) {
            let example = examples.iter().find(|example| example.name == name);
            let example = example.with_context(|| format!("{}: there is no examples/{name}", page.display()))?;
            assert_eq!(yaml, example.manifest().trim_end(), "{}", page.display());
            quoted += 1;
        }
    }
    assert!(quoted > 0, "no document quotes an example");
    Ok(())
}
