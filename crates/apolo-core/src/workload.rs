//! Workloads: the objects whose Pods somebody else makes, and what is wrong with their Pod templates.
//!
//! In the order in which the data goes: the [`Table`] says of each kind where its Pod templates are; an object of that kind is
//! [opened](Workload::open) into its templates and the metadata above them; and [`Workload::check`] tells the mistakes in
//! them, as the Pods would have them. A template is never changed here.

mod argo;
mod descend;
mod path;
mod stamping;
mod table;

use std::collections::HashSet;

use serde_json::value::RawValue;
use thiserror::Error;

use self::descend::End;
use crate::mistake::{Mistakes, Place, Wrong};
use crate::pod::{Metadata, Pod};
use crate::reference::Scope;
use crate::targets::Targets;
use crate::text::shortened;

pub use path::{PathFormError, Step, TemplatePath};
pub use stamping::{Editor, StampError, Stamped};
pub use table::{Form, Owner, Row, Table, TableError, TemplateColumn};

/// An object of a kind of the table, as far as it is read.
#[derive(Debug)]
pub struct Workload<'a> {
    /// The row of its kind.
    pub row: &'a Row,
    /// The metadata above its Pod templates: its own first, then that of what holds a template, such as a CronJob's
    /// `spec.jobTemplate`.
    pub above: Vec<Above<'a>>,
    /// Its Pod templates, in their order.
    pub templates: Vec<Template<'a>>,
}

/// Metadata above Pod templates, where annotations of ours have no effect.
#[derive(Debug)]
pub struct Above<'a> {
    /// The path of what bears it; empty for the object itself.
    pub path: String,
    /// Where its annotations are, as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// The steps of the template's path that lead there.
    pattern: &'a [Step],
    /// The metadata.
    pub metadata: Metadata<'a>,
}

/// A Pod template.
#[derive(Debug)]
pub struct Template<'a> {
    /// Where it is, such as `spec.replicatedJobs[0].template.spec.template`.
    pub path: String,
    /// The same as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// How it holds a Pod.
    pub form: Form,
    /// Its JSON.
    pub text: &'a str,
}

/// Something in an object that is not as its kind has it. The text does not quote what was found.
#[derive(Debug, Error)]
#[error("{} cannot be read", if path.is_empty() { "the object" } else { path })]
pub struct FormError {
    /// Where.
    pub path: String,
    /// The same as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What the reader of JSON says.
    pub source: serde_json::Error,
}

impl<'a> Workload<'a> {
    /// Opens the JSON of an object of the row's kind.
    ///
    /// # Errors
    /// Where it is not JSON, or a field on the way to a template is no object or list, or stands there twice.
    pub fn open(row: &'a Row, object: &'a RawValue) -> Result<Self, FormError> {
        let mut workload = Self { row, above: Vec::new(), templates: Vec::new() };
        for column in &row.templates {
            let found = descend::find(object, &column.path)?;
            // What two paths have in common is found on both.
            let known: HashSet<String> = workload.above.iter().map(|above| above.path.clone()).collect();
            workload.above.extend(found.above.into_iter().filter(|above| !known.contains(&above.path)));
            if column.form == Form::Argo {
                for end in &found.ends {
                    workload.above.extend(argo::beside(end, column.path.steps())?);
                }
            }
            let templates = found.ends.into_iter();
            workload.templates.extend(templates.map(|End { path, pointer, text }| Template {
                path,
                pointer,
                form: column.form,
                text,
            }));
        }
        Ok(workload)
    }

    /// Whether a Pod template differs from what it was, or is new, or has gone; or one of our annotations above them.
    ///
    /// The JSON of templates is compared as text: an API server writes what is equal in the same way.
    #[must_use]
    pub fn differs_from(&self, before: &Self) -> bool {
        let texts = |workload: &Self| -> Vec<(String, &'a str)> {
            workload.templates.iter().map(|template| (template.path.clone(), template.text)).collect()
        };
        let above = |workload: &Self| -> Vec<(String, Vec<(String, String)>)> {
            let ours = |above: &Above<'a>| above.metadata.annotations.all_of_ours();
            workload
                .above
                .iter()
                .map(|above| (above.path.clone(), ours(above)))
                .filter(|(_, ours)| !ours.is_empty())
                .collect()
        };
        texts(self) != texts(before) || above(self) != above(before)
    }

    /// Finds every mistake: annotations above the templates, and what is wrong in each template for the Pods made of it.
    ///
    /// # Errors
    /// Where a template is not as Pod templates are.
    pub fn check(&self, scope: Scope<'_>) -> Result<Mistakes, FormError> {
        let mut mistakes = Mistakes::default();
        self.misplaced(&mut mistakes);
        for template in &self.templates {
            let pod = template.pod()?;
            if let Err(theirs) = Targets::read(&pod, scope) {
                mistakes.add_in(&template.path, theirs);
            }
        }
        Ok(mistakes.in_order())
    }

    /// An object that a controller made bears what its owner bears, and its author has not written it.
    fn misplaced(&self, mistakes: &mut Mistakes) {
        let made_by_a_controller = |above: &Above<'_>| above.metadata.is_controlled();
        if self.above.iter().any(made_by_a_controller) {
            return;
        }
        for Above { path, pattern, metadata, .. } in &self.above {
            let bearer = if path.is_empty() { format!("the {}", self.row.kind) } else { path.clone() };
            for annotation in metadata.annotations.ours() {
                if mistakes.is_full() {
                    break;
                }
                let place = Place::Above { annotation: shortened(annotation), bearer: bearer.clone() };
                mistakes.add(place, Wrong::Misplaced { to: self.row.annotations_below(pattern) });
            }
        }
    }
}

impl<'a> Template<'a> {
    /// The Pod that is made of it, as far as it is told here.
    ///
    /// # Errors
    /// Where it is not as Pod templates are.
    pub fn pod(&self) -> Result<Pod<'a>, FormError> {
        let read = match self.form {
            Form::Template => serde_json::from_str(self.text),
            Form::Override => serde_json::from_str(self.text).map(|pod| Pod { is_partial: true, ..pod }),
            Form::Metadata => serde_json::from_str::<Option<Metadata<'_>>>(self.text).map(|metadata| Pod {
                metadata: argo::known(metadata.unwrap_or_default()),
                is_partial: true,
                ..Pod::default()
            }),
            Form::Argo => serde_json::from_str(self.text).map(argo::Template::into_pod),
        };
        read.map_err(|source| FormError { path: self.path.clone(), pointer: self.pointer.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, object: &str) -> String {
        let table = Table::shipped().unwrap();
        let row = table.rows().iter().find(|row| row.kind == kind).unwrap();
        let raw: &RawValue = serde_json::from_str(object).unwrap();
        let mistakes = Workload::open(row, raw).unwrap().check(Scope { cluster: "default", namespace: Some("bob") });
        mistakes.unwrap().to_string()
    }

    #[test]
    fn an_annotation_above_the_template_has_no_effect() {
        let cron_job = r#"{"metadata":{"annotations":{"secrets.apolo.us/env":"A=secret:a"}},"spec":{"jobTemplate":{
            "metadata":{"annotations":{"secrets.apolo.us/volume":"secret:a:/a"}},"spec":{"template":{}}}}}"#;
        assert_eq!(
            check("CronJob", cron_job),
            "secrets.apolo.us/volume on spec.jobTemplate has no effect; move it to \
             spec.jobTemplate.spec.template.metadata.annotations\n\
             secrets.apolo.us/env on the CronJob has no effect; move it to \
             spec.jobTemplate.spec.template.metadata.annotations"
        );
    }

    #[test]
    fn what_a_controller_made_is_not_asked_about_what_it_inherited() {
        let owned = r#"{"metadata":{"annotations":{"secrets.apolo.us/env":"A=secret:a"},"ownerReferences":[{"controller":true}]}}"#;
        assert_eq!(check("ReplicaSet", owned), "");
    }

    #[test]
    fn a_line_begins_with_the_path_of_the_template() {
        let job = r#"{"spec":{"template":{"metadata":{"annotations":{"secrets.apolo.us/env":"A"}}}}}"#;
        assert_eq!(
            check("Job", job),
            "spec.template: secrets.apolo.us/env, item 1: there is no \"=\"; write NAME=secret:KEY"
        );
    }

    #[test]
    fn says_where_an_object_is_out_of_form_and_not_what_is_there() {
        let table = Table::shipped().unwrap();
        let row = table.rows().iter().find(|row| row.kind == "Job").unwrap();
        let open = |text| Workload::open(row, serde_json::from_str(text).unwrap()).map(|_| ());
        let error = open(r#"{"spec":{"template":{},"template":{}}}"#).unwrap_err();
        assert!(error.source.to_string().starts_with("duplicate field `template`"), "{}", error.source);
        assert_eq!(open(r#"{"spec":"hunter2"}"#).unwrap_err().to_string(), "spec cannot be read");
        let raw: &RawValue = serde_json::from_str(r#"{"spec":{"template":{"spec":3}}}"#).unwrap();
        let workload = Workload::open(row, raw).unwrap();
        assert_eq!(workload.templates[0].pod().unwrap_err().to_string(), "spec.template cannot be read");
    }
}
