//! The values of the chart: what `values.yaml` says of each, in the comment above it.

use anyhow::Context;
use serde_json::Value;

use crate::generated::root;

/// One value.
#[derive(Debug)]
pub struct ChartValue {
    /// Where it is: `webhook.replicas`.
    pub path: String,
    /// What it is.
    pub words: String,
    /// What it is unless somebody says otherwise, as JSON; none of what only holds others.
    pub default: Option<String>,
}

impl ChartValue {
    /// All of them, in the order of the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn all() -> anyhow::Result<Vec<Self>> {
        let text = std::fs::read_to_string(root().join("charts/apolo-secrets/values.yaml"))?;
        let defaults: Value = serde_saphyr::from_str(&text)?;
        let mut all: Vec<Self> = Vec::new();
        let (mut words, mut path) = (Vec::new(), Vec::<&str>::new());
        for line in text.lines() {
            let trimmed = line.trim_start();
            if let Some(comment) = trimmed.strip_prefix('#') {
                // What begins with "#  " is commented out.
                words.extend(comment.strip_prefix(' ').filter(|comment| !comment.starts_with(' ')));
            } else if !words.is_empty() {
                let (name, _) = trimmed.split_once(':').context("a comment stands above no value")?;
                path.truncate((line.len() - trimmed.len()) / 2);
                path.push(name);
                let default = defaults.pointer(&format!("/{}", path.join("/")));
                let default = default.with_context(|| format!("{path:?} is not there"))?.to_string();
                all.push(Self { path: path.join("."), words: words.join(" "), default: Some(default) });
                words.clear();
            }
        }
        let paths: Vec<String> = all.iter().map(|value| format!("{}.", value.path)).collect();
        for value in &mut all {
            let holds = paths
                .iter()
                .any(|path| path.strip_prefix(&value.path).is_some_and(|rest| rest.len() > 1 && rest.starts_with('.')));
            value.default = value.default.take().filter(|_| !holds);
        }
        Ok(all)
    }
}
