//! Taking back what was shared: the grant of a key to a subject deleted, and others named that give the same.

use apolo_api::access::Access;
use apolo_api::grant::SecretGrant;
use apolo_api::lineage;
use apolo_api::subject::GrantSubject;
use apolo_core::access::shown;
use apolo_core::subject::Subject;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{DeleteParams, Preconditions};
use thiserror::Error;

use super::decision::is_of;
use super::shared;
use crate::connection::Connection;
use crate::dry_run::DryRun;
use crate::explained::{Explained, Kind};
use crate::request::{RequestError, Why, doing};
use crate::service::ServiceError;
use crate::target::Target;

/// How often one that has changed meanwhile is looked at: the controller writes into a grant what has become of it, such as when its
/// secret has just been removed.
const ATTEMPTS: u32 = 10;

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Revoked {
    /// The grant that is gone, or would be; none where there was none of that name.
    pub grant: Option<SecretGrant>,
    /// Other grants of the namespace that give the subject the same secret.
    pub others: Others,
}

/// Other grants that give the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Others {
    /// These, by name, with what each gives to whom.
    Seen(Vec<Other>),
    /// The person may not list the grants of the namespace.
    Unseen,
}

/// Another grant that gives the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Other {
    /// Its name.
    pub grant: String,
    /// What it gives.
    pub access: Access,
}

/// Why something cannot be taken back, or is not gone.
#[derive(Debug, Error)]
pub enum RevokeError {
    /// Nothing gives it.
    #[error("secret:/{owner}/{key} is not shared with {} by a grant of namespace {owner}", shown(.subject))]
    NotShared {
        /// The namespace of the secret.
        owner: String,
        /// Its key.
        key: String,
        /// With whom it is not shared.
        subject: Subject,
    },
    /// The person may not.
    #[error("you may not take back secret:/{owner}/{key} from {}", shown(.subject))]
    MayNot {
        /// The namespace of the secret.
        owner: String,
        /// Its key.
        key: String,
        /// With whom it may be shared.
        subject: Subject,
    },
    /// The API server says something else.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// Deletes the grant of a secret to a subject, and looks for others that give the same.
///
/// # Errors
/// Where nothing gives it, or the person may not take it back.
pub async fn revoke(
    connection: &Connection,
    target: &Target,
    subject: &Subject,
    dry_run: DryRun,
) -> Result<Revoked, RevokeError> {
    let revoking = Revoking { connection, target, subject, dry_run };
    let grant = revoking.delete().await?;
    let others = revoking.others().await?;
    if grant.is_none() && others == Others::Seen(Vec::new()) {
        return Err(RevokeError::NotShared {
            owner: target.owner.clone(),
            key: target.key.clone(),
            subject: subject.clone(),
        });
    }
    if grant.is_none() && others == Others::Unseen {
        return Err(revoking.may_not());
    }
    Ok(Revoked { grant, others })
}

struct Revoking<'a> {
    connection: &'a Connection,
    target: &'a Target,
    subject: &'a Subject,
    dry_run: DryRun,
}

impl Revoking<'_> {
    /// The grant that is gone, looked at again where it has changed meanwhile.
    async fn delete(&self) -> Result<Option<SecretGrant>, RevokeError> {
        for _ in 1..ATTEMPTS {
            match self.attempt().await {
                Err(RevokeError::Service(ServiceError::Request(RequestError { why: Why::Changed, .. }))) => {}
                done => return done,
            }
        }
        self.attempt().await
    }

    /// None where there is none of that name, or it may not be seen, or is of something else.
    async fn attempt(&self) -> Result<Option<SecretGrant>, RevokeError> {
        let grants = super::api(self.connection, &self.target.owner);
        let name = super::name(&self.target.key, self.subject);
        let found = match grants.get_opt(&name).await.map_err(doing(|| self.doing())) {
            Ok(found) => found,
            Err(error) => match ServiceError::of(error, self.connection).await {
                ServiceError::Request(RequestError { why: Why::NotAllowed(_), .. }) => None,
                error => return Err(error.into()),
            },
        };
        let Some(grant) = found.filter(|grant| is_of(grant, &self.target.key, self.subject)) else { return Ok(None) };
        if self.dry_run == DryRun::Client {
            return Ok(Some(grant));
        }
        // Exactly the one that was seen: another of its name may be of something else.
        let seen = Preconditions { uid: grant.uid(), resource_version: grant.resource_version() };
        let params = DeleteParams { dry_run: self.dry_run.is_server(), ..DeleteParams::default() }.preconditions(seen);
        match grants.delete(&name, &params).await.map_err(doing(|| self.doing())) {
            Ok(_) => Ok(Some(grant)),
            // Somebody else was quicker.
            Err(error) if error.why == Why::NotThere => Ok(Some(grant)),
            Err(error) => Err(match ServiceError::of(error, self.connection).await {
                ServiceError::Request(RequestError { why: Why::NotAllowed(_), .. }) => self.may_not(),
                error => error.into(),
            }),
        }
    }

    async fn others(&self) -> Result<Others, RevokeError> {
        let own = super::name(&self.target.key, self.subject);
        let now = Timestamp::now();
        match shared::all(self.connection, &self.target.owner).await {
            Ok(grants) => {
                let is_other = |grant: &&SecretGrant| {
                    let is_own = grant.name_any() == own && is_of(grant, &self.target.key, self.subject);
                    !is_own && gives(grant, &self.target.key, self.subject, now)
                };
                let other = |grant: &SecretGrant| Other { grant: grant.name_any(), access: grant.spec.access };
                let mut others: Vec<Other> = grants.iter().filter(is_other).map(other).collect();
                others.sort_unstable();
                Ok(Others::Seen(others))
            }
            Err(error) => match ServiceError::of(error, self.connection).await {
                ServiceError::Request(RequestError { why: Why::NotAllowed(_), .. }) => Ok(Others::Unseen),
                error => Err(error.into()),
            },
        }
    }

    fn doing(&self) -> String {
        format!("taking back {} from {}", self.target.reference(), shown(self.subject))
    }

    fn may_not(&self) -> RevokeError {
        RevokeError::MayNot {
            owner: self.target.owner.clone(),
            key: self.target.key.clone(),
            subject: self.subject.clone(),
        }
    }
}

/// Whether a grant that has not ended gives a subject a secret, by his own name or as one of the accounts of a namespace.
fn gives(grant: &SecretGrant, key: &str, subject: &Subject, now: Timestamp) -> bool {
    let is_meant = |named: &GrantSubject| match (Subject::try_from(named), subject) {
        (Ok(Subject::Namespace(all)), Subject::ServiceAccount { namespace, .. }) => all == *namespace,
        (Ok(named), subject) => named == *subject,
        (Err(_), _) => false,
    };
    grant.spec.secrets.iter().any(|named| named == key)
        && grant.spec.subjects.iter().any(is_meant)
        && lineage::is_live(grant, Access::Manage, now)
}

impl Explained for RevokeError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotShared { .. } => Kind::NotFound,
            Self::MayNot { .. } => Kind::NotAllowed,
            Self::Service(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotShared { owner, .. } => {
                Some(format!("with whom it is shared tells: apolo acl list --shared -n {owner}"))
            }
            Self::MayNot { owner, .. } => {
                Some(format!("whoever shared it can, and so can an owner of namespace {owner}"))
            }
            Self::Service(error) => error.hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn grant(subject: &Value, fields: &Value) -> SecretGrant {
        let mut spec = json!({"secrets": ["aws-key", "db"], "subjects": [subject]});
        for (field, value) in fields.as_object().unwrap() {
            spec[field] = value.clone();
        }
        serde_json::from_value(json!({"metadata": {"name": "team"}, "spec": spec})).unwrap()
    }

    #[test]
    fn the_same_is_given_by_whatever_names_the_secret_and_the_subject() {
        let now = "2026-11-26T12:00:00Z".parse().unwrap();
        let (bob, nightly) = (json!({"kind": "User", "name": "bob"}), json!({"kind": "Namespace", "name": "nightly"}));
        for (subject, named, fields, same) in [
            ("bob", &bob, json!({}), true),
            ("bob", &bob, json!({"secrets": ["db"]}), false),
            ("bob", &bob, json!({"expiresAt": "2026-11-26T12:00:00Z"}), false),
            ("group:bob", &bob, json!({}), false),
            ("serviceaccount:nightly/trainer", &nightly, json!({}), true),
            ("serviceaccount:jobs/trainer", &nightly, json!({}), false),
        ] {
            let subject = Subject::parse(subject).unwrap();
            assert_eq!(gives(&grant(named, &fields), "aws-key", &subject, now), same, "{subject} {named} {fields}");
        }
    }
}
