//! Who may use another owner's secret: one live grant that says so, and RBAC's own yes, for whoever submitted the Pod or for its
//! account.

use std::sync::Arc;

use apolo_core::access::Question;
use apolo_core::launcher::Launcher;
use apolo_core::requester::Requester;
use apolo_runtime::review::{Answers, Resource, Right};
use futures_util::future::try_join_all;
use k8s_openapi::jiff::Timestamp;

use crate::Webhook;
use crate::known::Use;
use crate::unknown::Unknown;

/// Either of these lets somebody use a secret; the second lets him read it as well.
const VERBS: [&str; 2] = ["use", "get"];

/// Asks all questions, and tells those whose answer is no.
///
/// The API server is asked the same whether or not a grant or a secret is known, so that a refusal tells nothing of them.
///
/// # Errors
/// Where an answer cannot be had.
pub(crate) async fn refused<'q, 'a>(
    questions: &'q [Question<'a>],
    launcher: &Launcher,
    webhook: &Webhook,
) -> Result<Vec<&'q Question<'a>>, Unknown> {
    if !webhook.known.is_complete() {
        return Err(Unknown::Untold);
    }
    let now = Timestamp::now();
    let asked = launcher.identities().map(async |identity| {
        let identity = Arc::new(identity.clone());
        let answers = webhook.reviews.ask(&identity, questions.iter().flat_map(rights)).await?;
        Ok::<_, Unknown>((identity, answers))
    });
    let answered: Vec<(Arc<Requester>, Answers)> = try_join_all(asked).await?;
    let may = |question: &Question<'_>| {
        answered.iter().any(|(identity, answers)| {
            let wanted =
                Use { owner: question.owner, key: question.reference.key.as_str(), namespace: question.namespace };
            webhook.known.grants(wanted, identity, webhook.max_access, now)
                && rights(question).any(|right| answers.allow(&right))
        })
    };
    Ok(questions.iter().filter(|question| !may(question)).collect())
}

fn rights(question: &Question<'_>) -> impl Iterator<Item = Right> {
    let (namespace, object) = (question.owner.to_owned(), question.reference.key.object_name().into_owned());
    VERBS.into_iter().map(move |verb| Right {
        verb,
        resource: Resource::Secrets,
        namespace: namespace.clone(),
        name: Some(object.clone()),
    })
}
