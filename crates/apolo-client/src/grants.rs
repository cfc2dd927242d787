//! Sharing: the grants of a namespace, made, widened, listed and taken back. One grant is kept for each key and subject, under a
//! name made of both, so that giving twice is giving once.

mod decision;
mod expiry;
mod give;
mod outlook;
mod revoke;
mod shared;
mod standing;
mod wish;

pub use apolo_api::access::Access;
pub use apolo_api::grant::{Reason, SecretGrant};
use apolo_core::key::object_name;
pub use apolo_core::subject::{Subject, SubjectError};
use kube::Api;

use crate::connection::Connection;

pub use expiry::{Expires, ExpiryError};
pub use give::{Done, GiveError, Given, give};
pub use outlook::{Outlook, SecretSeen, look};
pub use revoke::{Other, Others, RevokeError, Revoked, revoke};
pub use shared::{SharedGrant, State, list};
pub use standing::{Standing, wait};
pub use wish::{Destinations, Wish, WishError};

/// The name of the grant of a key to a subject, by the rule that names the Secret of a key.
#[must_use]
pub fn name(key: &str, subject: &Subject) -> String {
    object_name(&format!("{key}-{subject}")).into_owned()
}

/// The grants of a namespace.
fn api(connection: &Connection, namespace: &str) -> Api<SecretGrant> {
    Api::namespaced(connection.client.clone(), namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_named_by_its_key_and_its_subject() {
        let named = |key, subject| name(key, &Subject::parse(subject).unwrap());
        assert_eq!(named("secret-password", "bob"), "secret-password-bob");
        assert_eq!(named("secret-password", "user:bob"), "secret-password-bob");
        assert!(named("secret-password", "group:ml-team").starts_with("secret-password-group-ml-team-"));
        assert_ne!(named("AWS_KEY", "bob"), named("aws-key", "bob"));
    }
}
