//! Whom the API server takes a person for, and how he comes to rights that he lacks.

use apolo_core::access::for_shell;
use apolo_core::subject::Subject;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::Api;
use kube::api::PostParams;

use crate::connection::Connection;
use crate::request::Why;
use crate::target::Target;

/// Whom the API server takes him for, if it tells.
pub async fn subject(connection: &Connection) -> Option<Subject> {
    let reviews: Api<SelfSubjectReview> = Api::all(connection.client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.ok()?;
    Some(Subject::of_user_name(&review.status?.user_info?.username?))
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
