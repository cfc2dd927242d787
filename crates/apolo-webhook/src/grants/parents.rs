//! The Manage grants by which somebody may share.
//!
//! They are those that the webhook knows by its watch. One of which it has not heard yet makes the answer a no, and one that has just
//! gone holds nothing up: whether a grant stands is looked at again by the controller, for as long as it is there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use apolo_api::access::Access;
use apolo_api::grant::SecretGrant;
use apolo_api::lineage::{self, MOST_LEVELS, Via, lets_share, stands_by_itself};
use apolo_core::requester::Requester;
use apolo_core::subject::Subject;
use k8s_openapi::jiff::Timestamp;

/// How many Manage grants are told for one secret: with each that is left out a grant may end earlier, never later.
const MOST: usize = 16;

/// Who shares what, and when.
pub(super) struct Sharing<'a> {
    pub(super) requester: &'a Requester,
    pub(super) secrets: &'a [String],
    pub(super) max_access: Access,
    pub(super) now: Timestamp,
    /// The grant that is being made or changed, which does not hold itself up.
    pub(super) itself: &'a str,
}

/// For each of the secrets, by which grants the requester may share it.
pub(super) type Parents = BTreeMap<String, BTreeSet<Via>>;

/// A grant: what matters of it.
struct Manage {
    uid: String,
    stands_by_itself: bool,
    via: Vec<Via>,
    subjects: HashSet<Subject>,
    /// The first of its subjects that the requester is.
    known_by: Option<Subject>,
}

impl Sharing<'_> {
    /// For each secret, among the grants that name it, those that stand and name the requester, the nearest to an owner's first: these
    /// end last.
    pub(super) fn parents(&self, naming: impl Fn(&str) -> Vec<Arc<SecretGrant>>) -> Parents {
        let mut read: HashMap<String, Manage> = HashMap::new();
        let mut parents = Parents::new();
        for secret in self.secrets {
            let mut grants = naming(secret);
            grants.retain(|grant| {
                grant.metadata.name.as_deref() != Some(self.itself)
                    && lets_share(grant, secret, self.max_access, self.now)
            });
            for grant in &grants {
                let uid = uid(grant);
                if !read.contains_key(uid) {
                    read.insert(uid.to_owned(), self.manage(grant));
                }
            }
            let found: Vec<&Manage> = grants.iter().filter_map(|grant| read.get(uid(grant))).collect();
            let mut of_secret: Vec<(usize, Via)> = levels(&found)
                .into_iter()
                .filter_map(|(manage, level)| {
                    Some((level, Via { uid: manage.uid.clone(), subject: manage.known_by.clone()? }))
                })
                .collect();
            of_secret.sort();
            let nearest: BTreeSet<Via> = of_secret.into_iter().take(MOST).map(|(_, via)| via).collect();
            if !nearest.is_empty() {
                parents.insert(secret.clone(), nearest);
            }
        }
        parents
    }

    fn manage(&self, grant: &SecretGrant) -> Manage {
        let subjects: Vec<Subject> =
            grant.spec.subjects.iter().filter_map(|subject| Subject::try_from(subject).ok()).collect();
        Manage {
            uid: uid(grant).to_owned(),
            stands_by_itself: stands_by_itself(grant),
            via: lineage::via(grant).collect(),
            known_by: subjects.iter().find(|subject| self.requester.is(subject)).cloned(),
            subjects: subjects.into_iter().collect(),
        }
    }
}

fn uid(grant: &SecretGrant) -> &str {
    grant.metadata.uid.as_deref().unwrap_or_default()
}

/// Those of the Manage grants of a secret that stand, and from which another may come, with how far each is from one that stands by
/// itself.
fn levels<'m>(found: &[&'m Manage]) -> Vec<(&'m Manage, usize)> {
    let mut from: HashMap<&str, Vec<(&'m Manage, &'m Subject)>> = HashMap::new();
    for &manage in found {
        for via in &manage.via {
            from.entry(&via.uid).or_default().push((manage, &via.subject));
        }
    }
    let mut level: Vec<&'m Manage> = found.iter().copied().filter(|it| it.stands_by_itself).collect();
    let mut seen: HashSet<&str> = level.iter().map(|it| it.uid.as_str()).collect();
    let mut standing = Vec::new();
    for number in 0..MOST_LEVELS {
        let came = level.iter().flat_map(|parent| {
            let all = from.get(parent.uid.as_str()).into_iter().flatten();
            all.filter(|(_, subject)| parent.subjects.contains(*subject)).map(|(child, _)| *child)
        });
        let next = came.filter(|child| seen.insert(&child.uid)).collect();
        standing.extend(std::mem::replace(&mut level, next).into_iter().map(|it| (it, number)));
    }
    standing
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn grant(name: &str, spec: &Value) -> SecretGrant {
        let spec =
            json!({"secrets": ["a"], "access": "Manage", "subjects": [spec["subject"]], "expiresAt": spec["until"]});
        serde_json::from_value(json!({"metadata": {"name": name, "uid": format!("uid-{name}")}, "spec": spec})).unwrap()
    }

    /// Those of these that name a secret.
    fn naming(all: &[SecretGrant]) -> impl Fn(&str) -> Vec<Arc<SecretGrant>> {
        |secret| {
            let named = all.iter().filter(|grant| grant.spec.secrets.iter().any(|it| it == secret));
            named.cloned().map(Arc::new).collect()
        }
    }

    #[test]
    fn those_are_found_that_name_the_requester_and_are_in_force() {
        let bob = Requester { name: "bob".into(), groups: vec!["ml-team".into()], ..Requester::default() };
        let secrets = ["a".to_owned(), "b".to_owned()];
        let sharing = Sharing {
            requester: &bob,
            secrets: &secrets,
            max_access: Access::Manage,
            now: "2026-11-25T00:00:00Z".parse().unwrap(),
            itself: "itself",
        };
        let (user, group) = (json!({"kind": "User", "name": "bob"}), json!({"kind": "Group", "name": "ml-team"}));
        let all = [
            grant("one", &json!({"subject": user})),
            grant("two", &json!({"subject": group, "until": "2026-11-25T00:00:01Z"})),
            grant("itself", &json!({"subject": user})),
            grant("expired", &json!({"subject": user, "until": "2026-11-25T00:00:00Z"})),
            grant("another", &json!({"subject": {"kind": "User", "name": "ml-team"}})),
        ];
        let parents = sharing.parents(naming(&all));
        assert_eq!(parents.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(Via::written(&parents["a"]), "uid-one bob\nuid-two group:ml-team");
    }

    #[test]
    fn the_nearest_to_an_owner_are_told_and_those_that_are_too_far_are_none() {
        let bob = Requester { name: "bob".into(), ..Requester::default() };
        let secrets = ["a".to_owned()];
        let sharing = Sharing {
            requester: &bob,
            secrets: &secrets,
            max_access: Access::Manage,
            now: "2026-11-25T00:00:00Z".parse().unwrap(),
            itself: "",
        };
        let manage = |name: &str, via: Option<&str>| {
            let mut grant = grant(name, &json!({"subject": {"kind": "User", "name": "bob"}}));
            let via = via.map(|via| (apolo_core::names::GRANTED_VIA.to_owned(), format!("uid-{via} bob")));
            grant.metadata.annotations = Some(via.into_iter().collect());
            grant
        };
        // Whoever shares with him cannot crowd out the owner's.
        let crowd = (0..20).map(|number| manage(&format!("a{number:02}"), Some("z-root")));
        let crowd: Vec<_> = crowd.chain([manage("z-root", None)]).collect();
        let told = sharing.parents(naming(&crowd));
        assert_eq!(told["a"].len(), MOST);
        assert!(told["a"].iter().any(|via| via.uid == "uid-z-root"));
        // The last of a chain is one level further than it may be for another to come from it.
        let chain = |length: usize| {
            let mut chain = vec![manage("0", None)];
            chain.extend((1..length).map(|level| manage(&level.to_string(), Some(&(level - 1).to_string()))));
            chain
        };
        let last_of = |length: usize| sharing.parents(naming(&chain(length))).get("a").map(BTreeSet::len);
        assert_eq!(last_of(MOST_LEVELS), Some(16));
        // Only the last names carol.
        let carol = Requester { name: "carol".into(), ..Requester::default() };
        let only_last = |length: usize| {
            let mut chain = chain(length);
            chain.last_mut().unwrap().spec.subjects =
                serde_json::from_value(json!([{"kind": "User", "name": "carol"}])).unwrap();
            Sharing { requester: &carol, ..sharing }.parents(naming(&chain)).len()
        };
        assert_eq!((only_last(MOST_LEVELS), only_last(MOST_LEVELS + 1)), (1, 0));
        // A circle stands by nothing.
        assert!(sharing.parents(naming(&[manage("x", Some("y")), manage("y", Some("x"))])).is_empty());
        // What came from the grant that is changed holds it no more up than itself.
        let changed = Sharing { itself: "x", ..sharing };
        assert!(changed.parents(naming(&[manage("x", None), manage("y", Some("x"))])).is_empty());
    }
}
