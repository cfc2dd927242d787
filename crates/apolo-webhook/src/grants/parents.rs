//! The Manage grants by which somebody may share, as the API server has them now.

use std::collections::{BTreeMap, BTreeSet};

use apolo_api::access::Access;
use apolo_api::grant::SecretGrant;
use apolo_api::lineage::{Via, lets_share};
use apolo_core::requester::Requester;
use apolo_core::subject::Subject;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client};

/// How many grants are asked for at once.
const PAGE: u32 = 500;
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
    /// Looks through all grants of a namespace. One that cannot be read lets nobody share.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub(super) async fn parents(&self, client: &Client, namespace: &str) -> Result<Parents, kube::Error> {
        let resource = ApiResource::erase::<SecretGrant>(&());
        let grants: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let mut parents = Parents::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let listed = grants.list(&page).await?;
            for grant in listed.items.into_iter().filter_map(|grant| grant.try_parse().ok()) {
                self.find(&grant, &mut parents);
            }
            match listed.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => return Ok(parents),
            }
        }
    }

    fn find(&self, grant: &SecretGrant, parents: &mut Parents) {
        let Some(uid) = grant.metadata.uid.as_deref().filter(|_| grant.metadata.name.as_deref() != Some(self.itself))
        else {
            return;
        };
        let subjects = grant.spec.subjects.iter().filter_map(|subject| Subject::try_from(subject).ok());
        let Some(subject) = subjects.into_iter().find(|subject| self.requester.is(subject)) else { return };
        for secret in self.secrets.iter().filter(|secret| lets_share(grant, secret, self.max_access, self.now)) {
            let of_secret = parents.entry(secret.clone()).or_default();
            if of_secret.len() < MOST {
                of_secret.insert(Via { uid: uid.to_owned(), subject: subject.clone() });
            }
        }
    }
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
        let mut parents = Parents::new();
        for grant in [
            grant("one", &json!({"subject": user})),
            grant("two", &json!({"subject": group, "until": "2026-11-25T00:00:01Z"})),
            grant("itself", &json!({"subject": user})),
            grant("expired", &json!({"subject": user, "until": "2026-11-25T00:00:00Z"})),
            grant("another", &json!({"subject": {"kind": "User", "name": "ml-team"}})),
        ] {
            sharing.find(&grant, &mut parents);
        }
        assert_eq!(parents.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(Via::written(&parents["a"]), "uid-one bob\nuid-two group:ml-team");
    }
}
