//! Questions to the API server's authorizers: whether somebody may do something, as SubjectAccessReviews.
//!
//! In: who, and which rights. Out: an [`Answer`] to each, or nothing at all where one could not be had. They are asked side by
//! side, equal ones that are in flight at the same time once, and no answer is kept for later.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use apolo_core::requester::Requester;
use futures_util::future::{BoxFuture, FutureExt, Shared, WeakShared, try_join_all};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use thiserror::Error;
use tokio::sync::Semaphore;

/// How many questions are in flight at most: with more the API server is no quicker.
const WIDTH: usize = 8;

/// One thing that may be allowed: a verb on an object of a namespace, or on all of them.
///
/// Source: <https://kubernetes.io/docs/reference/access-authn-authz/authorization/#request-verb-resource>
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Right {
    /// What is done.
    pub verb: &'static str,
    /// To what.
    pub resource: Resource,
    /// In which namespace.
    pub namespace: String,
    /// To which object; none for all of them.
    pub name: Option<String>,
}

/// The resources that rights are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// `secrets`
    Secrets,
    /// `secretgrants.secrets.apolo.us`
    SecretGrants,
}

impl Resource {
    fn group_and_plural(self) -> (&'static str, &'static str) {
        match self {
            Self::Secrets => ("", "secrets"),
            Self::SecretGrants => ("secrets.apolo.us", "secretgrants"),
        }
    }
}

/// What the API server answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is allowed.
    pub is_allowed: bool,
    /// Why, in words of the authorizer.
    pub reason: String,
}

/// What the API server answers to several questions.
#[derive(Clone, Debug, Default)]
pub struct Answers(HashMap<Right, Answer>);

impl Answers {
    /// Whether a right is there. One that was not asked about is not.
    #[must_use]
    pub fn allow(&self, right: &Right) -> bool {
        self.0.get(right).is_some_and(|answer| answer.is_allowed)
    }

    /// Why a right is there or not, in words of the authorizer; empty where it said nothing.
    #[must_use]
    pub fn reason(&self, right: &Right) -> &str {
        self.0.get(right).map(|answer| answer.reason.as_str()).unwrap_or_default()
    }
}

impl FromIterator<(Right, Answer)> for Answers {
    fn from_iter<I: IntoIterator<Item = (Right, Answer)>>(answers: I) -> Self {
        Self(answers.into_iter().collect())
    }
}

/// Why it is not known whether somebody has a right.
#[derive(Clone, Debug, Error)]
#[error("asking whether {verb} on {resource} is allowed")]
pub struct ReviewError {
    verb: &'static str,
    resource: &'static str,
    source: Arc<kube::Error>,
}

/// Asks the API server.
pub struct Reviews {
    client: Client,
    permits: Arc<Semaphore>,
    in_flight: Mutex<HashMap<Asked, WeakShared<Asking>>>,
}

type Asked = (Arc<Requester>, Right);
type Asking = BoxFuture<'static, Result<Answer, ReviewError>>;

impl Reviews {
    /// Asks by this client, which must be allowed to create SubjectAccessReviews.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, permits: Arc::new(Semaphore::new(WIDTH)), in_flight: Mutex::default() }
    }

    /// Asks for each of the rights whether the requester has it.
    ///
    /// # Errors
    /// Where one of them cannot be known. There is no deadline here: who asks has one.
    pub async fn ask(
        &self,
        requester: &Arc<Requester>,
        rights: impl IntoIterator<Item = Right>,
    ) -> Result<Answers, ReviewError> {
        let asked = rights.into_iter().map(async |right| {
            let answer = self.ask_once(&(Arc::clone(requester), right.clone())).await?;
            Ok((right, answer))
        });
        Ok(try_join_all(asked).await?.into_iter().collect())
    }

    async fn ask_once(&self, asked: &Asked) -> Result<Answer, ReviewError> {
        let answer = self.asking(asked).await;
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        // Another that was begun since then stays.
        if in_flight.get(asked).is_some_and(|asking| asking.upgrade().is_none_or(|asking| asking.peek().is_some())) {
            in_flight.remove(asked);
        }
        answer
    }

    /// The same question where it is in flight, or else a new one.
    fn asking(&self, asked: &Asked) -> Shared<Asking> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let running = in_flight.get(asked).and_then(WeakShared::upgrade).filter(|asking| asking.peek().is_none());
        running.unwrap_or_else(|| {
            let asking = self.review(asked).boxed().shared();
            in_flight.extend(asking.downgrade().map(|weak| (asked.clone(), weak)));
            asking
        })
    }

    fn review(&self, (requester, right): &Asked) -> impl Future<Output = Result<Answer, ReviewError>> + use<> {
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let review = SubjectAccessReview { spec: spec(requester, right), ..SubjectAccessReview::default() };
        let permits = Arc::clone(&self.permits);
        let (verb, resource) = (right.verb, right.resource.group_and_plural().1);
        async move {
            // The semaphore is never closed; without a permit the question is asked all the same.
            let _permit = permits.acquire().await;
            let reviewed = reviews.create(&PostParams::default(), &review).await;
            let status = reviewed.map(|review| review.status.unwrap_or_default());
            status
                .map(|status| Answer {
                    is_allowed: status.allowed && status.denied != Some(true),
                    reason: status.reason.unwrap_or_default(),
                })
                .map_err(|source| ReviewError { verb, resource, source: Arc::new(source) })
        }
    }
}

impl std::fmt::Debug for Reviews {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reviews").finish_non_exhaustive()
    }
}

fn spec(requester: &Requester, right: &Right) -> SubjectAccessReviewSpec {
    let (group, plural) = right.resource.group_and_plural();
    let extra: BTreeMap<String, Vec<String>> = requester.extra.clone();
    SubjectAccessReviewSpec {
        user: Some(requester.name.clone()),
        uid: Some(requester.uid.clone()).filter(|uid| !uid.is_empty()),
        groups: Some(requester.groups.clone()),
        extra: Some(extra).filter(|extra| !extra.is_empty()),
        resource_attributes: Some(ResourceAttributes {
            verb: Some(right.verb.to_owned()),
            group: Some(group.to_owned()),
            version: Some("*".to_owned()),
            resource: Some(plural.to_owned()),
            namespace: Some(right.namespace.clone()),
            name: right.name.clone(),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}
