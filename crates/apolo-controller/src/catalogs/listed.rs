//! What a catalog should say: what is known and the time in, its status out. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use apolo_api::catalog::{MOST_ENTRIES, OwnSecret, SecretCatalogStatus, SharedSecret};
use apolo_api::lineage;
use apolo_api::secret::Named;
use apolo_api::subject::GrantSubject;
use apolo_core::key::Key;
use apolo_core::names::GRANTED_BY;
use apolo_core::subject::Subject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::room::Room;
use crate::desired::Terms;
use crate::store::{KnownSecret, Listing, SeenGrant, has_name_conflict};

/// What the catalog of a namespace should say at the instant `now`; none where there is nothing to list.
///
/// Own secrets are sorted by key, shared ones by owner, key and the name of the grant. Of each there are at most
/// [`MOST_ENTRIES`], and one that does not fit into what can be stored is left out; owners who share many leave room for others.
#[must_use]
pub fn listed(listing: &Listing, terms: &Terms, now: Timestamp) -> Option<SecretCatalogStatus> {
    let in_force = |seen: &&SeenGrant| {
        seen.stands && lineage::is_live(&seen.grant, terms.max_access, now) && !has_name_conflict(&seen.grant)
    };
    let secrets = sorted_secrets(listing);
    let shares = sorted_shares(listing.shared.iter().filter(in_force));
    if secrets.is_empty() && shares.is_empty() {
        return None;
    }
    let found = secrets.len() + shares.len();
    let mut room = Room::new();
    let mut own = own(&secrets, listing.own.iter().filter(in_force));
    own.retain(|entry| room.takes(entry));
    let mut rooms: HashMap<&str, Room> = HashMap::new();
    let shared = in_turn(&shares).into_iter().take(MOST_ENTRIES).filter_map(|(place, share)| {
        let least = share.least_size();
        let of_owner = rooms.get(share.owner);
        let entry = (room.has(least) && of_owner.is_none_or(|room| room.has(least)))
            .then(|| share.entry(&terms.cluster_name))?;
        // One there is of each owner, however large.
        let has_room = rooms.get_mut(share.owner).is_none_or(|of_owner| of_owner.takes(&entry)) && room.takes(&entry);
        if has_room && !rooms.contains_key(share.owner) {
            rooms.insert(share.owner, Room::of_owner(&entry));
        }
        has_room.then_some((place, entry))
    });
    let shared: BTreeMap<usize, SharedSecret> = shared.collect();
    let shared: Vec<_> = shared.into_values().collect();
    let left_out = i64::try_from(found - own.len() - shared.len()).unwrap_or(i64::MAX);
    let truncated = (left_out > 0).then_some(left_out);
    Some(SecretCatalogStatus { cluster: terms.cluster_name.clone(), own, shared, truncated })
}

fn sorted_secrets(listing: &Listing) -> Vec<(Named<'_>, &KnownSecret)> {
    let opaque = listing.secrets.iter().filter(|(_, secret)| secret.is_opaque);
    let mut secrets: Vec<_> = opaque.map(named).collect();
    secrets.sort_unstable_by_key(|(named, _)| *named);
    secrets
}

fn named<'a>((object, secret): (&'a String, &'a KnownSecret)) -> (Named<'a>, &'a KnownSecret) {
    (Named::new(object, secret.key.as_deref(), secret.has_own_entry), secret)
}

fn own<'a>(secrets: &[(Named<'_>, &KnownSecret)], grants: impl Iterator<Item = &'a SeenGrant>) -> Vec<OwnSecret> {
    let shown = secrets.get(..MOST_ENTRIES).unwrap_or(secrets);
    let mut subjects: HashMap<&str, HashSet<&GrantSubject>> =
        shown.iter().map(|(named, _)| (named.object, HashSet::new())).collect();
    for seen in grants {
        for object in &seen.there {
            if let Some(subjects) = subjects.get_mut(object.as_str()) {
                subjects.extend(&seen.grant.spec.subjects);
            }
        }
    }
    let shared_with = |object: &str| subjects.get(object).map_or(0, HashSet::len);
    let entry = |(named, secret): &(Named<'_>, &KnownSecret)| OwnSecret {
        key: named.key.to_owned(),
        ordinary: named.is_ordinary,
        created: secret.created.map(Time),
        updated: secret.updated.map(Time),
        shared_with: i64::try_from(shared_with(named.object)).unwrap_or(i64::MAX),
    };
    shown.iter().map(entry).collect()
}

/// A secret that a grant shares with the namespace: by owner, key and the name of the grant.
struct Share<'a> {
    owner: &'a str,
    key: &'a str,
    seen: &'a SeenGrant,
}

fn sorted_shares<'a>(grants: impl Iterator<Item = &'a SeenGrant>) -> Vec<Share<'a>> {
    let of_grant = |seen: &'a SeenGrant| {
        let owner = seen.grant.metadata.namespace.as_deref().unwrap_or_default();
        let is_there = |key: &&String| Key::parse(key).is_ok_and(|key| seen.there.contains(key.object_name().as_ref()));
        seen.grant.spec.secrets.iter().filter(is_there).map(move |key| Share { owner, key, seen })
    };
    let mut shares: Vec<_> = grants.flat_map(of_grant).collect();
    shares.sort_unstable_by_key(|share| (share.owner, share.key, share.seen.grant.metadata.name.as_deref()));
    shares
}

/// The shares with their places, so that each owner has one before any has a second.
fn in_turn<'a, 'b>(shares: &'b [Share<'a>]) -> Vec<(usize, &'b Share<'a>)> {
    let mut turns: HashMap<&str, usize> = HashMap::new();
    let turn = |share: &Share<'a>| {
        let turn = turns.entry(share.owner).or_default();
        *turn += 1;
        *turn
    };
    let mut placed: Vec<(usize, (usize, &Share<'a>))> =
        shares.iter().map(turn).zip(shares.iter().enumerate()).collect();
    // Stable, so that owners are in their order in each turn.
    placed.sort_by_key(|(turn, _)| *turn);
    placed.into_iter().map(|(_, share)| share).collect()
}

impl Share<'_> {
    /// Its entry is larger than this: one of many subjects is not even made where it does not fit.
    fn least_size(&self) -> usize {
        self.seen.grant.spec.subjects.iter().map(|subject| subject.name.len()).sum()
    }

    fn entry(&self, cluster: &str) -> SharedSecret {
        let grant = &self.seen.grant;
        let subjects = grant.spec.subjects.iter().filter_map(|subject| Subject::try_from(subject).ok());
        SharedSecret {
            uri: format!("secret://{cluster}/{}/{}", self.owner, self.key),
            access: grant.spec.access,
            subjects: subjects.map(|subject| subject.to_string()).collect(),
            by: grant.annotations().get(GRANTED_BY).map(|by| Subject::of_user_name(by).to_string()),
            expires_at: grant.spec.expires_at.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
