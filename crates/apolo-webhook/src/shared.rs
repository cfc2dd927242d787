//! Who may use another owner's secret: one live grant that says so, and RBAC's own yes, for whoever submitted the Pod or for its
//! account.

use std::sync::Arc;

use apolo_core::access::Question;
use apolo_core::launcher::Launcher;
use apolo_runtime::review::{Resource, Right};
use k8s_openapi::jiff::Timestamp;

use crate::Webhook;
use crate::known::Use;
use crate::unknown::Unknown;

/// Either of these lets somebody use a secret; the second lets him read it as well.
const VERBS: [&str; 2] = ["use", "get"];

/// Asks all questions, about whoever submitted the Pod and then, of what he may not, about its account; tells those whose answer is
/// no.
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
    let mut left: Vec<&'q Question<'a>> = questions.iter().collect();
    // Most often the first one may, and then nobody asks about the account; what is refused was asked of both.
    for identity in launcher.identities() {
        if left.is_empty() {
            break;
        }
        let identity = Arc::new(identity.clone());
        let answers = webhook.reviews.ask(&identity, left.iter().copied().flat_map(rights)).await?;
        left.retain(|question| {
            let wanted =
                Use { owner: question.owner, key: question.reference.key.as_str(), namespace: question.namespace };
            !(webhook.known.grants(wanted, &identity, webhook.max_access, now)
                && rights(question).any(|right| answers.allow(&right)))
        });
    }
    Ok(left)
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
