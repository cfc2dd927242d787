//! What the API server checks of a grant beyond its shape: CEL rules, each with the words that mend what it refuses.
//!
//! The words are core's where core checks the same. A rule's cost is counted at the greatest sizes that the schema allows;
//! whatever stands in a list that a rule looks into has a bound.

use std::fmt::Display;

use apolo_core::{
    key::KeyError,
    names::DELIVERY_PREFIX,
    subject::{EVERYBODY, SERVICE_ACCOUNT_USER, SERVICE_ACCOUNTS_GROUP, SubjectError},
};
use kube::core::{Reason, Rule};
use schemars::transform::transform_subschemas;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::grant::MOST_SECRETS;

const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// The keys of a grant: a set, 1 to 64, each as [`apolo_core::key::Key`] takes it.
pub(crate) fn keys(_: &mut SchemaGenerator) -> Schema {
    // A key that is no name makes one of its letters, in lower case, each run of others as one `-`, none at the ends.
    let letters = r"^[^A-Za-z0-9]*[Aa][Pp][Oo][Ll][Oo][^A-Za-z0-9]+[Ss][Hh][Aa][Rr][Ee][Dd]([^A-Za-z0-9]|$)";
    let is_name = format!("self.matches(r'{SUBDOMAIN}') && !self.matches('-[0-9a-f]{{16}}$')");
    let reserved = format!("self.matches(r'{letters}') && (self.startsWith('{DELIVERY_PREFIX}') || !({is_name}))");
    list(
        MOST_SECRETS,
        253,
        1,
        &[
            rule(r"self.matches(r'^[A-Za-z0-9_.-]+$') && self != '.' && !self.startsWith('..')", &KeyError::BadKey),
            rule(&format!("!({reserved})"), &KeyError::ReservedKey),
        ],
    )
}

/// The destinations of a grant: a set of at most 100 names of namespaces.
pub(crate) fn namespaces(_: &mut SchemaGenerator) -> Schema {
    list(100, 63, 0, &[is_namespace()])
}

/// A time, as text: the rule is stricter than the format `date-time`, by which the API server lets pass what
/// others cannot read.
pub(crate) fn expiry(_: &mut SchemaGenerator) -> Schema {
    let date = "[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])";
    let (hour, sixty) = ("([01][0-9]|2[0-3])", "[0-5][0-9]");
    let form = format!(r"^{date}T{hour}:{sixty}:{sixty}(\.[0-9]{{1,9}})?(Z|[+-]{hour}:{sixty})$");
    let is_time = format!("self.matches(r'{form}') && timestamp(self) < timestamp('9999-01-01T00:00:00Z')");
    let rule = rule(&is_time, &"an expiry is a time as RFC 3339 has it, such as 2027-01-01T00:00:00Z");
    json_schema!({"type": "string", "maxLength": 35, "x-kubernetes-validations": [rule]})
}

/// The list is no set to the API server, for server-side apply knows no sets of objects.
pub(crate) fn no_subject_stands_there_twice() -> Rule {
    rule("self.all(one, self.exists_one(other, other == one))", &"a subject stands here twice; remove one of the two")
}

pub(crate) fn account_has_a_namespace() -> Rule {
    let rule = rule("self.kind != 'ServiceAccount' || has(self.namespace)", &SubjectError::NoNamespace);
    rule.field_path(".namespace").reason(Reason::FieldValueRequired)
}

pub(crate) fn only_an_account_has_a_namespace() -> Rule {
    let rule = rule(
        "self.kind == 'ServiceAccount' || !has(self.namespace)",
        &"only a subject of the kind ServiceAccount has a namespace; remove it",
    );
    rule.field_path(".namespace").reason(Reason::FieldValueForbidden)
}

pub(crate) fn user_or_group_is_named() -> Rule {
    of_name(r"!(self.kind in ['User', 'Group']) || self.name.matches(r'^\P{Cc}+$')", &SubjectError::BadName)
}

pub(crate) fn account_is_named() -> Rule {
    let is_name =
        format!("self.kind != 'ServiceAccount' || (size(self.name) <= 253 && self.name.matches(r'{SUBDOMAIN}'))");
    of_name(&is_name, &SubjectError::BadAccount)
}

pub(crate) fn namespace_is_named() -> Rule {
    let is_name = format!("self.kind != 'Namespace' || (size(self.name) <= 63 && self.name.matches('{LABEL}'))");
    of_name(&is_name, &SubjectError::BadNamespace)
}

pub(crate) fn is_not_everybody() -> Rule {
    let names = json!(EVERYBODY);
    of_name(&format!("!(self.kind in ['User', 'Group']) || !(self.name in {names})"), &SubjectError::Everybody)
}

pub(crate) fn user_is_no_account() -> Rule {
    let is_none = format!("self.kind != 'User' || !self.name.startsWith('{SERVICE_ACCOUNT_USER}')");
    of_name(&is_none, &SubjectError::AccountAsUser)
}

pub(crate) fn group_is_no_namespace() -> Rule {
    let is_none = format!("self.kind != 'Group' || !self.name.startsWith('{SERVICE_ACCOUNTS_GROUP}')");
    of_name(&is_none, &SubjectError::NamespaceAsGroup)
}

pub(crate) fn is_namespace() -> Rule {
    rule(&format!("self.matches('{LABEL}')"), &SubjectError::BadNamespace)
}

fn of_name(expression: &str, words: &SubjectError) -> Rule {
    rule(expression, words).field_path(".name")
}

fn rule(expression: &str, words: &dyn Display) -> Rule {
    Rule::new(expression).message(words.to_string().as_str())
}

/// Puts each description on one line, for kubectl breaks lines by itself.
pub(crate) fn on_one_line(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    transform_subschemas(&mut on_one_line, schema);
}

/// A set of strings, `least` to `most` of them, none longer than `length`.
fn list(most: usize, length: usize, least: usize, rules: &[Rule]) -> Schema {
    let mut schema = json_schema!({
        "type": "array",
        "maxItems": most,
        "items": {"type": "string", "maxLength": length, "x-kubernetes-validations": rules},
        "x-kubernetes-list-type": "set",
    });
    if least > 0 {
        schema.insert("minItems".into(), json!(least));
    }
    schema
}
