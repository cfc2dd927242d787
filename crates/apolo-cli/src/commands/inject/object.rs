//! The objects in a document: itself, or the items of a List.

use serde_json::{Value, json};

/// An object of Kubernetes in a document.
#[derive(Clone, Debug)]
pub(super) struct Object<'a> {
    /// The number of its document in the file, from 0.
    pub(super) document: usize,
    /// Where it is in the document, as a JSON Pointer (RFC 6901): empty, or `/items/2`.
    pub(super) pointer: String,
    /// The object.
    pub(super) value: &'a Value,
    /// Its `apiVersion` and `kind`; of an item of a PodList that does not say, those of the list.
    kind: Kind<'a>,
}

#[derive(Clone, Copy, Debug)]
struct Kind<'a> {
    api_version: &'a str,
    kind: &'a str,
}

impl<'a> Object<'a> {
    /// The objects of a document; none where it is no object.
    pub(super) fn all_in(document: &'a Value, number: usize) -> Vec<Self> {
        let mut objects = Vec::new();
        let unsaid = Kind { api_version: "", kind: "" };
        Self { document: number, pointer: String::new(), value: document, kind: unsaid }.add_to(&mut objects);
        objects
    }

    /// A List may hold Lists.
    fn add_to(mut self, objects: &mut Vec<Self>) {
        let field = |name: &str| self.value.get(name).and_then(Value::as_str);
        let kind = Kind {
            api_version: field("apiVersion").unwrap_or(self.kind.api_version),
            kind: field("kind").unwrap_or(self.kind.kind),
        };
        self.kind = kind;
        let items = items(self.value).filter(|_| kind.kind.ends_with("List"));
        let Some(items) = items else {
            objects.extend(Some(self).filter(|object| object.value.is_object()));
            return;
        };
        // As apimachinery has it, an item of a PodList is a Pod, whether it says so or not.
        let of_item = Kind { kind: kind.kind.strip_suffix("List").unwrap_or_default(), ..kind };
        for (index, value) in items.iter().enumerate() {
            let pointer = format!("{}/items/{index}", self.pointer);
            Self { document: self.document, pointer, value, kind: of_item }.add_to(objects);
        }
    }

    /// `apiVersion`
    pub(super) fn api_version(&self) -> &'a str {
        self.kind.api_version
    }

    /// The group and the version of `apiVersion`.
    pub(super) fn group_and_version(&self) -> (&'a str, &'a str) {
        self.api_version().split_once('/').unwrap_or(("", self.api_version()))
    }

    /// `kind`
    pub(super) fn kind(&self) -> &'a str {
        self.kind.kind
    }

    /// `metadata.namespace`, if it is there.
    pub(super) fn namespace(&self) -> Option<&'a str> {
        self.value.pointer("/metadata/namespace").and_then(Value::as_str).filter(|name| !name.is_empty())
    }

    /// `metadata.name`, or what the name will begin with.
    pub(super) fn name(&self) -> &'a str {
        let of = |field: &str| self.value.pointer(field).and_then(Value::as_str);
        of("/metadata/name").or_else(|| of("/metadata/generateName")).unwrap_or_default()
    }

    /// Which it is, for programs.
    pub(super) fn identity(&self) -> Value {
        json!({
            "apiVersion": self.api_version(),
            "kind": self.kind(),
            "namespace": self.namespace(),
            "name": self.name(),
        })
    }

    /// As kubectl names it: `job.batch/train`, `pod/web`.
    pub(super) fn full_name(&self) -> String {
        let (group, _) = self.group_and_version();
        let dot = if group.is_empty() { "" } else { "." };
        format!("{}{dot}{group}/{}", self.kind().to_lowercase(), self.name())
    }
}

/// The items of a List.
pub(super) fn items(value: &Value) -> Option<&Vec<Value>> {
    value.get("items").and_then(Value::as_array)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_items_of_lists_are_objects() {
        let list = json!({"kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "a-"}},
            {"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "b"}}]},
            3,
        ]});
        let objects = Object::all_in(&list, 0);
        let pointers: Vec<&str> = objects.iter().map(|object| object.pointer.as_str()).collect();
        assert_eq!(pointers, ["/items/0", "/items/1/items/0"]);
        let names: Vec<String> = objects.iter().map(Object::full_name).collect();
        assert_eq!(names, ["pod/a-", "pod/b"]);
    }
}
