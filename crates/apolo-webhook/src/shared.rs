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

/// The first lets somebody use a secret, and comes with whatever a grant gives; the second lets him read it as well.
const USE: &[&str] = &["use"];
const GET: &[&str] = &["get"];
const EITHER: &[&str] = &["use", "get"];

/// Asks all questions, and tells those whose answer is no.
///
/// Most often whoever submitted the Pod may `use` the secrets, so that is asked first; and of those that he may not, all else, for him
/// and for the Pod's account. So what is refused was asked about in full, whether or not a grant or a secret is known: a refusal
/// tells nothing of them.
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
    let identities: Vec<Arc<Requester>> = launcher.identities().cloned().map(Arc::new).collect();
    let Some((first, others)) = identities.split_first() else { return Ok(questions.iter().collect()) };
    let left = ask(questions.iter().collect(), &[(first, USE)], webhook, now).await?;
    let rest: Vec<_> = [(first, GET)].into_iter().chain(others.iter().map(|other| (other, EITHER))).collect();
    ask(left, &rest, webhook, now).await
}

/// Asks about all of these side by side whether one of the identities has a right to use them; tells those of which none has.
async fn ask<'q, 'a>(
    mut left: Vec<&'q Question<'a>>,
    of: &[(&Arc<Requester>, &'static [&'static str])],
    webhook: &Webhook,
    now: Timestamp,
) -> Result<Vec<&'q Question<'a>>, Unknown> {
    let asked = of.iter().map(|(identity, verbs)| {
        webhook.reviews.ask(identity, left.iter().flat_map(|question| rights(question, verbs)).collect::<Vec<_>>())
    });
    let answered: Vec<Answers> = try_join_all(asked).await?;
    left.retain(|question| {
        let wanted = Use { owner: question.owner, key: question.reference.key.as_str(), namespace: question.namespace };
        !of.iter().zip(&answered).any(|((identity, verbs), answers)| {
            webhook.known.grants(wanted, identity, webhook.max_access, now)
                && rights(question, verbs).any(|right| answers.allow(&right))
        })
    });
    Ok(left)
}

fn rights(question: &Question<'_>, verbs: &'static [&'static str]) -> impl Iterator<Item = Right> {
    let (namespace, object) = (question.owner.to_owned(), question.reference.key.object_name().into_owned());
    verbs.iter().map(move |verb| Right {
        verb,
        resource: Resource::Secrets,
        namespace: namespace.clone(),
        name: Some(object.clone()),
    })
}
