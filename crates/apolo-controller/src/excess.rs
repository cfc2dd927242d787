//! Whether a Role and RoleBinding give more than they should: to somebody else, or something else. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding};

use crate::desired::Rbac;

/// A verb on a kind of object, of this name or of any.
type Right<'a> = (&'a str, &'a str, Option<&'a str>, &'a str);

/// Whether what is there lets anybody do what should not be.
#[must_use]
pub fn gives_more(role: &Role, binding: &RoleBinding, wanted: &Rbac) -> bool {
    let subjects = binding.subjects.as_deref().unwrap_or_default();
    let meant = wanted.binding.subjects.as_deref().unwrap_or_default();
    let is_more = || !rights(role).is_subset(&rights(&wanted.role));
    let is_other = || binding.role_ref != wanted.binding.role_ref;
    !subjects.is_empty() && (subjects.iter().any(|subject| !meant.contains(subject)) || is_other() || is_more())
}

fn rights(role: &Role) -> BTreeSet<Right<'_>> {
    role.rules.iter().flatten().flat_map(of_rule).collect()
}

fn of_rule(rule: &PolicyRule) -> Vec<Right<'_>> {
    let mut names: Vec<Option<&str>> = rule.resource_names.iter().flatten().map(|name| Some(name.as_str())).collect();
    if names.is_empty() {
        names.push(None);
    }
    let mut rights = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            for name in &names {
                rights.extend(rule.verbs.iter().map(|verb| (group.as_str(), resource.as_str(), *name, verb.as_str())));
            }
        }
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn role(names: &[&str], verbs: &[&str]) -> Role {
        let rule = json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": verbs});
        serde_json::from_value(json!({"rules": [rule]})).unwrap()
    }

    fn binding(role: &str, users: &[&str]) -> RoleBinding {
        let subjects: Vec<Value> = users.iter().map(|user| json!({"kind": "User", "name": user})).collect();
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role});
        serde_json::from_value(json!({"roleRef": role, "subjects": subjects})).unwrap()
    }

    #[test]
    fn what_is_there_gives_more_if_there_is_anything_that_should_not_be() {
        let verbs = ["use", "get"];
        let wanted = Rbac { role: role(&["a", "b"], &verbs), binding: binding("one", &["bob", "carol"]) };
        let same = (wanted.role.clone(), wanted.binding.clone());
        for (what, role, binding, more) in [
            ("the same", same.0.clone(), same.1.clone(), false),
            ("less", role(&["a"], &["use"]), binding("one", &["carol"]), false),
            ("another secret", role(&["a", "c"], &verbs), same.1.clone(), true),
            ("all secrets", role(&[], &verbs), same.1.clone(), true),
            ("another verb", role(&["a"], &["update"]), same.1.clone(), true),
            ("any verb", role(&["a"], &["*"]), same.1.clone(), true),
            ("somebody else", same.0.clone(), binding("one", &["bob", "dave"]), true),
            ("another Role", same.0.clone(), binding("two", &["bob"]), true),
            ("another verb, to nobody", role(&["a"], &["update"]), binding("one", &[]), false),
        ] {
            assert_eq!(gives_more(&role, &binding, &wanted), more, "{what}");
        }
    }
}
