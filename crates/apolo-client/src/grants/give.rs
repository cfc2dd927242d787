//! Sharing a secret: a grant created, or the one that is there widened, or nothing, where it gives that already.

use apolo_api::access::Access;
use apolo_api::grant::SecretGrant;
use apolo_core::access::for_shell;
use apolo_core::subject::Subject;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::json;
use thiserror::Error;

use super::decision::{Decision, DecisionError, decide, kept_access, kept_namespaces};
use super::{Wish, WishError};
use crate::caller;
use crate::connection::Connection;
use crate::dry_run::DryRun;
use crate::explained::{Explained, Kind};
use crate::request::{FIELD_MANAGER, RequestError, Why, doing};
use crate::service::ServiceError;

/// How often a change is begun again where somebody else changes the same grant.
const MOST_TRIES: usize = 5;

/// A grant that gives what was wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// The grant.
    pub grant: SecretGrant,
    /// What became of it.
    pub done: Done,
    /// The access that it gives all the same, where less was wanted.
    pub kept_access: Option<Access>,
    /// The namespaces that it opens all the same, where none was wanted.
    pub kept_namespaces: Vec<String>,
}

/// What became of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is new.
    Created,
    /// It was there, and gives more, or until another time.
    Changed,
    /// It was there, and gave that already.
    Unchanged,
    /// It is new, in the place of one that was withdrawn for good.
    Replaced,
}

/// Why a secret cannot be shared.
#[derive(Debug, Error)]
pub enum GiveError {
    /// It makes no sense.
    #[error(transparent)]
    Wish(#[from] WishError),
    /// The grant that is there stands in the way.
    #[error(transparent)]
    Decision(#[from] DecisionError),
    /// The person has no right to share there.
    #[error("{} may not share secret:/{owner}/{key}", apolo_core::access::shown(.caller))]
    MayNot {
        /// Who.
        caller: Subject,
        /// The namespace of the secret.
        owner: String,
        /// Its key.
        key: String,
    },
    /// There is a grant of that name that the person may not see or change.
    #[error("there is a grant {name:?} in namespace {namespace} already, by somebody else, and you may not change it")]
    OfOthers {
        /// Its name.
        name: String,
        /// The namespace.
        namespace: String,
    },
    /// A hook or policy of the cluster refuses it.
    #[error("{what}")]
    Refused {
        /// In these words.
        what: String,
        /// What mends it.
        hint: Option<String>,
    },
    /// The API server says something else.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// Shares a secret.
///
/// # Errors
/// Where it makes no sense, the person may not, or something stands in the way. Then nothing was changed.
pub async fn give(connection: &Connection, wish: &Wish, dry_run: DryRun) -> Result<Given, GiveError> {
    wish.check()?;
    let giving = Giving { connection, grants: super::api(connection, &wish.target.owner), wish, dry_run };
    let there = match (wish.opened(), dry_run) {
        (Ok(namespaces), DryRun::None | DryRun::Server) => match giving.create(wish.grant(namespaces)).await? {
            Some(grant) => return Ok(giving.given(grant, Done::Created)),
            None => None,
        },
        (Ok(namespaces), DryRun::Client) => match giving.existing().await? {
            Some(grant) => Some(grant),
            None => return Ok(giving.given(wish.grant(namespaces), Done::Created)),
        },
        // One that is there may name its namespaces already.
        (Err(error), _) => Some(giving.existing().await?.ok_or(error)?),
    };
    giving.change(there).await
}

struct Giving<'a> {
    connection: &'a Connection,
    grants: Api<SecretGrant>,
    wish: &'a Wish,
    dry_run: DryRun,
}

impl Giving<'_> {
    /// None where there is one of that name. The hooks have been asked by then.
    async fn create(&self, grant: SecretGrant) -> Result<Option<SecretGrant>, GiveError> {
        let params = PostParams { dry_run: self.dry_run.is_server(), field_manager: Some(FIELD_MANAGER.to_owned()) };
        let created = self.grants.create(&params, &grant).await;
        match created.map_err(doing(|| self.doing())) {
            Ok(grant) => Ok(Some(grant)),
            Err(error) if error.why == Why::IsThere => Ok(None),
            Err(error) => Err(self.refused(error).await),
        }
    }

    /// The grant of that name; none, too, where a person may not look who is not to change anything.
    async fn existing(&self) -> Result<Option<SecretGrant>, GiveError> {
        let name = super::name(&self.wish.target.key, &self.wish.subject);
        match self.grants.get_opt(&name).await.map_err(doing(|| self.doing())) {
            Ok(grant) => Ok(grant),
            Err(error) => match ServiceError::of(error, self.connection).await {
                ServiceError::Request(RequestError { why: Why::NotAllowed(_), .. }) => Ok(None),
                error => Err(error.into()),
            },
        }
    }

    /// Makes the grant that is there give what is wanted; begins again where others change it meanwhile.
    async fn change(&self, mut there: Option<SecretGrant>) -> Result<Given, GiveError> {
        let mut tries = 1;
        loop {
            let grant = match there.take() {
                Some(grant) => grant,
                None => self.get().await?,
            };
            let changed = match decide(self.wish, &grant, Timestamp::now())? {
                Decision::Nothing => return Ok(self.given(grant, Done::Unchanged)),
                Decision::Anew(namespaces) => match self.replace(&grant, self.wish.grant(namespaces)).await? {
                    Ok(grant) => return Ok(self.given(grant, Done::Replaced)),
                    Err(changed) => Err(changed),
                },
                Decision::Change(spec) => {
                    let wanted = SecretGrant { spec, ..grant };
                    if self.dry_run == DryRun::Client { Ok(wanted) } else { self.patch(&wanted).await }
                }
            };
            match changed {
                Ok(grant) => return Ok(self.given(grant, Done::Changed)),
                Err(error) if error.why == Why::Changed && tries < MOST_TRIES => tries += 1,
                Err(error) => return Err(self.not_changed(error).await),
            }
        }
    }

    async fn get(&self) -> Result<SecretGrant, GiveError> {
        let got = self.grants.get(&super::name(&self.wish.target.key, &self.wish.subject)).await;
        match got.map_err(doing(|| self.doing())) {
            Ok(grant) => Ok(grant),
            Err(error) => Err(self.not_changed(error).await),
        }
    }

    async fn patch(&self, wanted: &SecretGrant) -> Result<SecretGrant, RequestError> {
        let spec = &wanted.spec;
        let patch = json!({
            "metadata": {"resourceVersion": wanted.resource_version()},
            "spec": {"access": spec.access, "namespaces": spec.namespaces, "expiresAt": spec.expires_at},
        });
        let params = PatchParams {
            dry_run: self.dry_run.is_server(),
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patched = self.grants.patch(&wanted.name_any(), &params, &Patch::Merge(patch)).await;
        patched.map_err(doing(|| self.doing()))
    }

    /// Takes away a grant that gives nothing any more and never will, and puts another in its place. That the hooks let the other one
    /// pass is known: they were asked when it was to be created.
    async fn replace(
        &self,
        old: &SecretGrant,
        new: SecretGrant,
    ) -> Result<Result<SecretGrant, RequestError>, GiveError> {
        if self.dry_run != DryRun::None {
            return Ok(Ok(new));
        }
        let seen = Preconditions { uid: old.uid(), resource_version: old.resource_version() };
        let deleted = self.grants.delete(&old.name_any(), &DeleteParams::default().preconditions(seen)).await;
        match deleted.map_err(doing(|| self.doing())) {
            Ok(_) => {}
            Err(error) if error.why == Why::Changed => return Ok(Err(error)),
            Err(error) => return Err(self.not_changed(error).await),
        }
        let created = self.create(new).await?;
        // Somebody else was quicker.
        Ok(created.ok_or_else(|| RequestError { doing: self.doing(), why: Why::Changed }))
    }

    fn given(&self, grant: SecretGrant, done: Done) -> Given {
        let (kept_access, kept_namespaces) =
            (kept_access(self.wish, &grant.spec), kept_namespaces(self.wish, &grant.spec));
        Given { grant, done, kept_access, kept_namespaces }
    }

    fn doing(&self) -> String {
        let Wish { target, subject, .. } = self.wish;
        format!("sharing {} with {}", target.reference(), apolo_core::access::shown(subject))
    }

    async fn not_changed(&self, error: RequestError) -> GiveError {
        let target = &self.wish.target;
        match ServiceError::of(error, self.connection).await {
            ServiceError::Request(RequestError { why: Why::NotAllowed(_), .. }) => GiveError::OfOthers {
                name: super::name(&target.key, &self.wish.subject),
                namespace: target.owner.clone(),
            },
            ServiceError::Request(RequestError { why: Why::Refused(words), .. }) => self.in_words(&words),
            error => error.into(),
        }
    }

    async fn refused(&self, error: RequestError) -> GiveError {
        let target = &self.wish.target;
        match ServiceError::of(error, self.connection).await {
            ServiceError::Request(RequestError { why: Why::NotThere, .. }) => {
                ServiceError::NoNamespace(target.owner.clone()).into()
            }
            ServiceError::Request(RequestError { why: Why::Refused(words), .. }) => self.in_words(&words),
            ServiceError::Request(error) if error.why.is_of_rbac() => match caller::ask(self.connection).await {
                Ok(caller) => GiveError::MayNot {
                    caller: Subject::of_user_name(&caller.name),
                    owner: target.owner.clone(),
                    key: target.key.clone(),
                },
                Err(_) => ServiceError::Request(error).into(),
            },
            error => error.into(),
        }
    }

    /// The words of the hook for grants, and of them the mend as a hint.
    fn in_words(&self, words: &str) -> GiveError {
        const OWNER: &str = ". Its owner can run: ";
        const LESS: &str = "; write access: ";
        if let Some((what, command)) = words.split_once(OWNER) {
            return GiveError::Refused { what: what.to_owned(), hint: Some(format!("its owner can run: {command}")) };
        }
        if let Some((what, access)) = words.split_once(LESS) {
            let subject = for_shell(&self.wish.subject);
            let command = |subject| {
                format!("apolo share {} {subject} {}", self.wish.target.reference(), access.to_ascii_lowercase())
            };
            return GiveError::Refused { what: what.to_owned(), hint: subject.map(command) };
        }
        GiveError::Refused { what: words.to_owned(), hint: None }
    }
}

impl Explained for GiveError {
    fn kind(&self) -> Kind {
        match self {
            Self::Wish(error) => error.kind(),
            Self::Decision(error) => error.kind(),
            Self::MayNot { .. } | Self::OfOthers { .. } | Self::Refused { .. } => Kind::NotAllowed,
            Self::Service(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Wish(error) => error.hint(),
            Self::Decision(error) => error.hint(),
            Self::MayNot { caller, owner, key } => {
                let only = if matches!(caller, Subject::User(_)) { " --kubectl-only" } else { "" };
                Some(format!(
                    "an owner of namespace {owner} can run: apolo share secret:{key} {} manage{only} -n {owner}",
                    for_shell(caller)?
                ))
            }
            Self::OfOthers { namespace, .. } => Some(format!("an owner of namespace {namespace} can change it")),
            Self::Refused { hint, .. } => hint.clone(),
            Self::Service(error) => error.hint(),
        }
    }
}
