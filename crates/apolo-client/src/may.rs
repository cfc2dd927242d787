//! Whether the person may do something with a secret, and why.

use apolo_api::access::Access;
use apolo_core::access::{for_shell, shown};
use apolo_core::names::{ENFORCE, ROLE_PREFIX};
use apolo_core::requester::Requester;
use apolo_core::subject::Subject;
use futures_util::future::{try_join, try_join_all};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::PostParams;
use strum::{VariantArray, VariantNames};

use crate::caller;
use crate::connection::Connection;
use crate::received::{self, Received};
use crate::request::{RequestError, doing};
use crate::service::ServiceError;
use crate::target::Target;

/// What somebody may want to do with a secret: a verb of RBAC, or all that an access gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Deed {
    /// Run jobs that use it in the namespace that one is in.
    #[default]
    Use,
    /// Get its value.
    Get,
    /// Replace it.
    Update,
    /// Change it.
    Patch,
    /// Delete it.
    Delete,
    /// Share it further.
    Share,
    /// All that the access `read` gives.
    Read,
    /// All that `write` gives.
    Write,
    /// All that `manage` gives.
    Manage,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether he may.
    pub is_allowed: bool,
    /// Why, or why not.
    pub why: String,
    /// What mends it that he may not.
    pub hint: Option<String>,
}

/// Whether the person may do something with a secret. What cannot be known is a no.
///
/// # Errors
/// Where the API server does not answer.
pub async fn may(connection: &Connection, target: &Target, deed: Deed) -> Result<Answer, ServiceError> {
    let caller = caller::ask(connection).await?;
    let asking = Asking { connection, target, caller };
    match deed {
        Deed::Use if target.owner == connection.namespace => asking.use_own().await,
        Deed::Use => asking.use_of_others().await,
        deed => Ok(asking.has(deed).await?),
    }
}

struct Asking<'a> {
    connection: &'a Connection,
    target: &'a Target,
    caller: Requester,
}

impl Asking<'_> {
    /// By RBAC's rights on the Secret alone.
    async fn has(&self, deed: Deed) -> Result<Answer, RequestError> {
        let verbs = deed.verbs();
        let reviews = try_join_all(verbs.iter().map(|verb| self.on_secret(verb))).await?;
        let asked = || verbs.iter().zip(&reviews);
        let lacking: Vec<&str> = asked().filter(|(_, review)| !review.allowed).map(|(verb, _)| *verb).collect();
        if lacking.is_empty() {
            let mut reasons: Vec<String> = reviews.iter().map(reason).collect();
            reasons.dedup();
            return Ok(Answer::yes(format!("by {}", reasons.join(", "))));
        }
        let why = format!("{} has not {} on {}", self.shown(), lacking.join(", "), self.target.reference());
        Ok(Answer::no(why, self.command(deed.access(), "--kubectl-only")))
    }

    /// Who may create Pods in a namespace can mount its Secrets, unless apolo is to see to it that he may use them.
    async fn use_own(&self) -> Result<Answer, ServiceError> {
        let owner = &self.target.owner;
        let (by_right, may_create) = try_join(self.by_right(), self.may_create_pods()).await?;
        if let Some(reason) = by_right {
            return Ok(Answer::yes(format!("by {reason}")));
        }
        let no = |why: String| Answer::no(why, self.command(Access::Use, "--kubectl-only"));
        let shown = self.shown();
        let namespaces: Api<Namespace> = Api::all(self.connection.client.clone());
        Ok(match namespaces.get_metadata_opt(owner).await {
            _ if !may_create => no(format!("{shown} may not create Pods in namespace {owner}")),
            Ok(Some(namespace)) => {
                let labels = namespace.metadata.labels.unwrap_or_default();
                if labels.get(ENFORCE).is_some_and(|value| value == "true") {
                    no(format!(
                        "{shown} has neither use nor get on {}, and namespace {owner} is enforced",
                        self.target.reference()
                    ))
                } else {
                    Answer::yes(format!("{shown} may create Pods in namespace {owner}, which may use its secrets"))
                }
            }
            Ok(None) => return Err(ServiceError::NoNamespace(owner.clone())),
            Err(_) => no(format!(
                "{shown} has neither use nor get on {}, and whether namespace {owner} is enforced cannot be seen",
                self.target.reference()
            )),
        })
    }

    /// RBAC's right is not enough: a grant has to open the namespace of the job for whoever launches it.
    async fn use_of_others(&self) -> Result<Answer, ServiceError> {
        let namespace = &self.connection.namespace;
        let (shown, reference) = (self.shown(), self.target.reference());
        let to = format!("--to {namespace}");
        let no = |why: String| Answer::no(why, self.command(Access::Use, &to));
        let Some(_) = self.by_right().await? else {
            return Ok(no(format!("{shown} has neither use nor get on {reference}")));
        };
        let received = match received::list(self.connection, namespace).await {
            Ok(received) => received,
            Err(ServiceError::MayNot { .. }) => {
                return Ok(no(format!(
                    "whether a grant opens namespace {namespace} for it cannot be seen: {shown} may not read its SecretCatalog"
                )));
            }
            Err(error) => return Err(error),
        };
        Ok(match self.opened(&received) {
            Opened::ForCaller => {
                Answer::yes(format!("by a grant of {} that opens namespace {namespace}", self.target.owner))
            }
            Opened::ForOthers(subjects) => {
                no(format!("{reference} is shared with namespace {namespace} for {subjects}, and not for {shown}"))
            }
            Opened::Not if received.left_out > 0 => no(format!(
                "no grant is seen that opens namespace {namespace} for {reference}; {} more are not in the SecretCatalog",
                received.left_out
            )),
            Opened::Not => {
                no(format!("no grant opens namespace {namespace} for {reference}: jobs there cannot use it"))
            }
        })
    }

    fn opened(&self, received: &Received) -> Opened {
        let of_secret: Vec<_> = received.secrets.iter().filter(|secret| secret.is(self.target)).collect();
        if of_secret.iter().any(|secret| secret.subjects().any(|subject| self.caller.is(&subject))) {
            return Opened::ForCaller;
        }
        let subjects: Vec<&str> = of_secret.iter().flat_map(|secret| &secret.subjects).map(String::as_str).collect();
        if subjects.is_empty() { Opened::Not } else { Opened::ForOthers(subjects.join(", ")) }
    }

    /// By what the caller has `use` or `get` on the secret, which is as good.
    async fn by_right(&self) -> Result<Option<String>, RequestError> {
        let reviews = try_join_all(["use", "get"].map(|verb| self.on_secret(verb))).await?;
        Ok(reviews.iter().find(|review| review.allowed).map(reason))
    }

    async fn may_create_pods(&self) -> Result<bool, RequestError> {
        let attributes = ResourceAttributes {
            namespace: Some(self.target.owner.clone()),
            resource: Some("pods".to_owned()),
            verb: Some("create".to_owned()),
            ..ResourceAttributes::default()
        };
        Ok(self.review(attributes).await?.allowed)
    }

    async fn on_secret(&self, verb: &str) -> Result<SubjectAccessReviewStatus, RequestError> {
        self.review(ResourceAttributes {
            namespace: Some(self.target.owner.clone()),
            resource: Some("secrets".to_owned()),
            name: Some(self.target.object()),
            verb: Some(verb.to_owned()),
            ..ResourceAttributes::default()
        })
        .await
    }

    async fn review(&self, attributes: ResourceAttributes) -> Result<SubjectAccessReviewStatus, RequestError> {
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.connection.client.clone());
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let question = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let review = reviews.create(&PostParams::default(), &question).await;
        let review = review.map_err(doing(|| format!("asking what you may do with {}", self.target.reference())))?;
        Ok(review.status.unwrap_or_default())
    }

    fn shown(&self) -> String {
        shown(&Subject::of_user_name(&self.caller.name))
    }

    /// What the owner can run so that the caller may.
    fn command(&self, access: Access, how: &str) -> Option<String> {
        let subject = Subject::of_user_name(&self.caller.name);
        subject.check().ok()?;
        let how = if matches!(subject, Subject::User(_)) { format!(" {how}") } else { String::new() };
        let Target { owner, key, .. } = self.target;
        let (subject, access) = (for_shell(&subject)?, access.word());
        Some(format!("its owner can run: apolo share secret:{key} {subject} {access}{how} -n {owner}"))
    }
}

/// For whom a grant opens a namespace.
enum Opened {
    ForCaller,
    ForOthers(String),
    Not,
}

/// By what something is allowed, as the API server says.
fn reason(review: &SubjectAccessReviewStatus) -> String {
    let reason = review.reason.as_deref().unwrap_or_default();
    let of_grant = reason.split_once(&format!("of Role \"{ROLE_PREFIX}")).and_then(|(_, rest)| rest.split_once('"'));
    match (of_grant, reason.strip_prefix("RBAC: allowed by ")) {
        (Some((grant, _)), _) => format!("grant {grant}"),
        (None, Some(binding)) => binding.to_owned(),
        (None, None) if reason.is_empty() => "the API server, which does not say why".to_owned(),
        (None, None) => reason.to_owned(),
    }
}

impl Answer {
    fn yes(why: String) -> Self {
        Self { is_allowed: true, why, hint: None }
    }

    fn no(why: String, hint: Option<String>) -> Self {
        Self { is_allowed: false, why, hint }
    }
}

impl Deed {
    /// All, by name.
    #[must_use]
    pub fn words() -> &'static [&'static str] {
        <Self as VariantNames>::VARIANTS
    }

    /// The verbs of RBAC on the Secret that it takes.
    #[must_use]
    pub fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::Use => Access::Use.verbs(),
            Self::Get => &["get"],
            Self::Update => &["update"],
            Self::Patch => &["patch"],
            Self::Delete => &["delete"],
            Self::Share => &["share"],
            Self::Read => Access::Read.verbs(),
            Self::Write => Access::Write.verbs(),
            Self::Manage => Access::Manage.verbs(),
        }
    }

    /// The least access that gives it.
    fn access(self) -> Access {
        let gives = |access: &&Access| self.verbs().iter().all(|verb| access.verbs().contains(verb));
        Access::VARIANTS.iter().find(gives).copied().unwrap_or(Access::Manage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deed_takes_no_more_access_than_it_needs() {
        for (deed, access) in [
            (Deed::Use, Access::Use),
            (Deed::Get, Access::Read),
            (Deed::Patch, Access::Write),
            (Deed::Delete, Access::Manage),
            (Deed::Share, Access::Manage),
            (Deed::Write, Access::Write),
        ] {
            assert_eq!(deed.access(), access, "{deed}");
        }
    }

    #[test]
    fn the_reason_names_the_grant() {
        let told = |reason: &str| {
            super::reason(&SubjectAccessReviewStatus { reason: Some(reason.into()), ..Default::default() })
        };
        let of_grant =
            r#"RBAC: allowed by RoleBinding "secretgrant:a-bob/alice" of Role "secretgrant:a-bob" to User "bob""#;
        assert_eq!(told(of_grant), "grant a-bob");
        let of_role = r#"RBAC: allowed by RoleBinding "edit/alice" of ClusterRole "edit" to User "alice""#;
        assert_eq!(told(of_role), r#"RoleBinding "edit/alice" of ClusterRole "edit" to User "alice""#);
        assert_eq!(told(""), "the API server, which does not say why");
    }
}
