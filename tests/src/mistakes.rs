//! The table of mistakes, `tests/tables/mistakes.yaml`: what an author may write wrong, and what is then said.
#![allow(clippy::indexing_slicing, reason = "to set an index of a JSON object adds what is not there")]

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::kinds::{Column, Kind, Placed};

const TABLE: &str = include_str!("../tables/mistakes.yaml");

/// Mistakes that only the containers of a Pod show, which metadata alone does not have.
const OF_CONTAINERS: [&str; 6] =
    ["unknown-container", "path-taken", "mount-below", "inside-read-only", "variable-taken", "volume-taken"];

/// A row of the table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// What it shows.
    pub name: String,
    /// The kinds of its mistakes, in order.
    pub kinds: Vec<String>,
    volume: Option<String>,
    env: Option<String>,
    containers: Option<String>,
    file_mode: Option<String>,
    #[serde(default)]
    annotations: Map<String, Value>,
    #[serde(default)]
    spec: Map<String, Value>,
    /// A whole object, where the row is none of a Pod.
    pub object: Option<Value>,
    says: String,
}

/// All rows.
///
/// # Errors
/// When the table is none.
pub fn rows() -> Result<Vec<Row>, serde_saphyr::Error> {
    serde_saphyr::from_str(TABLE)
}

impl Row {
    /// The Pod, or the object of the row.
    pub fn object(&self) -> Value {
        let mut object = self.object.clone().unwrap_or_else(|| self.template());
        if self.object.is_none() {
            object["apiVersion"] = json!("v1");
            object["kind"] = json!("Pod");
            object["metadata"]["name"] = json!("row");
        }
        object
    }

    /// What is said of it, without a final newline.
    pub fn says(&self) -> &str {
        self.says.trim_end()
    }

    /// An object of a kind with the row's Pod as its template, and what is then said; none where that template cannot make
    /// these mistakes.
    pub fn within(&self, kind: &Kind, column: &Column) -> Option<(Placed, String)> {
        let makes = |mistakes: &[&str]| self.kinds.iter().any(|kind| mistakes.contains(&kind.as_str()));
        let cannot = match column.form.as_str() {
            "override" => makes(&["unknown-container"]),
            "metadata" => makes(&OF_CONTAINERS),
            _ => false,
        };
        if cannot || self.object.is_some() {
            return None;
        }
        let placed = kind.place(column, &self.template());
        let lines: Vec<String> = self.says().lines().map(|line| format!("{}: {line}", placed.path)).collect();
        // Who counts is told once, for the whole object.
        let says = lines.join("\n").replace(&format!("{}: and more", placed.path), "and more");
        Some((placed, says))
    }

    fn template(&self) -> Value {
        let ours = [
            ("volume", &self.volume),
            ("env", &self.env),
            ("containers", &self.containers),
            ("file-mode", &self.file_mode),
        ];
        let mut annotations = self.annotations.clone();
        for (name, value) in ours {
            annotations.extend(value.iter().map(|value| (format!("secrets.apolo.us/{name}"), json!(value))));
        }
        let mut spec = Map::from_iter([("containers".to_owned(), json!([{"name": "main", "image": "busybox"}]))]);
        spec.extend(self.spec.clone());
        json!({"metadata": {"annotations": annotations}, "spec": spec})
    }
}
