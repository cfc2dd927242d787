//! Waiting until a grant is in force.

use std::pin::pin;
use std::time::Duration;

use apolo_api::grant::{READY, Reason, SecretGrant};
use futures_util::TryStreamExt;
use kube::Api;
use kube::ResourceExt;
use kube::api::{WatchEvent, WatchParams};
use tokio::time::{sleep, timeout};

use crate::connection::Connection;

/// How long it is waited between two looks, where a grant may not be watched.
const BETWEEN: Duration = Duration::from_millis(200);

/// How a grant stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is in force.
    InForce,
    /// Its secret is not there; it is granted when it comes.
    SecretNotThere,
    /// It is not in force.
    Not {
        /// Why.
        reason: Option<Reason>,
        /// The same in a sentence.
        message: String,
    },
    /// Nobody has looked at it in the time that there was.
    NotLookedAt,
    /// The person may not see it.
    Unseen,
}

impl Standing {
    /// What the controller says of a grant as it is now; none where it has yet to look at it.
    #[must_use]
    pub fn of(grant: &SecretGrant) -> Option<Self> {
        let status = grant.status.as_ref()?;
        let ready = status.conditions.iter().find(|condition| condition.type_ == READY)?;
        if status.observed_generation != grant.metadata.generation {
            return None;
        }
        Some(match ready.reason.parse() {
            Ok(Reason::Granted) => Self::InForce,
            Ok(Reason::SecretNotFound) => Self::SecretNotThere,
            reason => Self::Not { reason: reason.ok(), message: ready.message.clone() },
        })
    }
}

/// Waits until the controller has looked at a grant, but no longer than that.
pub async fn wait(connection: &Connection, grant: &SecretGrant, at_most: Duration) -> Standing {
    if let Some(standing) = Standing::of(grant) {
        return standing;
    }
    let grants = super::api(connection, &grant.namespace().unwrap_or_default());
    let mut is_seen = false;
    let told = timeout(at_most, told(&grants, grant, &mut is_seen)).await;
    match told {
        Ok(standing) => standing,
        Err(_) if is_seen => Standing::NotLookedAt,
        Err(_) => Standing::Unseen,
    }
}

async fn told(grants: &Api<SecretGrant>, grant: &SecretGrant, is_seen: &mut bool) -> Standing {
    if let Some(standing) = watched(grants, grant, is_seen).await {
        return standing;
    }
    // Whoever shares by a Manage grant may get the grants that come from it, and not watch them; the first one not at once.
    loop {
        if let Ok(grant) = grants.get(&grant.name_any()).await {
            *is_seen = true;
            if let Some(standing) = Standing::of(&grant) {
                return standing;
            }
        }
        sleep(BETWEEN).await;
    }
}

/// None where it may not be watched, or the watch ends.
async fn watched(grants: &Api<SecretGrant>, grant: &SecretGrant, is_seen: &mut bool) -> Option<Standing> {
    let params = WatchParams::default().fields(&format!("metadata.name={}", grant.name_any()));
    let version = grant.resource_version().unwrap_or_default();
    let mut events = pin!(grants.watch(&params, &version).await.ok()?);
    *is_seen = true;
    loop {
        match events.try_next().await {
            Ok(Some(WatchEvent::Added(grant) | WatchEvent::Modified(grant))) => {
                if let Some(standing) = Standing::of(&grant) {
                    return Some(standing);
                }
            }
            Ok(Some(WatchEvent::Deleted(_))) => {
                return Some(Standing::Not { reason: None, message: "it has been deleted meanwhile".to_owned() });
            }
            Ok(Some(WatchEvent::Bookmark(_))) => {}
            // A refusal comes as the first thing that is read.
            Ok(Some(WatchEvent::Error(_)) | None) | Err(_) => {
                *is_seen = false;
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_grant_stands_as_the_controller_says_of_what_it_is_now() {
        let grant = |generation: i64, reason: &str| -> SecretGrant {
            serde_json::from_value(json!({
                "metadata": {"name": "a", "generation": generation},
                "spec": {"secrets": ["a"], "subjects": [{"kind": "User", "name": "bob"}]},
                "status": {"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "False", "reason": reason,
                    "message": "words", "lastTransitionTime": "2026-11-26T00:00:00Z"}]},
            }))
            .unwrap()
        };
        let not = |reason| Standing::Not { reason, message: "words".into() };
        assert_eq!(Standing::of(&grant(2, "Granted")), Some(Standing::InForce));
        assert_eq!(Standing::of(&grant(3, "Granted")), None);
        assert_eq!(Standing::of(&grant(2, "SecretNotFound")), Some(Standing::SecretNotThere));
        assert_eq!(Standing::of(&grant(2, "NameConflict")), Some(not(Some(Reason::NameConflict))));
        assert_eq!(Standing::of(&grant(2, "OfTomorrow")), Some(not(None)));
        assert_eq!(Standing::of(&SecretGrant { status: None, ..grant(2, "Granted") }), None);
    }
}
