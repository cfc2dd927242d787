//! The Manage grants by which somebody may share.
//!
//! They are those that the webhook knows by its watch. One of which it has not heard yet makes the answer a no, and one that has just
//! gone holds nothing up: whether a grant stands is looked at again by the controller, for as long as it is there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use apolo_api::access::Access;
use apolo_api::lineage::{MOST_LEVELS, Via, lets_share, stands_by_itself};
use apolo_core::requester::Requester;
use apolo_core::subject::Subject;
use k8s_openapi::jiff::Timestamp;

use crate::known::KnownGrant;

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

impl Sharing<'_> {
    /// For each secret, among the grants that name it, those that stand and name the requester, the nearest to an owner's first: these
    /// end last.
    pub(super) fn parents(&self, naming: impl Fn(&str) -> Vec<Arc<KnownGrant>>) -> Parents {
        let of_secret = |secret: &String| {
            let mut grants = naming(secret);
            grants.retain(|known| {
                let grant = &known.grant;
                grant.metadata.name.as_deref() != Some(self.itself)
                    && lets_share(grant, secret, self.max_access, self.now)
            });
            let nearest = self.nearest(&grants);
            (!nearest.is_empty()).then(|| (secret.clone(), nearest))
        };
        self.secrets.iter().filter_map(of_secret).collect()
    }

    /// Those of the Manage grants of a secret by which the requester may share it.
    fn nearest(&self, grants: &[Arc<KnownGrant>]) -> BTreeSet<Via> {
        let known_by = |known: &KnownGrant| {
            let subject = known.subjects.iter().find(|subject| self.requester.is(subject))?;
            Some(Via { uid: known.uid().to_owned(), subject: subject.clone() })
        };
        let found = levels(grants).into_iter().filter_map(|(known, level)| Some((level, known_by(known)?)));
        let mut found: Vec<(usize, Via)> = found.collect();
        found.sort();
        found.into_iter().take(MOST).map(|(_, via)| via).collect()
    }
}

/// Those of the Manage grants of a secret that stand, and from which another may come, with how far each is from one that stands by
/// itself.
fn levels(grants: &[Arc<KnownGrant>]) -> Vec<(&KnownGrant, usize)> {
    let mut from: HashMap<&str, Vec<(&KnownGrant, &Subject)>> = HashMap::new();
    for known in grants {
        for via in &known.via {
            from.entry(&via.uid).or_default().push((known, &via.subject));
        }
    }
    let roots = grants.iter().map(Arc::as_ref).filter(|known| stands_by_itself(&known.grant));
    let mut level: Vec<&KnownGrant> = roots.collect();
    let mut seen: HashSet<&str> = level.iter().map(|known| known.uid()).collect();
    let mut standing = Vec::new();
    for number in 0..MOST_LEVELS {
        let came = level.iter().flat_map(|parent| {
            let all = from.get(parent.uid()).into_iter().flatten();
            all.filter(|(_, subject)| parent.subjects.binary_search(*subject).is_ok()).map(|(child, _)| *child)
        });
        let next = came.filter(|child| seen.insert(child.uid())).collect();
        standing.extend(std::mem::replace(&mut level, next).into_iter().map(|known| (known, number)));
    }
    standing
}

#[cfg(test)]
mod tests {
    use super::*;
    use apolo_api::grant::SecretGrant;
    use serde_json::{Value, json};

    fn grant(name: &str, spec: &Value) -> SecretGrant {
        let spec =
            json!({"secrets": ["a"], "access": "Manage", "subjects": [spec["subject"]], "expiresAt": spec["until"]});
        serde_json::from_value(json!({"metadata": {"name": name, "uid": format!("uid-{name}")}, "spec": spec})).unwrap()
    }

    /// Those of these that name a secret.
    fn naming(all: &[SecretGrant]) -> impl Fn(&str) -> Vec<Arc<KnownGrant>> {
        |secret| {
            let named = all.iter().filter(|grant| grant.spec.secrets.iter().any(|it| it == secret));
            named.cloned().map(KnownGrant::of).map(Arc::new).collect()
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
