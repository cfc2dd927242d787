//! What should be: a grant, what is there beside it, and the time in; its Role and RoleBinding, its status and when to look again
//! out. Pure.

mod objects;
mod status;

use std::collections::BTreeSet;

use apolo_api::access::Access;
use apolo_api::grant::{Reason, SecretGrant, SecretGrantStatus};
use apolo_api::lineage::{self, Descent};
use apolo_core::key::Key;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::jiff::Timestamp;

use status::Standing;

pub use objects::{MOST_DERIVED, role_name};

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
    /// The grants that came from it, from the oldest on: when each was created, and its name.
    pub derived: BTreeSet<(Option<Timestamp>, String)>,
    /// Whether it stands.
    pub descent: Descent,
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
    let standing = standing(observed, terms, &secrets, now);
    let in_force = matches!(standing.reason, Reason::Granted | Reason::SecretNotFound);
    Desired {
        rbac: in_force.then(|| objects::rbac(observed, &secrets.there)),
        status: Some(status::status(grant, &standing, &terms.cluster_name, now)),
        wake: if in_force { grant.spec.expires_at.as_ref().map(|expiry| expiry.0) } else { None },
    }
}

/// The status of a grant whose Role or RoleBinding, as `details` tells, is somebody else's.
#[must_use]
pub fn name_conflict(grant: &SecretGrant, details: String, terms: &Terms, now: Timestamp) -> SecretGrantStatus {
    let standing = Standing { details, ..Standing::of(Reason::NameConflict) };
    status::status(grant, &standing, &terms.cluster_name, now)
}

fn standing(observed: &Observed<'_>, terms: &Terms, secrets: &Secrets<'_>, now: Timestamp) -> Standing {
    let grant = observed.grant;
    let because = |reason, details| Standing { details, ..Standing::of(reason) };
    if lineage::has_expired(grant, now) {
        return Standing::of(Reason::Expired);
    }
    if lineage::is_marked_withdrawn(grant) {
        return Standing { is_for_good: true, ..Standing::of(Reason::Withdrawn) };
    }
    match observed.descent {
        Descent::Ended => return Standing { is_for_good: true, ..Standing::of(Reason::Withdrawn) },
        Descent::Unknown => {
            return because(Reason::Withdrawn, "for as long as one that it came from cannot be read".into());
        }
        Descent::NotAllowed => {
            let details = format!("at most {}, and one that it came from gives more", terms.max_access);
            return because(Reason::AccessNotAllowed, details);
        }
        Descent::Stands => {}
    }
    if grant.spec.access > terms.max_access {
        because(Reason::AccessNotAllowed, format!("at most {}", terms.max_access))
    } else if !secrets.missing.is_empty() {
        because(Reason::SecretNotFound, status::listed(&secrets.missing))
    } else if objects::leaves_out(observed) {
        because(
            Reason::Granted,
            format!("of the grants that came from this one, they may change the oldest {MOST_DERIVED}"),
        )
    } else {
        Standing::of(Reason::Granted)
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
