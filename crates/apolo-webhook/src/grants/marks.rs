//! What the hook writes on a grant: who granted, and by which Manage grants he may.

use std::collections::{BTreeMap, BTreeSet};

use apolo_api::grant::SecretGrant;
use apolo_api::lineage::Via;
use apolo_core::names::{GRANTED_BY, GRANTED_VIA};
use apolo_core::requester::Requester;
use apolo_core::text::pointer_token;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::admission::Verdict;

/// The refusal of a grant that does not bear what the mutating hook wrote, or would write now.
pub(super) const CHANGED: &str = "secrets.apolo.us/granted-by or secrets.apolo.us/granted-via is not what apolo's mutating webhook \
    would write: the grants by which you may share have just changed, or another webhook changed it; try again";

/// The two annotations, each as it is to stand there, if at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    by: Option<String>,
    via: Option<String>,
}

impl Marks {
    /// Those of a grant as they are.
    pub(super) fn of(grant: &SecretGrant) -> Self {
        let annotation = |name: &str| grant.annotations().get(name).cloned();
        Self { by: annotation(GRANTED_BY), via: annotation(GRANTED_VIA) }
    }

    /// Those of a grant by this author, who is an owner where `via` is none.
    pub(super) fn new(author: &Requester, via: Option<&BTreeSet<Via>>) -> Self {
        Self { by: Some(author.name.clone()), via: via.map(Via::written) }
    }

    /// The verdict that writes them on a grant.
    pub(super) fn patch(&self, grant: &SecretGrant) -> Verdict {
        let operations = self.operations(grant.metadata.annotations.as_ref());
        match operations.len() {
            0 => Verdict::Allowed,
            operations_count => {
                Verdict::Patched { patch: Value::Array(operations).to_string(), operations: operations_count }
            }
        }
    }

    fn operations(&self, there: Option<&BTreeMap<String, String>>) -> Vec<Value> {
        let marks = [(GRANTED_BY, &self.by), (GRANTED_VIA, &self.via)];
        let Some(there) = there else {
            let all: BTreeMap<&str, &String> =
                marks.iter().filter_map(|(name, mark)| Some((*name, mark.as_ref()?))).collect();
            let add = json!({"op": "add", "path": "/metadata/annotations", "value": all});
            return if all.is_empty() { Vec::new() } else { vec![add] };
        };
        let differ = marks.iter().filter(|(name, mark)| there.get(*name) != mark.as_ref());
        let operation = |(name, mark): &(&str, &Option<String>)| {
            let path = format!("/metadata/annotations/{}", pointer_token(name));
            match mark {
                Some(value) => json!({"op": "add", "path": path, "value": value}),
                None => json!({"op": "remove", "path": path}),
            }
        };
        differ.map(operation).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(annotations: &Value) -> SecretGrant {
        serde_json::from_value(json!({
            "metadata": {"name": "a", "annotations": annotations},
            "spec": {"secrets": ["a"], "subjects": [{"kind": "User", "name": "bob"}]},
        }))
        .unwrap()
    }

    #[test]
    fn what_is_written_replaces_what_stood_there_whatever_it_was() {
        let owners = Marks { by: Some("alice".into()), via: None };
        let holders = Marks { by: Some("bob".into()), via: Some("1 bob".into()) };
        for annotations in [
            Value::Null,
            json!({}),
            json!({"a": "b"}),
            json!({GRANTED_BY: "mallory", GRANTED_VIA: "forged"}),
            json!({GRANTED_BY: "alice"}),
            json!({GRANTED_VIA: "", "a": "b"}),
        ] {
            for marks in [&owners, &holders, &Marks::default()] {
                let mut written = grant(&annotations);
                if let Verdict::Patched { patch, .. } = marks.patch(&written) {
                    let mut object = serde_json::to_value(&written).unwrap();
                    let patch: json_patch::Patch = serde_json::from_str(&patch).unwrap();
                    json_patch::patch(&mut object, &patch).unwrap();
                    written = serde_json::from_value(object).unwrap();
                }
                assert_eq!(Marks::of(&written), *marks, "{annotations}");
                assert_eq!(written.annotations().get("a").is_some(), annotations.get("a").is_some(), "{annotations}");
                assert!(matches!(marks.patch(&written), Verdict::Allowed), "{annotations}");
            }
        }
    }
}
