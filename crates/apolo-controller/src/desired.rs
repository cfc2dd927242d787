//! What should be: a grant, what is there beside it, and the time in; its Role and RoleBinding, its status and when to look again
//! out. Pure.

mod objects;
mod status;

use std::collections::BTreeSet;

use apolo_api::access::Access;
use apolo_api::grant::{Reason, SecretGrant, SecretGrantStatus};
use apolo_api::lineage;
use apolo_core::key::Key;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::jiff::Timestamp;

use status::Standing;

pub use objects::role_name;

/// What holds for all grants.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What this cluster is called in references.
    pub cluster_name: String,
    /// A grant of more gets no rules.
    pub max_access: Access,
}

/// A grant and what matters of the rest of its namespace.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The grant.
    pub grant: &'a SecretGrant,
    /// The names of those of its Secrets that exist; others may be among them.
    pub secrets: BTreeSet<String>,
    /// The names of the grants that came from it.
    pub derived: BTreeSet<String>,
    /// Whether it stands: see [`lineage::stands`].
    pub stands: bool,
}

/// What should be of a grant.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Its Role and RoleBinding; none where it gives nothing, and then neither may be there.
    pub rbac: Option<Rbac>,
    /// Its status; none while it is being deleted.
    pub status: Option<SecretGrantStatus>,
    /// When it is to be looked at again, whatever happens.
    pub wake: Option<Timestamp>,
}

/// What gives the subjects of a grant their access.
#[derive(Clone, Debug, PartialEq)]
pub struct Rbac {
    /// Which verbs on which objects.
    pub role: Role,
    /// To whom.
    pub binding: RoleBinding,
}

/// What should be of a grant at the instant `now`.
#[must_use]
pub fn desired(observed: &Observed<'_>, terms: &Terms, now: Timestamp) -> Desired {
    let grant = observed.grant;
    if grant.metadata.deletion_timestamp.is_some() {
        return Desired { rbac: None, status: None, wake: None };
    }
    let secrets = Secrets::of(observed);
    let (reason, details) = standing(observed, terms, &secrets, now);
    let in_force = matches!(reason, Reason::Granted | Reason::SecretNotFound);
    Desired {
        rbac: in_force.then(|| objects::rbac(observed, &secrets.there)),
        status: Some(status::status(grant, &Standing { reason, details }, &terms.cluster_name, now)),
        wake: if in_force { grant.spec.expires_at.as_ref().map(|expiry| expiry.0) } else { None },
    }
}

/// The status of a grant whose Role or RoleBinding, as `details` tells, is somebody else's.
#[must_use]
pub fn name_conflict(grant: &SecretGrant, details: String, terms: &Terms, now: Timestamp) -> SecretGrantStatus {
    status::status(grant, &Standing { reason: Reason::NameConflict, details }, &terms.cluster_name, now)
}

/// Why the grant is in force or not, and what the reason's sentence does not say.
fn standing(observed: &Observed<'_>, terms: &Terms, secrets: &Secrets<'_>, now: Timestamp) -> (Reason, String) {
    let grant = observed.grant;
    let none = String::new;
    if lineage::has_expired(grant, now) {
        (Reason::Expired, none())
    } else if lineage::is_marked_withdrawn(grant) || !observed.stands {
        (Reason::Withdrawn, none())
    } else if grant.spec.access > terms.max_access {
        (Reason::AccessNotAllowed, format!("at most {}", terms.max_access))
    } else if !secrets.missing.is_empty() {
        (Reason::SecretNotFound, status::listed(&secrets.missing))
    } else {
        (Reason::Granted, none())
    }
}

/// The secrets of a grant, those that are there by the names of their objects.
struct Secrets<'a> {
    there: BTreeSet<String>,
    missing: Vec<&'a str>,
}

impl<'a> Secrets<'a> {
    fn of(observed: &Observed<'a>) -> Self {
        let mut secrets = Self { there: BTreeSet::new(), missing: Vec::new() };
        for text in &observed.grant.spec.secrets {
            let object = Key::parse(text).ok().map(Key::object_name);
            match object.filter(|object| observed.secrets.contains(object.as_ref())) {
                Some(object) => {
                    secrets.there.insert(object.into_owned());
                }
                None => secrets.missing.push(text),
            }
        }
        secrets
    }
}

#[cfg(test)]
mod tests;
