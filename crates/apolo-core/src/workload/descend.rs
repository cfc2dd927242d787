//! The way from an object to its Pod templates, through JSON that is otherwise skipped unread.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::path::{Step, TemplatePath};
use super::{Above, FormError};
use crate::text::{Text, pointer_token, quoted};

/// How many elements of a list, values of a map, or templates in all, an object may have: more than any has, and not so many
/// that remembering them costs much.
const MOST: usize = 1000;

/// What lies on a path.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    /// The metadata of the object, and of everything on the way that has a `spec` on the way.
    pub(super) above: Vec<Above<'a>>,
    /// What is at the end.
    pub(super) ends: Vec<End<'a>>,
}

/// What is at the end of a path.
#[derive(Debug)]
pub(super) struct End<'a> {
    /// Where it is, with numbers and keys.
    pub(super) path: String,
    /// The same as a JSON Pointer.
    pub(super) pointer: String,
    /// Its JSON.
    pub(super) text: &'a str,
}

/// Follows a path through an object.
pub(super) fn find<'a>(object: &'a RawValue, path: &'a TemplatePath) -> Result<Found<'a>, FormError> {
    let mut found = Found::default();
    Place { path: String::new(), pointer: String::new(), steps: path.steps(), done: 0 }.descend(object, &mut found)?;
    Ok(found)
}

/// A place on the way: where it is, and how many of the steps lead there.
struct Place<'a> {
    path: String,
    pointer: String,
    steps: &'a [Step],
    done: usize,
}

impl<'a> Place<'a> {
    fn descend(self, here: &'a RawValue, found: &mut Found<'a>) -> Result<(), FormError> {
        if here.get() == "null" {
            return Ok(());
        }
        match self.steps.get(self.done) {
            None if found.ends.len() >= MOST => Err(self.error(too_many("Pod templates"))),
            None => {
                found.ends.push(End { path: self.path, pointer: self.pointer, text: here.get() });
                Ok(())
            }
            Some(Step::Field(name)) => self.into_field(name, here, found),
            Some(Step::Elements) => {
                let elements = read(here, Elements).map_err(|error| self.error(error))?;
                let mut elements = elements.into_iter().enumerate();
                elements.try_for_each(|(index, element)| {
                    self.at(&format!("[{index}]"), &index.to_string()).descend(element, found)
                })
            }
            Some(Step::Values) => {
                let values = read(here, Values).map_err(|error| self.error(error))?;
                values.into_iter().try_for_each(|(key, value)| self.at(&value_step(&key), &key).descend(value, found))
            }
        }
    }

    fn into_field(self, name: &'a str, here: &'a RawValue, found: &mut Found<'a>) -> Result<(), FormError> {
        let Fields { next, metadata } = read(here, FieldsOf(name)).map_err(|error| self.error(error))?;
        let bears_metadata = self.done == 0 || name == "spec";
        if let Some(metadata) = metadata.filter(|metadata| bears_metadata && metadata.get() != "null") {
            if found.above.len() > MOST {
                return Err(self.error(too_many("objects with Pod templates")));
            }
            let metadata =
                serde_json::from_str(metadata.get()).map_err(|error| self.at(".metadata", "metadata").error(error))?;
            let pattern = self.steps.get(..self.done).unwrap_or_default();
            let (path, pointer) = (self.path.clone(), format!("{}/metadata/annotations", self.pointer));
            found.above.push(Above { path, pointer, pattern, metadata });
        }
        next.map_or(Ok(()), |next| self.at(&format!(".{name}"), name).descend(next, found))
    }

    /// The place one step further, which `step` tells in words and `token` is in a pointer.
    fn at(&self, step: &str, token: &str) -> Self {
        let path = format!("{}{step}", self.path);
        let pointer = format!("{}/{}", self.pointer, pointer_token(token));
        Place { path: path.trim_start_matches('.').to_owned(), pointer, steps: self.steps, done: self.done + 1 }
    }

    fn error(&self, source: serde_json::Error) -> FormError {
        FormError { path: self.path.clone(), pointer: self.pointer.clone(), source }
    }
}

fn too_many<E: de::Error>(what: &str) -> E {
    de::Error::custom(format_args!(
        "there are more than {MOST} {what}, and no more are looked at; make several objects of it"
    ))
}

/// How long a key may be, in bytes, to be told as it is.
const LONGEST: usize = 120;

/// The step into a value of a map, in words: `.worker`, or `["a.b"]` where a key is not one word.
fn value_step(key: &str) -> String {
    let is_word = (1..=LONGEST).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_word { format!(".{key}") } else { format!("[{}]", quoted(key)) }
}

fn read<'a, S: DeserializeSeed<'a>>(text: &'a RawValue, seed: S) -> serde_json::Result<S::Value> {
    seed.deserialize(&mut serde_json::Deserializer::from_str(text.get()))
}

/// Reads a field of an object, and its `metadata`.
struct FieldsOf<'n>(&'n str);

struct Fields<'a> {
    next: Option<&'a RawValue>,
    metadata: Option<&'a RawValue>,
}

impl<'de> DeserializeSeed<'de> for FieldsOf<'_> {
    type Value = Fields<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> de::Visitor<'de> for FieldsOf<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut fields = Fields { next: None, metadata: None };
        while let Some(name) = map.next_key::<Text<'de>>()? {
            let field = match &*name {
                "metadata" => &mut fields.metadata,
                it if it == self.0 => &mut fields.next,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if field.replace(map.next_value()?).is_some() {
                return Err(de::Error::custom(format_args!("duplicate field `{}`", &*name)));
            }
        }
        Ok(fields)
    }
}

/// Reads the elements of a list.
struct Elements;

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> de::Visitor<'de> for Elements {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            if elements.len() == MOST {
                return Err(too_many("elements"));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

/// Reads the values of a map.
struct Values;

impl<'de> DeserializeSeed<'de> for Values {
    type Value = Vec<(Text<'de>, &'de RawValue)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> de::Visitor<'de> for Values {
    type Value = Vec<(Text<'de>, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut values = Vec::new();
        while let Some(entry) = map.next_entry()? {
            if values.len() == MOST {
                return Err(too_many("values"));
            }
            values.push(entry);
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(object: &str, path: &str) -> (Vec<String>, Vec<(String, String)>) {
        let raw: &RawValue = serde_json::from_str(object).unwrap();
        let path: TemplatePath = path.parse().unwrap();
        let found = super::find(raw, &path).unwrap();
        let ends = found.ends.into_iter().map(|end| (end.path, end.text.to_owned())).collect();
        (found.above.into_iter().map(|above| above.path).collect(), ends)
    }

    #[test]
    fn follows_fields_lists_and_maps() {
        let object = r#"{"metadata":{},"spec":{"jobs":[{"metadata":{},"spec":{"template":1}},null,{"spec":{}}]}}"#;
        let (above, ends) = find(object, "spec.jobs[*].spec.template");
        assert_eq!(above, ["", "spec.jobs[0]"]);
        assert_eq!(ends, [("spec.jobs[0].spec.template".to_owned(), "1".to_owned())]);
        let (above, ends) = find(r#"{"metadata":null,"spec":{"of":{"a":{"t":1},"b":{"t":2}}}}"#, "spec.of.*.t");
        assert!(above.is_empty());
        assert_eq!(ends.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["spec.of.a.t", "spec.of.b.t"]);
    }

    #[test]
    fn a_place_is_a_pointer_too() {
        let raw: &RawValue = serde_json::from_str(r#"{"of":{"a/b~c":[{"t":1}]}}"#).unwrap();
        let path: TemplatePath = "of.*".parse().unwrap();
        let found = super::find(raw, &path).unwrap();
        assert_eq!(found.ends[0].pointer, "/of/a~1b~0c");
    }

    #[test]
    fn a_key_that_is_not_one_word_is_quoted() {
        let (_, ends) = find(r#"{"of":{"a.b\n":1,"":2}}"#, "of.*");
        assert_eq!(ends.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), [r#"of["a.b\n"]"#, r#"of[""]"#]);
    }

    #[test]
    fn says_where_it_could_not_go_on() {
        let raw: &RawValue = serde_json::from_str(r#"{"spec":{"jobs":{}}}"#).unwrap();
        let error = super::find(raw, &"spec.jobs[*].template".parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "spec.jobs cannot be read");
        assert!(error.source.to_string().contains("expected an array"), "{}", error.source);
    }

    #[test]
    fn does_not_remember_endless_lists() {
        let many = format!(r#"{{"spec":[{}]}}"#, vec!["{}"; MOST + 1].join(","));
        let raw: &RawValue = serde_json::from_str(&many).unwrap();
        let error = super::find(raw, &"spec[*].template".parse().unwrap()).unwrap_err();
        assert!(error.source.to_string().contains("more than 1000 elements"), "{}", error.source);
    }
}
