//! Whether a grant still stands: its author may have been allowed to share only by other grants, and these may have gone.
//!
//! A grant that bears no `granted-via`, or an empty one, stands by itself. Any other stands for as long as, for each of its
//! secrets, one of those that it names is in force, has the access Manage, names the secret, and stands itself.

use std::collections::{BTreeMap, BTreeSet};

use apolo_api::access::Access;
use apolo_api::grant::SecretGrant;
use apolo_core::names::GRANTED_VIA;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// The grants of a namespace, by UID.
pub type Grants<'a> = BTreeMap<&'a str, &'a SecretGrant>;

/// The grants that let the author of this one share, by UID: none for an owner's, and for one whose `share` came from a Role
/// that is not ours.
pub fn via(grant: &SecretGrant) -> impl Iterator<Item = &str> {
    let text = grant.annotations().get(GRANTED_VIA).map(String::as_str).unwrap_or_default();
    text.split(|character: char| character == ',' || character.is_whitespace()).filter(|uid| !uid.is_empty())
}

/// Whether a grant stands, among those of its namespace.
#[must_use]
pub fn stands(grant: &SecretGrant, grants: &Grants<'_>, max_access: Access, now: Timestamp) -> bool {
    let scene = Scene { grants, max_access, now };
    grant.spec.secrets.iter().all(|secret| scene.is_anchored(grant, secret, &mut BTreeSet::new()))
}

/// Whether a grant has expired: its expiry has come, or had come when it was last looked at, if the clock went back since.
#[must_use]
pub fn has_expired(grant: &SecretGrant, now: Timestamp) -> bool {
    let Some(expiry) = grant.spec.expires_at.as_ref() else { return false };
    let marked = grant.status.as_ref().and_then(|status| status.expired.as_ref());
    // A stored time may have lost what is below the second.
    expiry.0 <= now || marked.is_some_and(|marked| marked.0.as_second() == expiry.0.as_second())
}

/// Whether a grant was found to be withdrawn, by the annotation that it still bears.
#[must_use]
pub fn is_marked_withdrawn(grant: &SecretGrant) -> bool {
    let marked = grant.status.as_ref().and_then(|status| status.withdrawn.as_ref());
    marked.is_some_and(|marked| grant.annotations().get(GRANTED_VIA) == Some(marked))
}

struct Scene<'a> {
    grants: &'a Grants<'a>,
    max_access: Access,
    now: Timestamp,
}

impl<'a> Scene<'a> {
    /// `seen` are the grants on the way here: those that name each other in a circle hold nobody up.
    fn is_anchored(&self, grant: &'a SecretGrant, secret: &str, seen: &mut BTreeSet<&'a str>) -> bool {
        if via(grant).next().is_none() {
            return true;
        }
        via(grant).any(|uid| {
            let Some(parent) = self.grants.get(uid).copied() else { return false };
            let lets_share = self.lets_share(parent, secret);
            lets_share && seen.insert(uid) && self.is_anchored(parent, secret, seen)
        })
    }

    fn lets_share(&self, parent: &SecretGrant, secret: &str) -> bool {
        parent.metadata.deletion_timestamp.is_none()
            && parent.spec.access == Access::Manage
            && parent.spec.access <= self.max_access
            && parent.spec.secrets.iter().any(|named| named == secret)
            && !has_expired(parent, self.now)
            && !is_marked_withdrawn(parent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A Manage grant of `secrets` whose UID is its name.
    fn grant(name: &str, secrets: &[&str], via: Option<&str>) -> SecretGrant {
        let annotations = via.map(|via| json!({GRANTED_VIA: via})).unwrap_or(json!({}));
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "alice", "uid": name, "annotations": annotations},
            "spec": {"secrets": secrets, "access": "Manage", "subjects": [{"kind": "User", "name": "bob"}]},
        }))
        .unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-25T00:00:00Z".parse().unwrap()
    }

    fn stand(all: &[SecretGrant]) -> Vec<&str> {
        let grants: Grants<'_> = all.iter().map(|grant| (grant.metadata.uid.as_deref().unwrap(), grant)).collect();
        let names = all.iter().filter(|grant| stands(grant, &grants, Access::Manage, now()));
        names.map(|grant| grant.metadata.name.as_deref().unwrap()).collect()
    }

    #[test]
    fn a_grant_stands_by_those_it_came_from_for_each_of_its_secrets() {
        let root = grant("root", &["a"], None);
        let other = grant("other", &["b"], None);
        let row = |name: &'static str, secrets: &[&str], via: Option<&str>, expected: bool| {
            let all = [root.clone(), other.clone(), grant(name, secrets, via)];
            assert_eq!(stand(&all).contains(&name), expected, "{name}");
        };
        row("an owner's", &["a", "b"], None, true);
        row("by a Role that is not ours", &["a", "b"], Some(""), true);
        row("by one", &["a"], Some("root"), true);
        row("by two", &["a", "b"], Some("root,other"), true);
        row("one of which has gone", &["a"], Some("gone, root"), true);
        row("by one that names another secret", &["b"], Some("root"), false);
        row("for one of two secrets", &["a", "b"], Some("root"), false);
        row("by one that has gone", &["a"], Some("gone"), false);
    }

    #[test]
    fn what_is_not_in_force_holds_nothing_up() {
        let expiring = |at: &str| {
            let mut root = grant("root", &["a"], None);
            root.spec.expires_at = serde_json::from_value(json!(at)).unwrap();
            root
        };
        let child = grant("child", &["a"], Some("root"));
        assert_eq!(stand(&[expiring("2026-11-25T00:00:01Z"), child.clone()]), ["root", "child"]);
        assert_eq!(stand(&[expiring("2026-11-25T00:00:00Z"), child.clone()]), ["root"]);
        let mut lower = grant("root", &["a"], None);
        lower.spec.access = Access::Write;
        assert_eq!(stand(&[lower, child.clone()]), ["root"]);
        let mut going = grant("root", &["a"], None);
        going.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-25T00:00:00Z")).unwrap();
        assert_eq!(stand(&[going, child]), ["root"]);
    }

    #[test]
    fn a_chain_stands_by_its_root_and_a_circle_by_nothing() {
        let chain =
            [grant("one", &["a"], None), grant("two", &["a"], Some("one")), grant("three", &["a"], Some("two"))];
        assert_eq!(stand(&chain), ["one", "two", "three"]);
        assert!(stand(&chain[1..]).is_empty());
        let circle = [grant("one", &["a"], Some("two,root")), grant("two", &["a"], Some("one"))];
        assert!(stand(&circle).is_empty());
        let held = [circle[0].clone(), circle[1].clone(), grant("root", &["a"], None)];
        assert_eq!(stand(&held), ["one", "two", "root"]);
    }
}
