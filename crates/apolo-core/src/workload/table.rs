//! The workload table: one row says all there is to a kind.

mod written;

use thiserror::Error;

use super::path::{Step, TemplatePath};
use crate::pod::Metadata;

/// The rows that are shipped, as a document that people read.
const SHIPPED: &str = include_str!("table.yaml");

/// Every kind whose Pod templates are known.
#[derive(Clone, Debug)]
pub struct Table(Vec<Row>);

/// What there is to know of a kind.
#[derive(Clone, Debug)]
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
    pub creators: Vec<String>,
    /// The controlling owner that these bear, where it is not the object itself.
    pub owner: Option<Owner>,
    /// Whether stamps on its templates are believed: not where something else says what its Pods run or bear.
    pub stamps: bool,
}

/// A group and a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Form {
    /// A PodTemplateSpec: `metadata` and `spec`.
    Template,
    /// `metadata` and `spec` that are laid over a template which is kept elsewhere.
    Override,
    /// Only the metadata of Pods.
    Metadata,
    /// A template of Argo Workflows: `metadata`, `container`, `initContainers`, …
    Argo,
}

/// Why a text is no table: everything that is wrong with it, a line each.
#[derive(Debug, Error)]
#[error("{}", .0.join("\n"))]
pub struct TableError(Vec<String>);

impl Table {
    /// The table that is shipped: Kubernetes' own kinds, and presets for others.
    ///
    /// # Errors
    /// None, as a test shows.
    pub fn shipped() -> Result<Self, TableError> {
        written::rows(SHIPPED).map(Self)
    }

    /// The table with rows of somebody's own before it, from YAML or JSON; one for a kind that is there replaces it.
    ///
    /// # Errors
    /// Where the text is no list of rows, or rows cannot be: all that is wrong with them.
    pub fn with_own(self, text: &str) -> Result<Self, TableError> {
        let mut rows = written::rows(text)?;
        let mut shipped = self.0;
        shipped.retain(|shipped| !rows.iter().any(|own| own.is_of(&shipped.group, &shipped.kind)));
        rows.append(&mut shipped);
        match written::more_than_one(&rows) {
            faults if faults.is_empty() => Ok(Self(rows)),
            faults => Err(TableError(faults)),
        }
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

    /// Whether an object was made by the controller of what owns it: its creator and its controlling owner are one row, whose stamps
    /// are believed. Only on such a one a stamp is.
    #[must_use]
    pub fn made(&self, creator: &str, object: &Metadata<'_>) -> bool {
        let Some(owner) = object.controlling_owner() else { return false };
        let is_owner = |row: &Row| match &row.owner {
            Some(it) => it.group == owner.group() && it.kind == *owner.kind,
            // In another version its templates may be elsewhere.
            None => row.is_of(owner.group(), &owner.kind) && row.has_version(owner.version()),
        };
        self.0.iter().any(|row| row.stamps && is_owner(row) && row.creators.iter().any(|it| it == creator))
    }

    /// Whether a user is an account that makes the objects of others.
    #[must_use]
    pub fn is_creator(&self, user: &str) -> bool {
        self.0.iter().any(|row| row.creators.iter().any(|creator| creator == user))
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
}

impl TemplateColumn {
    /// Where its annotations are.
    fn annotations(&self) -> String {
        let metadata = if self.form == Form::Metadata { "" } else { ".metadata" };
        format!("{}{metadata}.annotations", self.path)
    }
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
    fn an_object_is_of_its_owners_controller_only_if_both_are_one_row() {
        let own = "[{group: x.io, versions: [v1], kind: Box, templates: [a], creators: [boxer], owner: {group: y.io, kind: Lid}}]";
        let table = Table::shipped().unwrap().with_own(own).unwrap();
        let (job, replica_set) = (
            "system:serviceaccount:kube-system:job-controller",
            "system:serviceaccount:kube-system:replicaset-controller",
        );
        for (creator, api_version, kind, controller, made) in [
            (job, "batch/v1", "Job", true, true),
            (job, "batch/v2", "Job", true, false),
            (job, "batch/v1", "Job", false, false),
            (job, "apps/v1", "ReplicaSet", true, false),
            (replica_set, "apps/v1", "ReplicaSet", true, true),
            (replica_set, "v1", "ReplicaSet", true, false),
            ("bob", "batch/v1", "Job", true, false),
            ("boxer", "y.io/v1", "Lid", true, true),
            ("boxer", "x.io/v1", "Box", true, false),
            ("system:serviceaccount:jobset-system:jobset-controller", "jobset.x-k8s.io/v1alpha2", "JobSet", true, true),
            // What its Pods run does not stand in its templates alone.
            ("system:serviceaccount:ray-system:kuberay-operator", "ray.io/v1", "RayCluster", true, false),
        ] {
            let metadata = format!(
                r#"{{"ownerReferences":[{{"apiVersion":"{api_version}","kind":"{kind}","controller":{controller}}}]}}"#
            );
            assert_eq!(table.made(creator, &serde_json::from_str(&metadata).unwrap()), made, "{creator} {metadata}");
        }
        assert!(!table.made(job, &Metadata::default()) && table.is_creator(job) && !table.is_creator("bob"));
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
        let told = |text: &str| Table::shipped().unwrap().with_own(text).unwrap_err().to_string();
        assert_eq!(
            told(
                "[{group: X, versions: [], kind: '', template: a}, \
                 {group: a.io, versions: [v1], kind: A, resource: A, creators: x, owner: B, stamps: 1, templates: \
                 [spec..a, 3, {path: spec.b}, {path: spec.c, form: jobs}]}]"
            )
            .lines()
            .collect::<Vec<_>>(),
            [
                r#"row 1 (""): there is no field "template"; the fields are group, versions, kind, resource, templates, creators, owner, stamps"#,
                r#"row 1 (""): group is an API group, such as batch or ray.io, or "" for the core group"#,
                r#"row 1 (""): versions are one or more API versions, such as [v1]"#,
                r#"row 1 (""): kind is the name of a kind, such as Job"#,
                r#"row 1 (""): templates are one or more paths of Pod templates, such as [spec.template]"#,
                r#"row 2 ("A"): resource is the kind's plural in lower case, such as jobs"#,
                &format!(r#"row 2 ("A"): templates, "spec..a": {}"#, crate::workload::PathFormError),
                &format!(r#"row 2 ("A"): templates, "": {}"#, crate::workload::PathFormError),
                r#"row 2 ("A"): templates, "spec.b": form is one of template, override, metadata, argo"#,
                r#"row 2 ("A"): templates, "spec.c": form is one of template, override, metadata, argo"#,
                r#"row 2 ("A"): creators are user names of accounts"#,
                r#"row 2 ("A"): owner is a group and a kind, such as {group: batch, kind: Job}"#,
                r#"row 2 ("A"): stamps is true or false"#,
            ]
        );
        for (text, words) in [
            ("3", "the rows are a list"),
            ("", "the rows are a list"),
            ("[]\n---\n[]", "the rows are one document"),
            ("workloads: []", "these are values of the chart"),
            ("[{", "the rows are not YAML (at line 1, column "),
            ("[3]", "row 1 is no row; a row has group"),
            (
                "[{group: a.io, versions: [v1], kind: A, templates: [{path: spec.a, form: template, frm: x}]}]",
                "row 1 (\"A\"): templates, there is no field \"frm\"; the fields are path, form",
            ),
            (
                "[{group: a.io, versions: [v1], kind: A, templates: [spec.a], owner: {group: 'X Y', kind: K}}]",
                "row 1 (\"A\"): owner is a group and a kind",
            ),
        ] {
            assert!(told(text).starts_with(words), "{text}: {}", told(text));
        }
    }

    #[test]
    fn a_kind_has_one_row_and_a_pod_none() {
        for row in [
            "group: '', versions: [v1], kind: Pod",
            "group: batch, versions: [v1], kind: job",
            "group: batch, versions: [v1], kind: Jobb, resource: jobs",
        ] {
            let error =
                Table::shipped().unwrap().with_own(&format!("[{{{row}, templates: [spec.template]}}]")).unwrap_err();
            assert!(error.to_string().starts_with("there is more than one row for "), "{row}: {error}");
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
