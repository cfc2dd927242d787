//! Where in an object a mistake is.

use apolo_core::items::items;
use apolo_core::mistake::{Mistake, Place};
use apolo_core::names;
use apolo_core::pod::{Metadata, Pod};
use apolo_core::text::pointer_token;
use apolo_core::workload::{Above, Form, FormError, Template};
use serde::Deserialize;
use serde_json::Value;

/// A place in an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// The field, as a JSON Pointer.
    pub(super) pointer: String,
    /// The byte of the field's text; where there is none, the field's key is meant.
    pub(super) byte: Option<usize>,
}

impl Spot {
    /// An item of an annotation, by its number from 1.
    pub(super) fn item(template: &Template<'_>, annotation: &str, number: usize) -> Self {
        let pointer = annotation_pointer(template, annotation);
        let value: Option<Value> = serde_json::from_str(template.text).ok();
        let within = pointer.strip_prefix(&template.pointer).unwrap_or_default();
        let text = value.as_ref().and_then(|value| value.pointer(within)).and_then(Value::as_str);
        let byte = text.and_then(|text| items(text).nth(number.saturating_sub(1))).map(|item| item.at);
        Self { pointer, byte }
    }

    fn key(pointer: String) -> Self {
        Self { pointer, byte: None }
    }
}

/// Finds the place of a mistake among the templates and the metadata above them.
pub(super) fn locate(mistake: &Mistake, templates: &[Template<'_>], above: &[Above<'_>]) -> Spot {
    let path = mistake.template.as_deref().unwrap_or_default();
    let template = templates.iter().find(|template| template.path == path);
    let in_template = |find: &dyn Fn(&Template<'_>) -> Spot| template.map_or_else(|| Spot::key(String::new()), find);
    match &mistake.place {
        Place::VolumeItem(number, _) => in_template(&|template| Spot::item(template, names::VOLUME, *number)),
        Place::EnvItem(number, _) => in_template(&|template| Spot::item(template, names::ENV, *number)),
        Place::ContainersItem(number) => in_template(&|template| Spot::item(template, names::CONTAINERS, *number)),
        Place::Annotation(name) => in_template(&|template| Spot::key(annotation_pointer(template, name))),
        Place::Volume(name) => in_template(&|template| Spot::key(volume_pointer(template, name))),
        Place::Above { annotation, bearer } => {
            let bears = above.iter().find(|above| above.path == *bearer).or(above.first());
            let pointer = bears.map(|above| above.pointer.as_str()).unwrap_or_default();
            Spot::key(format!("{pointer}/{}", pointer_token(annotation)))
        }
    }
}

/// Where something is not as it must be, as closely as it can be told.
pub(super) fn of_form_error(error: &FormError, object: &Value, templates: &[Template<'_>]) -> String {
    let text = object.pointer(&error.pointer).map(Value::to_string).unwrap_or_default();
    let form = templates.iter().find(|template| template.pointer == error.pointer).map(|template| template.form);
    let within = match form {
        Some(Form::Template | Form::Override) => place_of_error::<Pod<'_>>(&text),
        Some(Form::Metadata) => place_of_error::<Metadata<'_>>(&text),
        None if error.pointer.ends_with("/metadata") => place_of_error::<Metadata<'_>>(&text),
        Some(Form::Argo) | None => String::new(),
    };
    format!("{}{within}", error.pointer)
}

/// Where a text cannot be read as something, as a JSON Pointer.
fn place_of_error<'a, T: Deserialize<'a>>(text: &'a str) -> String {
    let mut reader = serde_json::Deserializer::from_str(text);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut reader) else { return String::new() };
    let mut pointer = String::new();
    for segment in error.path() {
        pointer.push('/');
        match segment {
            serde_path_to_error::Segment::Seq { index } => pointer.push_str(&index.to_string()),
            serde_path_to_error::Segment::Map { key } => pointer.push_str(&pointer_token(key)),
            _ => {}
        }
    }
    pointer
}

fn annotation_pointer(template: &Template<'_>, annotation: &str) -> String {
    let metadata = if template.form == Form::Metadata { "" } else { "/metadata" };
    format!("{}{metadata}/annotations/{}", template.pointer, pointer_token(annotation))
}

fn volume_pointer(template: &Template<'_>, name: &str) -> String {
    let spec = if template.form == Form::Argo { "" } else { "/spec" };
    let value: Value = serde_json::from_str(template.text).unwrap_or_default();
    let volumes = value.pointer(&format!("{spec}/volumes")).and_then(Value::as_array);
    let index =
        volumes.and_then(|volumes| volumes.iter().position(|volume| volume.get("name") == Some(&Value::from(name))));
    match index {
        Some(index) => format!("{}{spec}/volumes/{index}", template.pointer),
        None => format!("{}{spec}/volumes", template.pointer),
    }
}
