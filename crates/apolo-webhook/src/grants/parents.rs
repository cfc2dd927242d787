//! The Manage grants by which somebody may share, as the API server has them now.

use std::collections::{BTreeMap, BTreeSet};

use apolo_api::access::Access;
use apolo_api::grant::SecretGrant;
use apolo_api::lineage::{self, MOST_LEVELS, Via, lets_share, stands_by_itself};
use apolo_core::requester::Requester;
use apolo_core::subject::Subject;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client};
use tokio::sync::Semaphore;

/// How many grants are asked for at once: as large as they may be, they fit in memory.
const PAGE: u32 = 50;
/// How many Manage grants are told for one secret: with each that is left out a grant may end earlier, never later.
const MOST: usize = 16;
/// One listing at a time: what it holds is bounded, and so is what all of them hold.
static LISTING: Semaphore = Semaphore::const_new(1);

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

/// A Manage grant of some of the secrets: what matters of it.
struct Manage {
    uid: String,
    is_itself: bool,
    stands_by_itself: bool,
    via: Vec<Via>,
    subjects: Vec<Subject>,
    secrets: Vec<String>,
}

impl Sharing<'_> {
    /// Looks through all grants of a namespace. One that cannot be read lets nobody share.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub(super) async fn parents(&self, client: &Client, namespace: &str) -> Result<Parents, kube::Error> {
        let resource = ApiResource::erase::<SecretGrant>(&());
        let grants: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        // It is never closed; without a permit they are listed all the same.
        let _permit = LISTING.acquire().await;
        let mut found = Vec::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let listed = grants.list(&page).await?;
            let readable = listed.items.into_iter().filter_map(|grant| grant.try_parse().ok());
            found.extend(readable.filter_map(|grant| self.manage(&grant)));
            match listed.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => return Ok(self.of(&found)),
            }
        }
    }

    fn manage(&self, grant: &SecretGrant) -> Option<Manage> {
        let lets = |secret: &&String| lets_share(grant, secret, self.max_access, self.now);
        let secrets: Vec<String> = self.secrets.iter().filter(lets).cloned().collect();
        (!secrets.is_empty()).then(|| Manage {
            uid: grant.metadata.uid.clone().unwrap_or_default(),
            is_itself: grant.metadata.name.as_deref() == Some(self.itself),
            stands_by_itself: stands_by_itself(grant),
            via: lineage::via(grant).collect(),
            subjects: grant.spec.subjects.iter().filter_map(|subject| Subject::try_from(subject).ok()).collect(),
            secrets,
        })
    }

    /// For each secret those that stand and name the requester, the nearest to an owner's first: these end last.
    fn of(&self, found: &[Manage]) -> Parents {
        let mut parents = Parents::new();
        for secret in self.secrets {
            let mut of_secret = Vec::new();
            for (manage, level) in levels(found, secret) {
                let subject = manage.subjects.iter().find(|subject| self.requester.is(subject));
                if let Some(subject) = subject.filter(|_| !manage.is_itself) {
                    of_secret.push((level, Via { uid: manage.uid.clone(), subject: subject.clone() }));
                }
            }
            of_secret.sort();
            let nearest: BTreeSet<Via> = of_secret.into_iter().take(MOST).map(|(_, via)| via).collect();
            if !nearest.is_empty() {
                parents.insert(secret.clone(), nearest);
            }
        }
        parents
    }
}

/// Those that stand for a secret, and from which another may come, with how far each is from one that stands by itself.
fn levels<'m>(found: &'m [Manage], secret: &str) -> Vec<(&'m Manage, usize)> {
    let of_secret: Vec<&Manage> = found.iter().filter(|it| it.secrets.iter().any(|named| named == secret)).collect();
    let mut standing: BTreeMap<&str, (&Manage, usize)> = BTreeMap::new();
    for level in 0..MOST_LEVELS {
        let fresh: Vec<&Manage> = of_secret
            .iter()
            .filter(|it| !standing.contains_key(it.uid.as_str()))
            .filter(|it| {
                let comes_from = |via: &Via| {
                    standing.get(via.uid.as_str()).is_some_and(|(parent, _)| parent.subjects.contains(&via.subject))
                };
                if level == 0 { it.stands_by_itself } else { it.via.iter().any(comes_from) }
            })
            .copied()
            .collect();
        if fresh.is_empty() {
            break;
        }
        standing.extend(fresh.into_iter().map(|it| (it.uid.as_str(), (it, level))));
    }
    standing.into_values().collect()
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
        let found: Vec<Manage> = [
            grant("one", &json!({"subject": user})),
            grant("two", &json!({"subject": group, "until": "2026-11-25T00:00:01Z"})),
            grant("itself", &json!({"subject": user})),
            grant("expired", &json!({"subject": user, "until": "2026-11-25T00:00:00Z"})),
            grant("another", &json!({"subject": {"kind": "User", "name": "ml-team"}})),
        ]
        .iter()
        .filter_map(|grant| sharing.manage(grant))
        .collect();
        let parents = sharing.of(&found);
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
            sharing.manage(&grant).unwrap()
        };
        // Whoever shares with him cannot crowd out the owner's.
        let crowd = (0..20).map(|number| manage(&format!("a{number:02}"), Some("z-root")));
        let told = sharing.of(&crowd.chain([manage("z-root", None)]).collect::<Vec<_>>());
        assert_eq!(told["a"].len(), MOST);
        assert!(told["a"].iter().any(|via| via.uid == "uid-z-root"));
        // The last of a chain is one level further than it may be for another to come from it.
        let chain = |length: usize| {
            let mut chain = vec![manage("0", None)];
            chain.extend((1..length).map(|level| manage(&level.to_string(), Some(&(level - 1).to_string()))));
            chain
        };
        let last_of = |length: usize| sharing.of(&chain(length)[..]).get("a").map(BTreeSet::len);
        assert_eq!(last_of(MOST_LEVELS), Some(16));
        let only_last = |length: usize| {
            let mut chain = chain(length);
            chain.iter_mut().rev().skip(1).for_each(|it| it.is_itself = true);
            sharing.of(&chain).len()
        };
        assert_eq!((only_last(MOST_LEVELS), only_last(MOST_LEVELS + 1)), (1, 0));
        // A circle stands by nothing.
        assert!(sharing.of(&[manage("x", Some("y")), manage("y", Some("x"))]).is_empty());
    }
}
