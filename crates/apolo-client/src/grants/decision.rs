//! What becomes of a grant that is there already when somebody wants to share the same. Pure.

use apolo_api::access::Access;
use apolo_api::grant::{SecretGrant, SecretGrantSpec};
use apolo_api::lineage;
use apolo_api::subject::GrantSubject;
use apolo_core::subject::Subject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use thiserror::Error;

use super::{Destinations, Expires, Wish, WishError};
use crate::explained::{Explained, Kind};

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    /// Nothing: it gives that already.
    Nothing,
    /// Its spec becomes this.
    Change(SecretGrantSpec),
    /// It was withdrawn for good, so that another has to take its place.
    Anew(Vec<String>),
}

/// Why nothing can be done with it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecisionError {
    /// It is of something else.
    #[error("grant {name:?} of namespace {namespace} is there already, and is of something else: {what}")]
    OtherContent {
        /// Its name.
        name: String,
        /// The namespace.
        namespace: String,
        /// What it is of.
        what: String,
    },
    /// It has ended, and nobody said until when it is to go on.
    #[error("grant {name:?} of namespace {namespace} ended on {at}")]
    Ended {
        /// Its name.
        name: String,
        /// The namespace.
        namespace: String,
        /// When.
        at: String,
    },
    /// It is being deleted.
    #[error("grant {name:?} of namespace {namespace} is being deleted")]
    Leaving {
        /// Its name.
        name: String,
        /// The namespace.
        namespace: String,
    },
    /// It names no namespace, and nor does the wish.
    #[error(transparent)]
    Wish(#[from] WishError),
}

/// What becomes of the grant that bears the name which the wish makes.
///
/// # Errors
/// Where it is of something else, or it is not said what it needs.
pub(super) fn decide(wish: &Wish, grant: &SecretGrant, now: Timestamp) -> Result<Decision, DecisionError> {
    let (name, namespace) = (grant.name_any(), wish.target.owner.clone());
    if !is_of(grant, &wish.target.key, &wish.subject) {
        return Err(DecisionError::OtherContent { name, namespace, what: told(&grant.spec) });
    }
    if grant.metadata.deletion_timestamp.is_some() {
        return Err(DecisionError::Leaving { name, namespace });
    }
    if lineage::is_marked_withdrawn(grant) {
        return Ok(Decision::Anew(wish.opened()?));
    }
    let spec = &grant.spec;
    let expires_at = match (wish.expires, &spec.expires_at) {
        (Expires::At(time), _) => Some(Time(time)),
        (Expires::Never, _) => None,
        (Expires::AsBefore, Some(at)) if lineage::has_expired(grant, now) => {
            return Err(DecisionError::Ended { name, namespace, at: at.0.to_string() });
        }
        (Expires::AsBefore, at) => at.clone(),
    };
    let more = match &wish.destinations {
        Destinations::OfSubject if !spec.namespaces.is_empty() => Vec::new(),
        _ => wish.opened()?,
    };
    let mut namespaces = spec.namespaces.clone();
    namespaces.extend(more.into_iter().filter(|namespace| !spec.namespaces.contains(namespace)));
    let wanted = SecretGrantSpec { access: wish.access.max(spec.access), namespaces, expires_at, ..spec.clone() };
    Ok(if wanted == *spec { Decision::Nothing } else { Decision::Change(wanted) })
}

/// Whether a grant is of this key and this subject, and of no other.
pub(super) fn is_of(grant: &SecretGrant, key: &str, subject: &Subject) -> bool {
    grant.spec.secrets == [key] && grant.spec.subjects == [GrantSubject::from(subject)]
}

/// The access that a grant goes on giving though less was wanted.
pub(super) fn kept_access(wish: &Wish, spec: &SecretGrantSpec) -> Option<Access> {
    (spec.access > wish.access).then_some(spec.access)
}

/// The namespaces that a grant goes on opening though nobody named one.
pub(super) fn kept_namespaces(wish: &Wish, spec: &SecretGrantSpec) -> Vec<String> {
    if wish.destinations == Destinations::KubectlOnly { spec.namespaces.clone() } else { Vec::new() }
}

fn told(spec: &SecretGrantSpec) -> String {
    let subjects = spec.subjects.iter().filter_map(|subject| Subject::try_from(subject).ok());
    let subjects: Vec<String> = subjects.map(|subject| subject.to_string()).collect();
    format!("{} for {}", spec.secrets.join(", "), subjects.join(", "))
}

impl Explained for DecisionError {
    fn kind(&self) -> Kind {
        match self {
            Self::Wish(error) => error.kind(),
            _ => Kind::Conflict,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::OtherContent { name, namespace, .. } => {
                Some(format!("look at it: kubectl get secretgrant {name} -n {namespace} -o yaml"))
            }
            Self::Ended { .. } => Some("say until when it is to go on: --expires 7d, or --expires never".to_owned()),
            Self::Leaving { name, namespace } => {
                Some(format!("something holds it: kubectl get secretgrant {name} -n {namespace} -o yaml"))
            }
            Self::Wish(error) => error.hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;
    use serde_json::{Value, json};

    fn now() -> Timestamp {
        "2026-11-26T12:00:00Z".parse().unwrap()
    }

    fn wish(access: Access) -> Wish {
        Wish {
            target: Target::of_reference("secret:/alice/aws-key", "alice").unwrap(),
            subject: Subject::User("bob".into()),
            access,
            destinations: Destinations::OfSubject,
            expires: Expires::AsBefore,
        }
    }

    fn grant(fields: &Value) -> SecretGrant {
        let mut spec = json!({"secrets": ["aws-key"], "access": "Read", "namespaces": ["bob"],
            "subjects": [{"kind": "User", "name": "bob"}]});
        for (field, value) in fields.as_object().unwrap() {
            spec[field] = value.clone();
        }
        serde_json::from_value(json!({"metadata": {"name": "aws-key-bob", "namespace": "alice"}, "spec": spec}))
            .unwrap()
    }

    /// The spec after it, if it changes.
    fn changed(wish: &Wish, fields: &Value) -> Option<SecretGrantSpec> {
        match decide(wish, &grant(fields), now()).unwrap() {
            Decision::Change(spec) => Some(spec),
            Decision::Nothing => None,
            Decision::Anew(_) => panic!("it was not withdrawn"),
        }
    }

    #[test]
    fn giving_twice_is_giving_once() {
        assert_eq!(changed(&wish(Access::Read), &json!({})), None);
    }

    #[test]
    fn access_only_rises() {
        assert_eq!(changed(&wish(Access::Write), &json!({})).unwrap().access, Access::Write);
        let higher = grant(&json!({"access": "Manage"}));
        assert_eq!(decide(&wish(Access::Read), &higher, now()), Ok(Decision::Nothing));
        assert_eq!(kept_access(&wish(Access::Read), &higher.spec), Some(Access::Manage));
        assert_eq!(kept_access(&wish(Access::Manage), &higher.spec), None);
    }

    #[test]
    fn destinations_are_added_and_never_removed() {
        let mut to = wish(Access::Read);
        to.destinations = Destinations::Named(vec!["jobs".into(), "bob".into()]);
        assert_eq!(changed(&to, &json!({})).unwrap().namespaces, ["bob", "jobs"]);
        assert_eq!(changed(&wish(Access::Read), &json!({"namespaces": ["jobs"]})), None);
        assert_eq!(changed(&wish(Access::Read), &json!({"namespaces": []})).unwrap().namespaces, ["bob"]);
        to.destinations = Destinations::KubectlOnly;
        assert_eq!(changed(&to, &json!({})), None);
        assert_eq!(kept_namespaces(&to, &grant(&json!({})).spec), ["bob"]);
        let mut team = wish(Access::Write);
        team.subject = Subject::Group("ml-team".into());
        let of_team = json!({"subjects": [{"kind": "Group", "name": "ml-team"}], "namespaces": ["jobs"]});
        assert_eq!(changed(&team, &of_team).unwrap().namespaces, ["jobs"]);
    }

    #[test]
    fn an_expiry_stays_until_another_is_said() {
        let until = json!({"expiresAt": "2027-01-01T00:00:00Z"});
        assert_eq!(changed(&wish(Access::Read), &until), None);
        assert!(changed(&wish(Access::Write), &until).unwrap().expires_at.is_some());
        let never = Wish { expires: Expires::Never, ..wish(Access::Read) };
        assert_eq!(changed(&never, &until).unwrap().expires_at, None);
        let soon = Wish { expires: Expires::At("2026-12-01T00:00:00Z".parse().unwrap()), ..wish(Access::Read) };
        assert_eq!(changed(&soon, &until).unwrap().expires_at.unwrap().0.to_string(), "2026-12-01T00:00:00Z");
        let ended = json!({"expiresAt": "2026-11-26T12:00:00Z"});
        assert!(matches!(decide(&wish(Access::Read), &grant(&ended), now()), Err(DecisionError::Ended { .. })));
        assert!(changed(&soon, &ended).is_some());
    }

    #[test]
    fn a_grant_of_something_else_is_left_alone() {
        for other in [
            json!({"secrets": ["aws-key", "db"]}),
            json!({"secrets": ["aws-key-2"]}),
            json!({"subjects": [{"kind": "Group", "name": "bob"}]}),
            json!({"subjects": [{"kind": "User", "name": "bob"}, {"kind": "User", "name": "carol"}]}),
        ] {
            let error = decide(&wish(Access::Read), &grant(&other), now()).unwrap_err();
            assert!(matches!(error, DecisionError::OtherContent { .. }), "{error}");
        }
        let mut leaving = grant(&json!({}));
        leaving.metadata.deletion_timestamp = Some(Time(now()));
        assert!(matches!(decide(&wish(Access::Read), &leaving, now()), Err(DecisionError::Leaving { .. })));
    }

    #[test]
    fn one_that_was_withdrawn_for_good_makes_room() {
        let mut withdrawn = grant(&json!({"access": "Manage", "namespaces": ["jobs"]}));
        withdrawn.annotations_mut().insert("secrets.apolo.us/granted-via".into(), "7 carol".into());
        withdrawn.status = serde_json::from_value(json!({"withdrawn": "7 carol"})).unwrap();
        assert_eq!(decide(&wish(Access::Read), &withdrawn, now()), Ok(Decision::Anew(vec!["bob".into()])));
    }
}
