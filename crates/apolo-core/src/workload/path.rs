//! Paths of Pod templates: `spec.replicatedJobs[*].template.spec.template`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The path of the Pod templates of a kind: fields with dots between them, `[*]` behind a list for each element, and `.*` for
/// each value of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplatePath(Vec<Step>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into a field.
    Field(String),
    /// Into each element of a list.
    Elements,
    /// Into each value of a map.
    Values,
}

/// A text that is no path.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "a path is fields with dots between them, with [*] behind a list and .* for each of a map, such as \
     spec.replicatedJobs[*].template"
)]
pub struct PathFormError;

impl TemplatePath {
    /// Its steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether it begins with these steps.
    pub(super) fn begins_with(&self, steps: &[Step]) -> bool {
        self.0.starts_with(steps)
    }
}

impl FromStr for TemplatePath {
    type Err = PathFormError;

    fn from_str(text: &str) -> Result<Self, PathFormError> {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (name, is_list) = part.strip_suffix("[*]").map_or((part, false), |name| (name, true));
            match name {
                "*" if !is_list && !steps.is_empty() => steps.push(Step::Values),
                _ if is_field(name) => steps.push(Step::Field(name.to_owned())),
                _ => return Err(PathFormError),
            }
            if is_list {
                steps.push(Step::Elements);
            }
        }
        Ok(Self(steps))
    }
}

/// Whether it can be the name of a field, in Kubernetes' way.
fn is_field(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl fmt::Display for TemplatePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            match step {
                Step::Field(name) => write!(formatter, "{dot}{name}")?,
                Step::Elements => formatter.write_str("[*]")?,
                Step::Values => formatter.write_str(".*")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_the_text_it_came_from() {
        for text in
            ["spec.template", "spec.replicatedJobs[*].template.spec.template", "spec.pytorchReplicaSpecs.*.template"]
        {
            assert_eq!(text.parse::<TemplatePath>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_path() {
        for text in
            ["", ".spec", "spec.", "spec..a", "spec[0]", "spec[*", "*", "spec.*[*]", "spec.a-b", "$.spec", "spec[*][*]"]
        {
            assert_eq!(text.parse::<TemplatePath>(), Err(PathFormError), "{text}");
        }
    }
}
