//! The inventory: what there is, held against what the watches have told. A watch that missed something is begun again.
//!
//! [`crate::sweep`] asks for all that bears our label; whether that may be there is known from Pods, grants and Secrets, of which
//! the watches alone tell.

use std::collections::HashSet;
use std::time::Duration;

use apolo_api::grant::SecretGrant;
use apolo_runtime::watched::Watched;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::ListParams;
use kube::{Client, Resource};
use tokio::time::sleep;

use crate::lists::{ListError, pages};
use crate::select::{Selected, list_params};
use crate::store::{Source, Store};

/// How far a watch may be behind.
const BEHIND: Duration = Duration::from_secs(10);
/// How many are asked for a second time: if a watch has missed more than that, it has missed one of these.
const MOST_SUSPECTS: usize = 16;

/// A kind that is counted.
struct Counted {
    source: Source,
    /// Where the API server has it, and what of it is asked for.
    path: String,
    params: ListParams,
}

/// Something of which a watch seems not to have told.
#[derive(Debug)]
struct Suspect {
    namespace: String,
    name: String,
    uid: String,
    /// The resourceVersion that it has at least; none if it has gone.
    version: Option<u64>,
}

/// Which watches have missed something: that something has gone, or is there, or is as it is, though it has been so for a while.
///
/// # Errors
/// When the API server does not tell.
pub async fn missed(
    client: &Client,
    store: &Store,
    excluded: &[String],
    watched: &Watched,
) -> Result<Vec<Source>, ListError> {
    let mut suspected = Vec::new();
    for kind in counted(excluded) {
        let suspects = kind.suspects(client, store, watched).await?;
        if !suspects.is_empty() {
            suspected.push((kind, suspects));
        }
    }
    if suspected.is_empty() {
        return Ok(Vec::new());
    }
    sleep(BEHIND).await;
    let mut missed = Vec::new();
    for (kind, suspects) in suspected {
        if kind.has_missed_one(client, store, suspects).await? {
            missed.push(kind.source);
        }
    }
    Ok(missed)
}

fn counted(excluded: &[String]) -> [Counted; 4] {
    let Selected { grants, pods, opaque_secrets, other_secrets, .. } = Selected::outside(excluded);
    let secrets = || Secret::url_path(&(), None).to_owned();
    [
        (Source::SecretGrants, SecretGrant::url_path(&(), None), grants),
        (Source::Pods, Pod::url_path(&(), None), pods),
        (Source::OpaqueSecrets, secrets(), opaque_secrets),
        (Source::OtherSecrets, secrets(), other_secrets),
    ]
    .map(|(source, path, config)| Counted { source, path, params: list_params(&config) })
}

impl Counted {
    async fn suspects(&self, client: &Client, store: &Store, watched: &Watched) -> Result<Vec<Suspect>, ListError> {
        let (mut listed, mut suspects) = (HashSet::new(), Vec::new());
        let as_of = pages(client, &self.path, self.params.clone(), |it| {
            if self.source.asks() && !watched.includes(&it.namespace) {
                return;
            }
            let version = it.version();
            listed.insert(it.uid.clone());
            let suspect = Suspect { namespace: it.namespace, name: it.name, uid: it.uid, version: Some(version) };
            if suspects.len() < MOST_SUSPECTS && self.is_untold(store, &suspect) {
                suspects.push(suspect);
            }
        })
        .await?;
        let gone = store.told_but_not_listed(self.source, &listed, as_of).into_iter();
        let gone = gone.map(|(namespace, name, uid)| Suspect { namespace, name, uid, version: None });
        suspects.extend(gone.take(MOST_SUSPECTS));
        Ok(suspects)
    }

    /// Whether the watch has not told of it what was seen.
    fn is_untold(&self, store: &Store, suspect: &Suspect) -> bool {
        let told = store.told(self.source, &suspect.namespace, &suspect.name);
        match (told, suspect.version) {
            (Some((_, told)), Some(version)) => told < version,
            (None, Some(_)) => true,
            (told, None) => told.is_some_and(|(uid, _)| uid == suspect.uid),
        }
    }

    async fn has_missed_one(&self, client: &Client, store: &Store, suspects: Vec<Suspect>) -> Result<bool, ListError> {
        for suspect in suspects.iter().filter(|suspect| self.is_untold(store, suspect)) {
            if suspect.version.is_none() || self.is_there(client, suspect).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether it is still there: of what has come and gone meanwhile nothing is known either.
    async fn is_there(&self, client: &Client, suspect: &Suspect) -> Result<bool, ListError> {
        let only = [("metadata.namespace", &suspect.namespace), ("metadata.name", &suspect.name)];
        let only: Vec<String> = only.map(|(field, value)| format!("{field}={value}")).into();
        let all = self.params.field_selector.iter().cloned().chain(only).collect::<Vec<_>>();
        let params = ListParams { field_selector: Some(all.join(",")), ..self.params.clone() };
        let mut is_there = false;
        pages(client, &self.path, params, |it| is_there |= it.uid == suspect.uid).await?;
        Ok(is_there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Kept, KnownSecret};

    fn secret(uid: &str, version: u64) -> Kept {
        Kept::Secret(KnownSecret { uid: uid.into(), version, is_opaque: true, ..KnownSecret::default() })
    }

    fn suspect(name: &str, uid: &str, version: Option<u64>) -> Suspect {
        Suspect { namespace: "alice".into(), name: name.into(), uid: uid.into(), version }
    }

    #[test]
    fn a_watch_has_not_told_what_it_knows_older_or_not_or_as_still_there() {
        let store = Store::default();
        store.put_secret("alice", "a", secret("1", 5));
        let [.., secrets, _] = counted(&[]);
        let is_untold = |name, uid, version| secrets.is_untold(&store, &suspect(name, uid, version));
        assert!(!is_untold("a", "1", Some(5)) && !is_untold("a", "1", Some(4)));
        assert!(is_untold("a", "1", Some(6)) && is_untold("a", "2", Some(6)) && is_untold("b", "3", Some(1)));
        assert!(is_untold("a", "1", None));
        assert!(!is_untold("a", "2", None) && !is_untold("b", "3", None));
    }

    #[test]
    fn what_a_list_has_not_is_gone_unless_it_is_newer_than_the_list() {
        let store = Store::default();
        store.put_secret("alice", "a", secret("1", 5));
        store.put_secret("alice", "b", secret("2", 7));
        let gone = |listed: &[&str], as_of| {
            let listed = listed.iter().map(|&uid| uid.to_owned()).collect();
            let gone = store.told_but_not_listed(Source::OpaqueSecrets, &listed, as_of);
            gone.into_iter().map(|(_, name, _)| name).collect::<Vec<_>>()
        };
        assert!(gone(&["1", "2"], 9).is_empty());
        assert_eq!(gone(&["2"], 9), ["a"]);
        assert_eq!(gone(&[], 6), ["a"]);
    }
}
