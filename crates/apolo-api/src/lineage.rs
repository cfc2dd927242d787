//! Whether a grant still stands: its author may have been allowed to share only by other grants, and these may have gone.
//!
//! A grant whose annotation `granted-via` is not there, or empty, stands by itself. Any other stands for as long as, for each of
//! its secrets, one of those grants that the annotation names is in force, has the access Manage, names the secret, has among
//! its subjects the one that the author was known by, and stands itself.

use std::collections::{BTreeMap, BTreeSet};

use apolo_core::names::GRANTED_VIA;
use apolo_core::subject::Subject;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::access::Access;
use crate::grant::SecretGrant;

/// How many grants a grant may be away from one that stands by itself.
pub const MOST_LEVELS: usize = 16;

/// The grants of a namespace, by UID.
pub type Grants<'a> = BTreeMap<&'a str, &'a SecretGrant>;

/// A Manage grant that let the author of another one share: a line `UID SUBJECT` of the annotation `granted-via`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Via {
    /// The UID of the Manage grant.
    pub uid: String,
    /// The one of its subjects that the author was known by.
    pub subject: Subject,
}

impl Via {
    /// Several as they stand in the annotation.
    #[must_use]
    pub fn written(all: &BTreeSet<Self>) -> String {
        all.iter().map(|via| format!("{} {}", via.uid, via.subject)).collect::<Vec<_>>().join("\n")
    }
}

/// The grants that let the author of this one share: none for an owner's, and for one whose `share` came from a Role that is not
/// ours. A line that is out of form holds nothing up, so it is none.
pub fn via(grant: &SecretGrant) -> impl Iterator<Item = Via> {
    text(grant).lines().filter_map(|line| {
        let (uid, subject) = line.split_once(' ')?;
        Some(Via { uid: uid.to_owned(), subject: Subject::parse(subject).ok()? })
    })
}

fn text(grant: &SecretGrant) -> &str {
    grant.annotations().get(GRANTED_VIA).map(String::as_str).unwrap_or_default()
}

/// What has become of that by which the author of a grant could share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descent {
    /// The grant stands.
    Stands,
    /// It would, if the cluster allowed more access.
    NotAllowed,
    /// It may, but one that it came from cannot be read.
    Unknown,
    /// It does not stand any more.
    Ended,
}

/// Whether a grant stands, among those of its namespace that can be read; `unreadable` are the UIDs of the others.
#[must_use]
pub fn descent(
    grant: &SecretGrant,
    grants: &Grants<'_>,
    unreadable: &BTreeSet<String>,
    max_access: Access,
    now: Timestamp,
) -> Descent {
    if stands(grant, grants, max_access, now) {
        return Descent::Stands;
    }
    if stands(grant, grants, Access::Manage, now) {
        return Descent::NotAllowed;
    }
    let lets_share = |parent: &SecretGrant, secret: &str| lets_share(parent, secret, Access::Manage, now);
    let is_root = |grant: &SecretGrant| stands_by_itself(grant) || via(grant).any(|via| unreadable.contains(&via.uid));
    let may_stand = grant.spec.secrets.iter().all(|secret| comes_down(grant, secret, grants, is_root, lets_share));
    if may_stand { Descent::Unknown } else { Descent::Ended }
}

/// Whether a grant stands, among those of its namespace: each of its secrets comes down from a grant that stands by itself, in at
/// most [`MOST_LEVELS`] steps.
#[must_use]
pub fn stands(grant: &SecretGrant, grants: &Grants<'_>, max_access: Access, now: Timestamp) -> bool {
    let lets_share = |parent: &SecretGrant, secret: &str| lets_share(parent, secret, max_access, now);
    grant.spec.secrets.iter().all(|secret| comes_down(grant, secret, grants, stands_by_itself, lets_share))
}

/// Level by level, so that the shortest way is found; those that name each other in a circle hold nobody up.
fn comes_down(
    grant: &SecretGrant,
    secret: &str,
    grants: &Grants<'_>,
    is_root: impl Fn(&SecretGrant) -> bool,
    lets_share: impl Fn(&SecretGrant, &str) -> bool,
) -> bool {
    let mut seen = BTreeSet::new();
    let mut level = vec![grant];
    for _ in 0..=MOST_LEVELS {
        if level.iter().any(|grant| is_root(grant)) {
            return true;
        }
        let parents = level.iter().flat_map(|grant| via(grant)).filter_map(|via| {
            let (&uid, &parent) = grants.get_key_value(via.uid.as_str())?;
            (lets_share(parent, secret) && has_subject(parent, &via.subject) && seen.insert(uid)).then_some(parent)
        });
        level = parents.collect();
    }
    false
}

/// Whether nobody's grant is needed for it: an owner's, or one whose `share` came from a Role that is not ours.
#[must_use]
pub fn stands_by_itself(grant: &SecretGrant) -> bool {
    text(grant).trim().is_empty()
}

/// Whether somebody is among the subjects of a grant by this name.
#[must_use]
pub fn has_subject(grant: &SecretGrant, subject: &Subject) -> bool {
    grant.spec.subjects.iter().any(|it| Subject::try_from(it).as_ref() == Ok(subject))
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

/// Whether a grant is in force, provided that it stands.
#[must_use]
pub fn is_live(grant: &SecretGrant, max_access: Access, now: Timestamp) -> bool {
    grant.metadata.deletion_timestamp.is_none()
        && grant.spec.access <= max_access
        && !has_expired(grant, now)
        && !is_marked_withdrawn(grant)
}

/// Whether a grant lets its subjects share a secret, provided that it stands.
#[must_use]
pub fn lets_share(grant: &SecretGrant, secret: &str, max_access: Access, now: Timestamp) -> bool {
    grant.spec.access == Access::Manage
        && grant.spec.secrets.iter().any(|named| named == secret)
        && is_live(grant, max_access, now)
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
        row("by one", &["a"], Some("root bob"), true);
        row("by two", &["a", "b"], Some("root bob\nother bob"), true);
        row("one of which has gone", &["a"], Some("gone bob\nroot bob"), true);
        row("by one that names another secret", &["b"], Some("root bob"), false);
        row("for one of two secrets", &["a", "b"], Some("root bob"), false);
        row("by one that has gone", &["a"], Some("gone bob"), false);
        row("by one of whose subjects the author was another", &["a"], Some("root group:bob"), false);
        row("by one whom it does not say he was", &["a"], Some("root"), false);
        row("by what is out of form", &["a"], Some("?"), false);
    }

    #[test]
    fn what_is_not_in_force_holds_nothing_up() {
        let expiring = |at: &str| {
            let mut root = grant("root", &["a"], None);
            root.spec.expires_at = serde_json::from_value(json!(at)).unwrap();
            root
        };
        let child = grant("child", &["a"], Some("root bob"));
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
    fn a_grant_has_not_ended_while_it_may_stand_again() {
        let chain = [grant("root", &["a"], None), grant("one", &["a"], Some("root bob"))];
        let two = grant("two", &["a"], Some("one bob"));
        let of_two = |grants: &[SecretGrant], unreadable: &[&str], max_access: Access| {
            let grants: Grants<'_> =
                grants.iter().map(|grant| (grant.metadata.uid.as_deref().unwrap(), grant)).collect();
            let unreadable = unreadable.iter().map(|&uid| uid.into()).collect();
            descent(&two, &grants, &unreadable, max_access, now())
        };
        assert_eq!(of_two(&chain, &["another"], Access::Manage), Descent::Stands);
        assert_eq!(of_two(&chain, &["another"], Access::Write), Descent::NotAllowed);
        assert_eq!(of_two(&chain[1..], &["root"], Access::Manage), Descent::Unknown);
        assert_eq!(of_two(&chain[..1], &["one"], Access::Write), Descent::Unknown);
        assert_eq!(of_two(&chain[1..], &["another"], Access::Write), Descent::Ended);
        assert_eq!(of_two(&[], &["root"], Access::Manage), Descent::Ended);
    }

    #[test]
    fn a_chain_stands_as_long_as_it_may_be_and_the_shortest_way_counts() {
        let mut chain = vec![grant("0", &["a"], None)];
        for level in 1..10_000 {
            chain.push(grant(&level.to_string(), &["a"], Some(&format!("{} bob", level - 1))));
        }
        let grants: Grants<'_> = chain.iter().map(|grant| (grant.metadata.uid.as_deref().unwrap(), grant)).collect();
        let stands = |grant: &SecretGrant| stands(grant, &grants, Access::Manage, now());
        assert!(stands(&chain[MOST_LEVELS]) && !stands(&chain[MOST_LEVELS + 1]) && !stands(&chain[9_999]));
        assert!(stands(&grant("short", &["a"], Some("9998 bob\n16 bob\n3 bob"))));
    }

    #[test]
    fn a_chain_stands_by_its_root_and_a_circle_by_nothing() {
        let chain = [
            grant("one", &["a"], None),
            grant("two", &["a"], Some("one bob")),
            grant("three", &["a"], Some("two bob")),
        ];
        assert_eq!(stand(&chain), ["one", "two", "three"]);
        assert!(stand(&chain[1..]).is_empty());
        let circle = [grant("one", &["a"], Some("two bob\nroot bob")), grant("two", &["a"], Some("one bob"))];
        assert!(stand(&circle).is_empty());
        let held = [circle[0].clone(), circle[1].clone(), grant("root", &["a"], None)];
        assert_eq!(stand(&held), ["one", "two", "root"]);
    }
}
