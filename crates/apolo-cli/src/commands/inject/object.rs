//! The objects in a document: itself, or the items of a List.

use serde_json::Value;

/// An object of Kubernetes in a document.
#[derive(Clone, Debug)]
pub(super) struct Object<'a> {
    /// The number of its document in the file, from 0.
    pub(super) document: usize,
    /// Where it is in the document, as a JSON Pointer (RFC 6901): empty, or `/items/2`.
    pub(super) pointer: String,
    /// The object.
    pub(super) value: &'a Value,
}

impl<'a> Object<'a> {
    /// The objects of a document; none where it is no object.
    pub(super) fn all_in(document: &'a Value, number: usize) -> Vec<Self> {
        let whole = Self { document: number, pointer: String::new(), value: document };
        let mut objects = Vec::new();
        whole.add_to(&mut objects);
        objects
    }

    /// A List may hold Lists.
    fn add_to(self, objects: &mut Vec<Self>) {
        let items = self.value.get("items").and_then(Value::as_array).filter(|_| self.kind().ends_with("List"));
        match items {
            Some(items) => {
                for (index, value) in items.iter().enumerate() {
                    let pointer = format!("{}/items/{index}", self.pointer);
                    Self { document: self.document, pointer, value }.add_to(objects);
                }
            }
            None if self.value.is_object() => objects.push(self),
            None => {}
        }
    }

    /// `apiVersion`
    pub(super) fn api_version(&self) -> &'a str {
        self.field("apiVersion")
    }

    /// The group and the version of `apiVersion`.
    pub(super) fn group_and_version(&self) -> (&'a str, &'a str) {
        self.api_version().split_once('/').unwrap_or(("", self.api_version()))
    }

    /// `kind`
    pub(super) fn kind(&self) -> &'a str {
        self.field("kind")
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

    /// As kubectl names it: `job.batch/train`, `pod/web`.
    pub(super) fn full_name(&self) -> String {
        let (group, _) = self.group_and_version();
        let dot = if group.is_empty() { "" } else { "." };
        format!("{}{dot}{group}/{}", self.kind().to_lowercase(), self.name())
    }

    fn field(&self, name: &str) -> &'a str {
        self.value.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_items_of_lists_are_objects() {
        let list = json!({"kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "a-"}},
            {"kind": "PodList", "items": [{"kind": "Pod"}]},
            3,
        ]});
        let objects = Object::all_in(&list, 0);
        let pointers: Vec<&str> = objects.iter().map(|object| object.pointer.as_str()).collect();
        assert_eq!(pointers, ["/items/0", "/items/1/items/0"]);
        assert_eq!(objects.first().map(Object::full_name).as_deref(), Some("pod/a-"));
    }
}
