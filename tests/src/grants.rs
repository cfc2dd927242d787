//! SecretGrants as JSON, and the table of what may stand in one: `tests/tables/grants.yaml`.
#![allow(clippy::indexing_slicing, reason = "to set an index of a JSON object adds what is not there")]

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    command,
    control_plane::ControlPlane,
    eventually::{NotYet, eventually},
};

/// The version of our kinds.
pub const VERSION: &str = "secrets.apolo.us/v1alpha1";

const TABLE: &str = include_str!("../tables/grants.yaml");

/// A row of the table: what is refused, in which words, and a twin that is accepted.
#[derive(Debug, Deserialize)]
pub struct Row {
    /// What it shows.
    pub name: String,
    /// The fields of a spec that is refused, in place of those of [`grant`]; null takes one away.
    pub refused: Map<String, Value>,
    /// Those of its twin.
    pub accepted: Map<String, Value>,
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
    /// All that kubectl says of the grant `row` that is refused.
    pub fn says(&self) -> String {
        let lines: Vec<&str> = self.says.lines().collect();
        match lines.as_slice() {
            [line] if line.starts_with("Error") => (*line).to_owned(),
            [line] => format!("The SecretGrant \"row\" is invalid: {line}"),
            lines => format!("The SecretGrant \"row\" is invalid: \n* {}", lines.join("\n* ")),
        }
    }
}

/// A grant of one secret to bob, with these fields of its spec in place of those; null takes one away.
pub fn grant(name: &str, fields: &Map<String, Value>) -> Value {
    let mut spec = json!({"secrets": ["secret-password"], "subjects": [{"kind": "User", "name": "bob"}]});
    for (field, value) in fields {
        spec[field] = value.clone();
    }
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|_, value| !value.is_null());
    }
    json!({"apiVersion": VERSION, "kind": "SecretGrant", "metadata": {"name": name}, "spec": spec})
}

impl ControlPlane {
    /// Waits until the API server serves our kinds, which the chart brings, and tells kubectl of their fields.
    ///
    /// # Errors
    /// When it does not by the deadline.
    pub async fn serves_grants(&self) -> Result<(), NotYet> {
        eventually("the API server explains our kinds", async || {
            for kind in ["secretgrants", "secretcatalogs"] {
                let explained = command::run(self.kubectl(["explain", kind]), "").await;
                let explained = explained.map_err(|error| error.to_string())?;
                if !explained.status.success() {
                    return Err(explained.stderr);
                }
            }
            Ok(())
        })
        .await
    }
}
