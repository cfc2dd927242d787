//! The workload table: one row says all there is to a kind.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

use super::path::{Step, TemplatePath};

/// The rows that are shipped, as a document that people read.
const SHIPPED: &str = include_str!("table.yaml");

/// Every kind whose Pod templates are known.
#[derive(Clone, Debug)]
pub struct Table(Vec<Row>);

/// What there is to know of a kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The API group; empty for the core group.
    pub group: String,
    /// The versions that have this form.
    pub versions: Vec<String>,
    /// The kind.
    pub kind: String,
    /// The plural, as in the URL, where it is not the kind in lower case and an `s`.
    resource: Option<String>,
    /// Where its Pod templates are.
    pub templates: Vec<TemplateColumn>,
    /// The user names of the accounts that create what it controls: its Pods, or other workloads.
    #[serde(default)]
    pub creators: Vec<String>,
    /// The controlling owner that these bear, where it is not the object itself.
    pub owner: Option<Owner>,
}

/// A group and a kind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// The API group.
    pub group: String,
    /// The kind.
    pub kind: String,
}

/// Where Pod templates are, and in which form: in the table `spec.template`, or `{path: spec.podMetadata, form: metadata}`.
#[derive(Clone, Debug)]
pub struct TemplateColumn {
    /// Where.
    pub path: TemplatePath,
    /// In which form.
    pub form: Form,
}

/// How an object holds what becomes of a Pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A PodTemplateSpec: `metadata` and `spec`.
    #[default]
    Template,
    /// `metadata` and `spec` that are laid over a template which is kept elsewhere.
    Override,
    /// Only the metadata of Pods.
    Metadata,
    /// A template of Argo Workflows: `metadata`, `container`, `initContainers`, …
    Argo,
}

/// Why a text is no table.
#[derive(Debug, Error)]
pub enum TableError {
    /// It is not YAML, or not a list of rows.
    #[error("the workload table is not a list of rows")]
    Form(#[source] Box<serde_saphyr::Error>),
    /// Rows that cannot be.
    #[error("{}", .0.join("\n"))]
    Rows(Vec<String>),
}

impl Table {
    /// The table that is shipped: Kubernetes' own kinds, and presets for others.
    ///
    /// # Errors
    /// None, as a test shows.
    pub fn shipped() -> Result<Self, TableError> {
        read(SHIPPED).map(Self)
    }

    /// The table with rows of somebody's own before it, from YAML or JSON; one for a kind that is there replaces it.
    ///
    /// # Errors
    /// Where the text is no list of rows, or rows cannot be: all that is wrong with them.
    pub fn with_own(self, text: &str) -> Result<Self, TableError> {
        let mut rows = read(text)?;
        let mut shipped = self.0;
        shipped.retain(|shipped| !rows.iter().any(|own| own.is_of(&shipped.group, &shipped.kind)));
        rows.append(&mut shipped);
        Ok(Self(rows))
    }

    /// Its rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.0
    }

    /// The row of a kind.
    #[must_use]
    pub fn row(&self, group: &str, version: &str, kind: &str) -> Option<&Row> {
        self.0.iter().find(|row| row.is_of(group, kind) && row.has_version(version))
    }

    /// The row of a resource, named as in the URL.
    #[must_use]
    pub fn row_of_resource(&self, group: &str, version: &str, resource: &str) -> Option<&Row> {
        self.0.iter().find(|row| row.group == group && row.resource() == resource && row.has_version(version))
    }
}

impl Row {
    /// The plural, as in the URL.
    #[must_use]
    pub fn resource(&self) -> String {
        self.resource.clone().unwrap_or_else(|| format!("{}s", self.kind.to_lowercase()))
    }

    /// The paths of the annotations that have an effect, below a place such as `spec.jobTemplate`.
    pub(super) fn annotations_below(&self, place: &[Step]) -> String {
        let columns = self.templates.iter().filter(|column| column.path.begins_with(place));
        let paths: Vec<String> = columns.map(TemplateColumn::annotations).collect();
        match paths.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => "a Pod template".to_owned(),
        }
    }

    fn is_of(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    fn has_version(&self, version: &str) -> bool {
        self.versions.iter().any(|it| it == version)
    }

    /// What is wrong with it.
    fn faults(&self) -> Vec<&'static str> {
        let dns = |text: &str| text.split('.').all(crate::key::is_dns_label);
        let mut faults = Vec::new();
        if !self.group.is_empty() && !dns(&self.group) {
            faults.push("group is an API group, such as batch or ray.io, or \"\" for the core group");
        }
        if self.versions.is_empty() || !self.versions.iter().all(|version| crate::key::is_dns_label(version)) {
            faults.push("versions are one or more API versions, such as v1");
        }
        if self.kind.is_empty() || !self.kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            faults.push("kind is the name of a kind, such as Job");
        }
        if !crate::key::is_dns_label(&self.resource()) {
            faults.push("resource is the kind's plural in lower case, such as jobs");
        }
        if self.templates.is_empty() {
            faults.push("templates are one or more paths of Pod templates, such as spec.template");
        }
        faults
    }
}

impl TemplateColumn {
    /// Where its annotations are.
    fn annotations(&self) -> String {
        let metadata = if self.form == Form::Metadata { "" } else { ".metadata" };
        format!("{}{metadata}.annotations", self.path)
    }
}

impl<'de> Deserialize<'de> for TemplateColumn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Column {
            Path(String),
            Form(InForm),
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct InForm {
            path: String,
            form: Form,
        }
        let (path, form) = match Column::deserialize(deserializer)? {
            Column::Path(path) => (path, Form::Template),
            Column::Form(InForm { path, form }) => (path, form),
        };
        Ok(Self { path: path.parse().map_err(de::Error::custom)?, form })
    }
}

fn read(text: &str) -> Result<Vec<Row>, TableError> {
    let options = serde_saphyr::options! { with_snippet: false };
    let rows: Vec<Row> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| TableError::Form(Box::new(error)))?;
    let mut faults = Vec::new();
    let mut kinds = BTreeSet::new();
    for (index, row) in rows.iter().enumerate() {
        let told = row.faults().into_iter().map(|fault| format!("row {} ({:?}): {fault}", index + 1, row.kind));
        faults.extend(told);
        if !kinds.insert((&row.group, &row.kind)) {
            faults.push(format!(
                "row {} ({:?}): there is a row for this kind already; make one of them",
                index + 1,
                row.kind
            ));
        }
    }
    if faults.is_empty() { Ok(rows) } else { Err(TableError::Rows(faults)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_table_is_right_and_has_kubernetes_own_kinds() {
        let table = Table::shipped().unwrap();
        assert!(table.row("apps", "v1", "Deployment").is_some());
        assert!(table.row("apps", "v1beta1", "Deployment").is_none());
        assert_eq!(table.row_of_resource("batch", "v1", "cronjobs").unwrap().kind, "CronJob");
        for row in table.rows() {
            assert!(!row.creators.is_empty(), "{}", row.kind);
        }
    }

    #[test]
    fn a_row_of_ones_own_replaces_that_of_its_kind() {
        let own = "[{group: batch, versions: [v1], kind: Job, templates: [spec.other]}, \
                   {group: x.io, versions: [v1], kind: Box, resource: boxes, templates: [{path: spec.meta, form: metadata}]}]";
        let table = Table::shipped().unwrap();
        let count = table.rows().len();
        let table = table.with_own(own).unwrap();
        assert_eq!(table.rows().len(), count + 1);
        assert_eq!(table.row("batch", "v1", "Job").unwrap().templates[0].path.to_string(), "spec.other");
        assert_eq!(
            table.row_of_resource("x.io", "v1", "boxes").unwrap().annotations_below(&[]),
            "spec.meta.annotations"
        );
    }

    #[test]
    fn tells_everything_that_is_wrong_with_rows() {
        let own = "[{group: X, versions: [], kind: '', templates: []}]";
        let TableError::Rows(faults) = Table::shipped().unwrap().with_own(own).unwrap_err() else { panic!("not rows") };
        assert_eq!(faults.len(), 4, "{faults:?}");
        for text in ["3", "[{group: a}]", "[{group: a, versions: [v1], kind: A, templates: [spec..a]}]", "[{"] {
            assert!(matches!(Table::shipped().unwrap().with_own(text), Err(TableError::Form(_))), "{text}");
        }
    }

    #[test]
    fn a_place_names_the_templates_below_it() {
        let own = "[{group: x.io, versions: [v1], kind: Box, templates: ['spec.a[*].template.spec.template', spec.b.*.template]}]";
        let table = Table::shipped().unwrap().with_own(own).unwrap();
        let row = table.row("x.io", "v1", "Box").unwrap();
        let first = "spec.a[*].template.spec.template.metadata.annotations";
        assert_eq!(row.annotations_below(&[]), format!("{first} or spec.b.*.template.metadata.annotations"));
        let place: TemplatePath = "spec.a[*].template".parse().unwrap();
        assert_eq!(row.annotations_below(place.steps()), first);
    }
}
