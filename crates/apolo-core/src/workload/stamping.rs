//! The stamps of a workload's Pod templates: who submitted it, or last changed what its Pods are.

use serde_json::Value;

use super::{Form, FormError, Template, Workload};
use crate::names;
use crate::patch::{Patch, PatchError};
use crate::pod::{Metadata, Notes};
use crate::requester::Requester;
use crate::stamp::Stamp;

/// What `kubectl rollout restart` writes into a template: it starts the same again.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Who writes a workload, and what is known of him.
#[derive(Clone, Copy, Debug)]
pub struct Editor<'a> {
    /// Who.
    pub requester: &'a Requester,
    /// Whether he is one of those who decide where and when Pods run, and not what they are.
    pub is_neutral: bool,
}

/// Why templates have no stamps.
#[derive(Debug, thiserror::Error)]
pub enum StampError {
    /// A template is not as Pod templates are.
    #[error(transparent)]
    Form(#[from] FormError),
    /// The user's name cannot be written.
    #[error(
        "the name of the user cannot be written into {}: it is empty, or has a control character",
        names::LAUNCHED_BY
    )]
    Unnamed,
}

/// What a template bears, and should.
#[derive(Debug)]
pub struct Stamped<'a> {
    /// The stamp; none where nobody is known to have submitted it.
    pub stamp: Option<Stamp>,
    annotations: Notes<'a>,
    /// Where its annotations are, as a JSON Pointer (RFC 6901).
    pointer: String,
}

impl<'a> Workload<'a> {
    /// The stamps that its templates should bear, in their order: those that ask for secrets, and those that bear a stamp.
    ///
    /// What the controller of a workload made bears the stamp that it was made with, or none; a template that is otherwise the
    /// same as before keeps its own. Any other is his who writes it.
    ///
    /// # Errors
    /// Where a template cannot be read, or the name of the user cannot be written.
    pub fn stamps(
        &self,
        before: Option<&Self>,
        editor: Editor<'_>,
        made_by_controller: bool,
    ) -> Result<Vec<Stamped<'a>>, StampError> {
        let stamped = self.templates.iter().map(|template| {
            let annotations = template.metadata()?.annotations;
            let pointer = format!("{}{}", template.pointer, template.annotations());
            let stamp = if annotations.ours().next().is_none() {
                None
            } else if made_by_controller {
                Stamp::read(&annotations)
            } else {
                let was = before.and_then(|before| before.templates.iter().find(|was| was.path == template.path));
                let kept = match was.filter(|was| template.is_otherwise(was, editor.is_neutral)) {
                    Some(was) => Stamp::read(&was.metadata()?.annotations),
                    None => None,
                };
                Some(kept.or_else(|| Stamp::of(editor.requester)).ok_or(StampError::Unnamed)?)
            };
            Ok(Stamped { stamp, annotations, pointer })
        });
        stamped.collect()
    }

    /// What templates lack of their stamps.
    ///
    /// # Errors
    /// Where it would be too large.
    pub fn stamp(stamps: &[Stamped<'_>]) -> Result<Patch, PatchError> {
        let mut patch = Patch::default();
        for Stamped { stamp, annotations, pointer } in stamps {
            if let Some(stamp) = stamp {
                patch.stamp(pointer, annotations, stamp)?;
                patch.hold_size()?;
            }
        }
        Ok(patch)
    }
}

impl<'a> Template<'a> {
    /// Where its annotations are, below itself.
    fn annotations(&self) -> &'static str {
        if self.form == Form::Metadata { "/annotations" } else { "/metadata/annotations" }
    }

    fn metadata(&self) -> Result<Metadata<'a>, FormError> {
        // Argo's parts are there as they were written, also those that it will replace.
        let read = match self.form {
            Form::Metadata => serde_json::from_str::<Option<Metadata<'_>>>(self.text).map(Option::unwrap_or_default),
            _ => serde_json::from_str::<Bearer<'_>>(self.text).map(|bearer| bearer.metadata),
        };
        read.map_err(|source| FormError { path: self.path.clone(), pointer: self.pointer.clone(), source })
    }

    /// Whether its Pods are those of `was`, but for what a neutral editor may change.
    fn is_otherwise(&self, was: &Self, is_neutral: bool) -> bool {
        self.text == was.text
            || self.essence(is_neutral).is_some_and(|essence| Some(essence) == was.essence(is_neutral))
    }

    /// What counts of it.
    fn essence(&self, is_neutral: bool) -> Option<Value> {
        let mut value: Value = serde_json::from_str(self.text).ok()?;
        let is_ours = |name: &String| name.starts_with(names::PREFIX);
        if let Some(Value::Object(annotations)) = value.pointer_mut(self.annotations()) {
            annotations.retain(|name, _| {
                ![names::LAUNCHED_BY, names::LAUNCHED_BY_GROUPS, RESTARTED_AT].contains(&name.as_str())
            });
            if is_neutral {
                annotations.retain(|name, _| is_ours(name));
            }
        }
        if is_neutral {
            let metadata = if self.form == Form::Metadata { "" } else { "/metadata" };
            if let Some(Value::Object(metadata)) = value.pointer_mut(metadata) {
                metadata.remove("labels");
            }
            if let Some(Value::Object(spec)) = value.pointer_mut("/spec") {
                for field in ["nodeSelector", "affinity", "tolerations", "schedulingGates"] {
                    spec.remove(field);
                }
            }
        }
        Some(value)
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Bearer<'a> {
    metadata: Metadata<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Table;
    use serde_json::json;
    use serde_json::value::RawValue;

    const ASKS: &str = "secrets.apolo.us/env";

    fn requester(name: &str) -> Requester {
        Requester { name: name.into(), groups: vec!["dev".into()], ..Requester::default() }
    }

    fn job(template: &Value) -> String {
        json!({"metadata": {"name": "a"}, "spec": {"template": template}}).to_string()
    }

    fn template(annotations: &Value) -> Value {
        json!({"metadata": {"annotations": annotations, "labels": {"app": "a"}}, "spec": {"containers": [{"name": "main", "image": "a"}]}})
    }

    /// The template as it is stored when somebody writes it over `before`.
    fn written(template: &Value, before: Option<&Value>, editor: &Requester, is_neutral: bool) -> Value {
        let table = Table::shipped().unwrap();
        let row = table.row("batch", "v1", "Job").unwrap();
        let (text, before) = (job(template), before.map(job));
        let open = |text| Workload::open(row, serde_json::from_str::<&RawValue>(text).unwrap()).unwrap();
        let before = before.as_deref().map(open);
        let stamps = open(&text).stamps(before.as_ref(), Editor { requester: editor, is_neutral }, false).unwrap();
        let patch = Workload::stamp(&stamps).unwrap();
        let mut object: Value = serde_json::from_str(&text).unwrap();
        let patch: json_patch::Patch = serde_json::from_str(&patch.into_json()).unwrap();
        json_patch::patch(&mut object, &patch).unwrap();
        object["spec"]["template"].take()
    }

    fn user(template: &Value) -> &str {
        template["metadata"]["annotations"][names::LAUNCHED_BY].as_str().unwrap_or_default()
    }

    #[test]
    fn a_template_that_asks_is_stamped_whatever_stood_there() {
        let bob = requester("bob");
        let stored = written(&template(&json!({ASKS: "A=secret:a", names::LAUNCHED_BY: "alice"})), None, &bob, false);
        assert_eq!(
            stored["metadata"]["annotations"],
            json!({ASKS: "A=secret:a", names::LAUNCHED_BY: "bob", names::LAUNCHED_BY_GROUPS: "dev"})
        );
        assert_eq!(user(&written(&template(&json!({names::LAUNCHED_BY: "alice"})), None, &bob, false)), "bob");
        let silent = template(&json!({"a": "b"}));
        assert_eq!(written(&silent, None, &bob, false), silent);
    }

    #[test]
    fn a_template_keeps_its_stamp_while_what_runs_is_the_same() {
        let (alice, bob) = (requester("alice"), requester("bob"));
        let plain = template(&json!({ASKS: "A=secret:a"}));
        let stored = written(&plain, None, &alice, false);
        assert_eq!(written(&plain, Some(&stored), &bob, false), stored, "submitted again");
        let mut forged = stored.clone();
        forged["metadata"]["annotations"][names::LAUNCHED_BY] = json!("mallory");
        assert_eq!(written(&forged, Some(&stored), &bob, false), stored);
        let mut restarted = stored.clone();
        restarted["metadata"]["annotations"][RESTARTED_AT] = json!("2026-11-25T00:00:00Z");
        assert_eq!(written(&restarted, Some(&stored), &bob, false), restarted);

        let change = |pointer: &str, value: Value| {
            let mut changed = stored.clone();
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            changed.pointer_mut(parent).unwrap()[field] = value;
            changed
        };
        for (pointer, value, neutral) in [
            ("/spec/nodeSelector", json!({"a": "b"}), true),
            ("/spec/affinity", json!({}), true),
            ("/spec/tolerations", json!([]), true),
            ("/spec/schedulingGates", json!([]), true),
            ("/metadata/labels", json!({}), true),
            ("/metadata/annotations/kueue", json!("x"), true),
            ("/metadata/annotations/secrets.apolo.us~1env", json!("A=secret:b"), false),
            ("/spec/serviceAccountName", json!("b"), false),
            ("/spec/containers", json!([]), false),
        ] {
            let pointer = pointer.replace("~1env", "/env");
            let changed = match pointer.strip_prefix("/metadata/annotations/") {
                Some(name) => {
                    let mut changed = stored.clone();
                    changed["metadata"]["annotations"][name] = value;
                    changed
                }
                None => change(&pointer, value),
            };
            assert_eq!(user(&written(&changed, Some(&stored), &bob, false)), "bob", "{pointer}");
            let by_neutral = written(&changed, Some(&stored), &bob, true);
            assert_eq!(user(&by_neutral), if neutral { "alice" } else { "bob" }, "{pointer}");
        }
    }

    #[test]
    fn one_from_before_there_were_stamps_becomes_his_who_writes_it() {
        let plain = template(&json!({ASKS: "A=secret:a"}));
        assert_eq!(user(&written(&plain, Some(&plain), &requester("bob"), false)), "bob");
    }
}
