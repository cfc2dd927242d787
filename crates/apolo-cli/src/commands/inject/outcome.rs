//! What becomes of an object: the mistakes in it, or what is added to it.

use apolo_core::mistake::Mistakes;
use apolo_core::names;
use apolo_core::patch::{Patch, PatchError};
use apolo_core::pod::Pod;
use apolo_core::reference::Scope;
use apolo_core::request::Request;
use apolo_core::targets::Targets;
use apolo_core::text::{expected, pointer_token, quoted};
use apolo_core::workload::{Form, FormError, Row, Table, Template, Workload};
use apolo_manifest::{Document, Operation, Position};
use serde_json::Value;
use serde_json::value::RawValue;

use super::locate::{Spot, locate, of_form_error};
use super::object::Object;

/// What becomes of one object.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Which object it is, for programs: apiVersion, kind, namespace, name.
    pub(super) identity: Value,
    /// The number of its document in the file, from 0.
    pub(super) document: usize,
    /// Where it is in the document, as a JSON Pointer.
    pub(super) pointer: String,
    /// Whether it asks for secrets, rightly or not.
    pub(super) asks: bool,
    /// What its author has to mend.
    pub(super) mistakes: Vec<Told>,
    /// What may be wrong elsewhere.
    pub(super) warnings: Vec<Told>,
    /// What its Pods get, in words, a template a line.
    pub(super) gets: Vec<Told>,
    /// What is added to it; the paths begin at the object.
    pub(super) patch: Vec<Operation>,
}

/// Something to be told about a place in the file.
#[derive(Debug)]
pub(super) struct Told {
    /// Where.
    pub(super) at: Position,
    /// What.
    pub(super) text: String,
}

impl Outcome {
    /// Decides an object as the hooks do.
    pub(super) fn of(object: &Object<'_>, document: &Document<'_>, table: &Table, scope: Scope<'_>) -> Self {
        let mut outcome = Self {
            identity: object.identity(),
            document: object.document,
            pointer: object.pointer.clone(),
            asks: false,
            mistakes: Vec::new(),
            warnings: Vec::new(),
            gets: Vec::new(),
            patch: Vec::new(),
        };
        // What bears no annotation of ours never reaches the hooks.
        let Some(ours) = annotation_of_ours(object.value, "") else { return outcome };
        let scope = Scope { namespace: object.namespace().or(scope.namespace), ..scope };
        let (group, version) = object.group_and_version();
        let mut decision = Decision { object, document, outcome: &mut outcome };
        if (group, version, object.kind()) == ("", "v1", "Pod") {
            decision.pod(scope);
        } else if let Some(row) = table.row(group, version, object.kind()) {
            decision.workload(row, scope);
        } else {
            decision.other(&ours);
        }
        outcome
    }
}

/// The decision of an object, as it goes on.
struct Decision<'a, 'o> {
    object: &'a Object<'a>,
    document: &'a Document<'a>,
    outcome: &'o mut Outcome,
}

impl Decision<'_, '_> {
    fn pod(&mut self, scope: Scope<'_>) {
        let text = self.object.value.to_string();
        let template = Template { path: String::new(), pointer: String::new(), form: Form::Template, text: &text };
        match template.pod() {
            Ok(pod) => match Targets::read(&pod, scope) {
                Ok(targets) => self.patch(&template, &pod, &targets),
                Err(mistakes) => self.mistaken(&mistakes, &[template], &[]),
            },
            Err(error) => self.out_of_form(&error, &[template]),
        }
    }

    fn workload(&mut self, row: &Row, scope: Scope<'_>) {
        let text = self.object.value.to_string();
        let opened = serde_json::from_str::<&RawValue>(&text)
            .map_err(|source| FormError { path: String::new(), pointer: String::new(), source })
            .and_then(|raw| Workload::open(row, raw));
        let workload = match opened {
            Ok(workload) => workload,
            Err(error) => return self.out_of_form(&error, &[]),
        };
        match workload.check(scope) {
            Ok(mistakes) if mistakes.is_empty() => self.templates(&workload, scope),
            Ok(mistakes) => self.mistaken(&mistakes, &workload.templates, &workload.above),
            Err(error) => self.out_of_form(&error, &workload.templates),
        }
    }

    fn templates(&mut self, workload: &Workload<'_>, scope: Scope<'_>) {
        for template in &workload.templates {
            let Ok(pod) = template.pod() else { continue };
            let Ok(targets) = Targets::read(&pod, scope) else { continue };
            if template.form == Form::Template {
                self.patch(template, &pod, &targets);
            } else if !targets.request.is_empty() {
                self.outcome.asks = true;
                let at = self.document.position(&self.at(&template.pointer));
                let text = format!(
                    "{}: {} is checked, but nothing is added: the Pod is put together from it and others when it is made",
                    self.object.full_name(),
                    template.path
                );
                self.outcome.warnings.push(Told { at, text });
            }
        }
    }

    fn patch(&mut self, template: &Template<'_>, pod: &Pod<'_>, targets: &Targets<'_>) {
        if targets.request.is_empty() {
            return;
        }
        self.outcome.asks = true;
        let at = self.document.position(&self.at(&template.pointer));
        let containers = || pod.spec.containers.0.iter().chain(&pod.spec.init_containers.0);
        if pod.spec.containers.0.is_empty() || containers().any(|container| container.name.is_empty()) {
            let path = if template.path.is_empty() { String::new() } else { format!("{}: ", template.path) };
            let text = format!("{path}a Pod has at least one container, and each has a name");
            self.outcome.mistakes.push(Told { at, text });
            return;
        }
        match operations(pod, targets, &template.pointer) {
            Ok(operations) => {
                let path = if template.path.is_empty() { String::new() } else { format!(": {}", template.path) };
                let already = if operations.is_empty() { ", which it has already" } else { "" };
                let text = format!("{}{path}: {}{already}", self.object.full_name(), in_words(&targets.request));
                self.outcome.gets.push(Told { at, text });
                self.outcome.patch.extend(operations);
                self.shared(template, &targets.request);
            }
            Err(error) => {
                self.outcome
                    .mistakes
                    .push(Told { at, text: format!("what the Pod asks for cannot be added to it: {error}") });
            }
        }
    }

    /// A secret of another owner is brought by the controller, which is not there where the hooks are not installed.
    fn shared(&mut self, template: &Template<'_>, request: &Request<'_>) {
        let files = request.files.iter().map(|file| (names::VOLUME, file.item, &file.asked));
        let variables = request.variables.iter().map(|variable| (names::ENV, variable.item, &variable.asked));
        for (annotation, item, asked) in files.chain(variables).filter(|(_, _, asked)| asked.source.owner.is_some()) {
            let at = self.position(&Spot::item(template, annotation, item.number));
            let text = format!(
                "{} is another owner's: this runs only in a cluster where apolo's controller delivers it",
                asked.reference
            );
            self.outcome.warnings.push(Told { at, text });
        }
    }

    /// An object of another kind asks for nothing, even if it seems to.
    fn other(&mut self, ours: &str) {
        // Resources of ours have annotations of ours.
        if self.object.group_and_version().0 == names::PREFIX.trim_end_matches('/') {
            return;
        }
        let at = self.document.key_position(&self.at(ours));
        let kind = format!("{} of {}", quoted(self.object.kind()), quoted(self.object.api_version()));
        let text = format!(
            "{kind} is no kind that is known to have Pod templates, so this has no effect here; --workloads FILE names others"
        );
        self.outcome.warnings.push(Told { at, text });
    }

    fn mistaken(&mut self, mistakes: &Mistakes, templates: &[Template<'_>], above: &[apolo_core::workload::Above<'_>]) {
        self.outcome.asks = true;
        for mistake in mistakes.iter() {
            let at = self.position(&locate(mistake, templates, above));
            self.outcome.mistakes.push(Told { at, text: mistake.to_string() });
        }
        if let Some(last) = self.outcome.mistakes.last().map(|told| told.at).filter(|_| mistakes.is_full()) {
            self.outcome.mistakes.push(Told { at: last, text: "and more".to_owned() });
        }
    }

    fn out_of_form(&mut self, error: &FormError, templates: &[Template<'_>]) {
        let pointer = of_form_error(error, self.object.value, templates);
        let at = self.document.position(&self.at(&pointer));
        let expected = expected(&error.source);
        let there = self.object.value.pointer(&pointer);
        let quote = match there {
            // Such as 0400, yes, or a word of digits.
            Some(Value::Number(_) | Value::Bool(_)) if expected == "expected a string" => {
                ", and this is read as something else; put it in quotes"
            }
            _ => "",
        };
        let field = if pointer == error.pointer { String::new() } else { format!("{}: ", in_fields(&pointer)) };
        let text = if field.is_empty() { format!("{error}: {expected}") } else { format!("{field}{expected}{quote}") };
        self.outcome.mistakes.push(Told { at, text });
    }

    fn position(&self, spot: &Spot) -> Position {
        let pointer = self.at(&spot.pointer);
        match spot.byte {
            Some(byte) => self.document.position_in(&pointer, byte),
            None => self.document.key_position(&pointer),
        }
    }

    /// A place in the object, as one in the document.
    fn at(&self, pointer: &str) -> String {
        format!("{}{pointer}", self.object.pointer)
    }
}

/// The patch of a template, with paths that begin at the object.
fn operations(pod: &Pod<'_>, targets: &Targets<'_>, pointer: &str) -> Result<Vec<Operation>, PatchError> {
    let operations: Vec<Operation> = serde_json::from_str(&Patch::of(pod, targets, None)?.into_json())?;
    Ok(operations.into_iter().map(|operation| operation.below(pointer)).collect())
}

/// A JSON Pointer as people write fields: `spec.containers[0].name`, `metadata.annotations["example.com/a"]`.
fn in_fields(pointer: &str) -> String {
    let mut fields = String::new();
    for token in pointer.split('/').skip(1) {
        let name = token.replace("~1", "/").replace("~0", "~");
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            fields.push_str(&format!("[{name}]"));
        } else if name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let dot = if fields.is_empty() { "" } else { "." };
            fields.push_str(&format!("{dot}{name}"));
        } else {
            fields.push_str(&format!("[{}]", quoted(&name)));
        }
    }
    fields
}

fn in_words(request: &Request<'_>) -> String {
    let count = |number: usize, what: &str| match number {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{number} {what}s")),
    };
    let parts = [count(request.files.len(), "file"), count(request.variables.len(), "variable")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

/// The first annotation of ours anywhere in an object, as a JSON Pointer.
fn annotation_of_ours(value: &Value, pointer: &str) -> Option<String> {
    match value {
        Value::Object(map) => map.iter().find_map(|(key, value)| {
            let below = format!("{pointer}/{}", pointer_token(key));
            let annotations = value.as_object().filter(|_| key == "annotations");
            let ours =
                annotations.and_then(|annotations| annotations.keys().find(|name| name.starts_with(names::PREFIX)));
            match ours {
                Some(name) => Some(format!("{below}/{}", pointer_token(name))),
                None => annotation_of_ours(value, &below),
            }
        }),
        Value::Array(list) => {
            list.iter().enumerate().find_map(|(index, value)| annotation_of_ours(value, &format!("{pointer}/{index}")))
        }
        _ => None,
    }
}
