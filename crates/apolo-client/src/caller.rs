//! Whom the API server takes a person for, and how he comes to rights that he lacks.

use apolo_core::access::for_shell;
use apolo_core::requester::Requester;
use apolo_core::subject::Subject;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::Api;
use kube::api::PostParams;

use crate::connection::Connection;
use crate::request::{RequestError, Why, doing};
use crate::target::Target;

/// Asks the API server for whom it takes him.
///
/// # Errors
/// Where it does not tell.
pub async fn ask(connection: &Connection) -> Result<Requester, RequestError> {
    let reviews: Api<SelfSubjectReview> = Api::all(connection.client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await;
    let review = review.map_err(doing(|| "asking who you are"))?;
    let told = review.status.and_then(|status| status.user_info).unwrap_or_default();
    Ok(Requester {
        name: told.username.unwrap_or_default(),
        uid: told.uid.unwrap_or_default(),
        groups: told.groups.unwrap_or_default(),
        extra: told.extra.unwrap_or_default(),
    })
}

/// Whom the API server takes him for, if it tells.
pub async fn subject(connection: &Connection) -> Option<Subject> {
    Some(Subject::of_user_name(&ask(connection).await.ok()?.name))
}

/// What the owner of a secret can run, so that the caller may do this with it; none where it is not RBAC that refused.
pub(crate) async fn may_be_allowed(
    connection: &Connection,
    target: &Target,
    access: &str,
    why: &Why,
) -> Option<String> {
    if !why.is_of_rbac() {
        return None;
    }
    let subject = for_shell(&subject(connection).await?)?;
    Some(format!("its owner can run: apolo share secret:{} {subject} {access} -n {}", target.key, target.owner))
}
