//! What is to be said to somebody who shares a secret: whether it is there, and the namespaces where it is to be used.

use apolo_api::secret::{Named, entries};
use apolo_core::nearness;
use futures_util::future::{join, join_all};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use crate::connection::Connection;
use crate::namespaces::{self, Seen};
use crate::secrets;
use crate::target::Target;

/// What is seen of a secret and of some namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// The secret.
    pub secret: SecretSeen,
    /// Each of the namespaces.
    pub namespaces: Vec<(String, Seen)>,
}

/// What is seen of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSeen {
    /// It is there.
    There {
        /// The entries by which an ordinary Secret is asked for; none of one that apolo made.
        entries: Vec<String>,
    },
    /// It is not there.
    NotThere {
        /// The key of the same namespace that may have been meant.
        nearest: Option<String>,
    },
    /// The person may not look, or the API server did not answer.
    Unseen,
}

/// Looks at a secret and at the namespaces where it is to be used, as far as the person may.
pub async fn look(connection: &Connection, target: &Target, namespaces: &[String]) -> Outlook {
    let each = namespaces.iter().map(async |name| (name.clone(), namespaces::look(connection, name).await));
    let (secret, namespaces) = join(look_at_secret(connection, target), join_all(each)).await;
    Outlook { secret, namespaces }
}

/// Looks at a secret, by its metadata.
pub(crate) async fn look_at_secret(connection: &Connection, target: &Target) -> SecretSeen {
    let api: Api<Secret> = Api::namespaced(connection.client.clone(), &target.owner);
    match api.get_metadata_opt(&target.object()).await {
        Err(_) => SecretSeen::Unseen,
        Ok(None) => {
            let known = secrets::list(connection, &target.owner).await.unwrap_or_default();
            let nearest = nearness::nearest(&target.key, known.secrets.iter().map(|secret| secret.key.as_str()));
            SecretSeen::NotThere { nearest: nearest.map(str::to_owned) }
        }
        Ok(Some(secret)) => {
            let named = Named::of(&secret.metadata);
            let entries = if named.is_ordinary { entries(&secret.metadata) } else { Default::default() };
            let entries = entries.into_iter().filter(|entry| *entry != ".");
            SecretSeen::There { entries: entries.map(str::to_owned).collect() }
        }
    }
}
