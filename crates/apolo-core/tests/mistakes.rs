//! The table of mistakes, `tests/tables/mistakes.yaml`: what an author may write wrong, and what is then said.
//!
//! The same table goes through the real API server in the crate of cluster tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use apolo_core::mistake::{self, Mistakes};
use apolo_core::names;
use apolo_core::pod::Pod;
use apolo_core::reference::Scope;
use apolo_core::targets::Targets;
use apolo_core::workload::{Table, Workload};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Row {
    name: String,
    clause: String,
    kinds: Vec<String>,
    volume: Option<String>,
    env: Option<String>,
    containers: Option<String>,
    file_mode: Option<String>,
    #[serde(default)]
    annotations: Map<String, Value>,
    #[serde(default)]
    spec: Map<String, Value>,
    object: Option<Value>,
    says: String,
}

impl Row {
    fn pod(&self) -> Value {
        let mut annotations = self.annotations.clone();
        for (name, value) in [
            (names::VOLUME, &self.volume),
            (names::ENV, &self.env),
            (names::CONTAINERS, &self.containers),
            (names::FILE_MODE, &self.file_mode),
        ] {
            annotations.extend(value.iter().map(|value| (name.to_owned(), json!(value))));
        }
        let mut spec = Map::from_iter([("containers".to_owned(), json!([{"name": "main", "image": "busybox"}]))]);
        spec.extend(self.spec.clone());
        json!({"metadata": {"name": "row", "annotations": annotations}, "spec": spec})
    }
}

/// What is refused, clause by clause, in the words of the contract.
const CLAUSES: [&str; 36] = [
    "no path",
    "relative path",
    "`/` alone",
    "a `.`, `..` or empty segment",
    "`:` or a control character in a path",
    "beyond the contract: a path that Linux does not take",
    "`:rw` refused",
    "two items on one path",
    "an item under a directory of ours",
    "two files of one name in a directory",
    "beyond the contract: two volumes of one name",
    "a path that a container already mounts",
    "beyond the contract: devices are mounts, too",
    "a directory under which the container mounts anything",
    "the service account token included",
    "a path inside a read-only mount",
    "a path inside a configMap, secret, projected or downwardAPI mount",
    "bad key",
    "a KEY whose object's name would begin with `apolo-shared-`",
    "bad reference",
    "another cluster than this one",
    "other schemes",
    "every mistake at once",
    "no `=`",
    "the right-hand side is never echoed",
    "an env name that is not printable ASCII without `=` and `,`",
    "the same name twice",
    "a name that the container already sets to something else",
    "an unknown container",
    "a bad mode",
    "a volume `apolo-secrets…` that is somebody else's",
    "an unknown annotation beginning `secrets.apolo.us/`",
    "too many items",
    "static and mirror Pods cannot use secrets",
    "our annotations where they do nothing: on a workload's own metadata",
    "our annotations where they do nothing: on a CronJob's jobTemplate",
];

fn table() -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/tables/mistakes.yaml");
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

const SCOPE: Scope<'_> = Scope { cluster: "default", namespace: Some("bob") };

fn mistakes_of(row: &Row) -> Mistakes {
    match &row.object {
        Some(object) => mistakes_of_workload(object),
        None => mistakes_of_pod(&row.pod()).expect_err(&row.name),
    }
}

fn mistakes_of_pod(pod: &Value) -> Result<(), Mistakes> {
    let text = pod.to_string();
    let pod: Pod<'_> = serde_json::from_str(&text).unwrap();
    Targets::read(&pod, SCOPE).map(|_| ())
}

fn mistakes_of_workload(object: &Value) -> Mistakes {
    let (group, version) = object["apiVersion"].as_str().unwrap().split_once('/').unwrap();
    let table = Table::shipped().unwrap();
    let row = table.row(group, version, object["kind"].as_str().unwrap()).unwrap();
    let text = object.to_string();
    Workload::open(row, serde_json::from_str(&text).unwrap()).unwrap().check(SCOPE).unwrap()
}

#[test]
fn every_row_is_refused_in_its_words_and_for_its_reasons() {
    for row in table() {
        let mistakes = mistakes_of(&row);
        let kinds: Vec<&str> = mistakes.iter().map(|mistake| mistake.wrong.kind()).collect();
        assert_eq!(kinds, row.kinds, "{}", row.name);
        assert_eq!(mistakes.to_string(), row.says.trim_end(), "{}", row.name);
    }
}

#[test]
fn every_kind_of_mistake_has_a_row() {
    let rows: BTreeSet<String> = table().into_iter().flat_map(|row| row.kinds).collect();
    let kinds: BTreeSet<String> = mistake::kinds().map(str::to_owned).collect();
    assert_eq!(rows, kinds);
}

#[test]
fn every_clause_of_the_contract_has_a_row() {
    let rows: BTreeSet<String> = table().into_iter().map(|row| row.clause).collect();
    assert_eq!(rows, CLAUSES.map(str::to_owned).into());
}
