//! Rows as people write them, in YAML or JSON: read by hand, so that everything that is wrong is told at once, with its row.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::{Form, Owner, Row, TableError, TemplateColumn, TemplatePath};
use crate::key::is_dns_label;
use crate::text::quoted;

/// The fields of a row.
const FIELDS: [&str; 8] = ["group", "versions", "kind", "resource", "templates", "creators", "owner", "stamps"];

/// Reads a list of rows.
pub(super) fn rows(text: &str) -> Result<Vec<Row>, TableError> {
    let fault = |words: String| TableError(vec![words]);
    let options = serde_saphyr::options! { with_snippet: false };
    let mut documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let place = error.location().map(|at| format!(" (at line {}, column {})", at.line(), at.column()));
        fault(format!("the rows are not YAML{}", place.unwrap_or_default()))
    })?;
    let written = match (documents.pop(), documents.is_empty()) {
        (Some(Value::Array(rows)), true) => rows,
        (_, false) => return Err(fault("the rows are one document, and here are several".to_owned())),
        (Some(Value::Object(values)), _) if values.contains_key("workloads") => {
            return Err(fault("these are values of the chart; the rows are only the list behind workloads".to_owned()));
        }
        _ => return Err(fault("the rows are a list, each with group, versions, kind and templates".to_owned())),
    };
    let mut faults = Vec::new();
    let rows: Vec<Row> =
        written.iter().enumerate().filter_map(|(index, row)| Reader::row(row, index + 1, &mut faults)).collect();
    if faults.is_empty() {
        faults = more_than_one(&rows);
    }
    if faults.is_empty() { Ok(rows) } else { Err(TableError(faults)) }
}

/// What is said of kinds that have more than one row.
pub(super) fn more_than_one(rows: &[Row]) -> Vec<String> {
    let mut known = BTreeSet::from([(String::new(), "pods".to_owned())]);
    let twice = rows.iter().filter(|row| !known.insert((row.group.clone(), row.resource())));
    let told = twice.map(|row| {
        let dot = if row.group.is_empty() { "" } else { "." };
        let name = format!("{}{dot}{}", row.resource(), row.group);
        format!(
            "there is more than one row for {name} (kind {}); make one of them, with the kind written as its API has it",
            row.kind
        )
    });
    told.collect()
}

/// Reads the fields of one row, and notes what is wrong.
struct Reader<'a> {
    row: &'a Map<String, Value>,
    title: String,
    faults: &'a mut Vec<String>,
}

impl Reader<'_> {
    /// The row, if nothing is wrong with it.
    fn row(written: &Value, number: usize, faults: &mut Vec<String>) -> Option<Row> {
        let Some(row) = written.as_object() else {
            faults.push(format!("row {number} is no row; a row has group, versions, kind and templates"));
            return None;
        };
        let kind = row.get("kind").and_then(Value::as_str).unwrap_or_default();
        let before = faults.len();
        let mut reader = Reader { row, title: format!("row {number} ({kind:?})"), faults };
        reader.only("", row, &FIELDS);
        let row = Row {
            group: reader.group(),
            versions: reader.list("versions", true, "one or more API versions, such as [v1]", is_dns_label),
            kind: reader.kind(),
            resource: reader.resource(),
            templates: reader.templates(),
            creators: reader.list("creators", false, "user names of accounts", |name| !name.is_empty()),
            owner: reader.owner(),
            stamps: reader.stamps(),
        };
        (faults.len() == before).then_some(row)
    }

    /// Notes fields that there are not.
    fn only(&mut self, of: &str, written: &Map<String, Value>, fields: &[&str]) {
        for field in written.keys().filter(|field| !fields.contains(&field.as_str())) {
            self.fault(&format!("{of}there is no field {}; the fields are {}", quoted(field), fields.join(", ")));
        }
    }

    fn fault(&mut self, words: &str) {
        self.faults.push(format!("{}: {words}", self.title));
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.row.get(field).and_then(Value::as_str)
    }

    fn group(&mut self) -> String {
        let group = self.text("group").filter(|group| is_group(group)).map(str::to_owned);
        group.unwrap_or_else(|| {
            self.fault("group is an API group, such as batch or ray.io, or \"\" for the core group");
            String::new()
        })
    }

    fn kind(&mut self) -> String {
        let kind = self.text("kind").filter(|kind| is_kind(kind)).map(str::to_owned);
        kind.unwrap_or_else(|| {
            self.fault("kind is the name of a kind, such as Job");
            String::new()
        })
    }

    fn resource(&mut self) -> Option<String> {
        let written = self.row.get("resource")?;
        let resource = written.as_str().filter(|resource| is_dns_label(resource)).map(str::to_owned);
        if resource.is_none() {
            self.fault("resource is the kind's plural in lower case, such as jobs");
        }
        resource
    }

    fn list(&mut self, field: &str, required: bool, what: &str, right: fn(&str) -> bool) -> Vec<String> {
        let written = match self.row.get(field) {
            None if !required => return Vec::new(),
            written => written.and_then(Value::as_array).filter(|list| !required || !list.is_empty()),
        };
        let text = |it: &Value| it.as_str().filter(|text| right(text)).map(str::to_owned);
        written.and_then(|list| list.iter().map(text).collect()).unwrap_or_else(|| {
            self.fault(&format!("{field} are {what}"));
            Vec::new()
        })
    }

    fn templates(&mut self) -> Vec<TemplateColumn> {
        let written = self.row.get("templates").and_then(Value::as_array).filter(|list| !list.is_empty());
        let Some(written) = written else {
            self.fault("templates are one or more paths of Pod templates, such as [spec.template]");
            return Vec::new();
        };
        written.iter().filter_map(|column| self.template(column)).collect()
    }

    fn template(&mut self, written: &Value) -> Option<TemplateColumn> {
        let (path, form) = match written {
            Value::Object(column) => {
                self.only("templates, ", column, &["path", "form"]);
                let text = |field| column.get(field).and_then(Value::as_str).unwrap_or_default();
                (text("path"), text("form"))
            }
            other => (other.as_str().unwrap_or_default(), "template"),
        };
        let parsed = TemplatePath::from_str(path);
        if let Err(error) = &parsed {
            self.fault(&format!("templates, {}: {error}", quoted(path)));
        }
        let form = Form::from_str(form);
        if form.is_err() {
            self.fault(&format!("templates, {}: form is one of template, override, metadata, argo", quoted(path)));
        }
        Some(TemplateColumn { path: parsed.ok()?, form: form.ok()? })
    }

    fn stamps(&mut self) -> bool {
        let written = self.row.get("stamps").unwrap_or(&Value::Bool(true));
        written.as_bool().unwrap_or_else(|| {
            self.fault("stamps is true or false");
            false
        })
    }

    fn owner(&mut self) -> Option<Owner> {
        let written = self.row.get("owner")?;
        if let Some(owner) = written.as_object() {
            self.only("owner, ", owner, &["group", "kind"]);
        }
        let text = |field| written.get(field).and_then(Value::as_str).map(str::to_owned);
        let group = text("group").filter(|group| is_group(group));
        let owner = group.zip(text("kind").filter(|kind| is_kind(kind))).map(|(group, kind)| Owner { group, kind });
        if owner.is_none() {
            self.fault("owner is a group and a kind, such as {group: batch, kind: Job}");
        }
        owner
    }
}

fn is_group(text: &str) -> bool {
    text.is_empty() || text.split('.').all(is_dns_label)
}

fn is_kind(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
