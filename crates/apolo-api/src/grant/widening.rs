//! What a change of a grant gives that it did not give before.

use super::SecretGrantSpec;

impl SecretGrantSpec {
    /// Whether the grant gives anybody anything that `before` does not: another secret, subject or namespace, more access, or the
    /// same for longer.
    #[must_use]
    pub fn widens(&self, before: &Self) -> bool {
        let is_longer = match (&self.expires_at, &before.expires_at) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(now), Some(before)) => now.0 > before.0,
        };
        let adds = |now: &[String], before: &[String]| now.iter().any(|it| !before.contains(it));
        is_longer
            || self.access > before.access
            || adds(&self.secrets, &before.secrets)
            || adds(&self.namespaces, &before.namespaces)
            || self.subjects.iter().any(|subject| !before.subjects.contains(subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(fields: &Value) -> SecretGrantSpec {
        let mut spec = json!({
            "secrets": ["a", "b"],
            "access": "Read",
            "subjects": [{"kind": "User", "name": "bob"}, {"kind": "Group", "name": "ml-team"}],
            "namespaces": ["bob"],
            "expiresAt": "2027-01-01T00:00:00Z",
        });
        for (field, value) in fields.as_object().unwrap() {
            spec[field] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn each_field_widens_one_way_and_narrows_the_other() {
        let bob = json!({"kind": "User", "name": "bob"});
        let before = spec(&json!({}));
        assert!(!before.widens(&before));
        for (wider, narrower) in [
            (json!({"secrets": ["a", "b", "c"]}), json!({"secrets": ["b"]})),
            (json!({"access": "Write"}), json!({"access": "Use"})),
            (json!({"subjects": [bob, {"kind": "User", "name": "ml-team"}]}), json!({"subjects": [bob]})),
            (json!({"namespaces": ["bob", "jobs"]}), json!({"namespaces": []})),
            (json!({"expiresAt": "2027-01-01T00:00:00.001Z"}), json!({"expiresAt": "2026-12-31T23:59:59Z"})),
            (json!({"expiresAt": null}), json!({"expiresAt": "2000-01-01T00:00:00Z"})),
        ] {
            assert!(spec(&wider).widens(&before), "{wider}");
            assert!(!spec(&narrower).widens(&before) && before.widens(&spec(&narrower)), "{narrower}");
        }
    }

    #[test]
    fn what_is_only_written_otherwise_is_no_widening() {
        let before = spec(&json!({}));
        for same in [
            json!({"secrets": ["b", "a"]}),
            json!({"subjects": [{"kind": "Group", "name": "ml-team"}, {"kind": "User", "name": "bob"}]}),
            json!({"expiresAt": "2027-01-01T01:00:00+01:00"}),
        ] {
            assert!(!spec(&same).widens(&before), "{same}");
        }
        assert!(spec(&json!({"secrets": ["a"], "access": "Manage"})).widens(&before), "less of one, more of another");
    }
}
