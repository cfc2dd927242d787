//! The two hooks for grants: nobody gives away through the controller what he has not himself.
//!
//! The mutating one writes who granted, and by which Manage grants he may; it refuses nothing, for the schema, which comes after
//! it, has better words for what is out of form. The validating one asks whether the author may share each of the secrets, and
//! all that the grant gives, and holds what was written against that. A change that gives nobody anything new asks nothing: it
//! keeps what was written.

mod authority;
mod marks;
mod parents;

use std::sync::Arc;

use apolo_api::access::Access;
use apolo_api::grant::{MOST_SECRETS, MOST_SUBJECTS, SecretGrant};
use apolo_api::lineage::is_marked_withdrawn;
use apolo_core::requester::Requester;
use apolo_core::text::expected;
use k8s_openapi::jiff::Timestamp;
use serde::de::Error;
use serde_json::value::RawValue;

use crate::Webhook;
use crate::admission::{self, Verdict};
use crate::unknown::{Unknown, in_time};
use authority::Authority;
use marks::Marks;

/// What may not be known.
const WHAT: &str = "you may grant this";

type AdmissionRequest<'a> = admission::AdmissionRequest<'a, &'a RawValue>;

/// Decides a request to `/grants/mutate`: a SecretGrant on CREATE, or on UPDATE where its spec or our annotations differ, gets
/// its annotations.
pub async fn mutate(asked: &AdmissionRequest<'_>, webhook: &Webhook) -> Verdict {
    match Change::read(asked) {
        None => misdirected(asked),
        Some(Err(_)) => Verdict::Allowed,
        Some(Ok(change)) => match change.kept() {
            Some(marks) => marks.patch(&change.grant),
            None => in_time(WHAT, write(&change, webhook)).await,
        },
    }
}

/// Decides a request to `/grants/validate`: the same SecretGrant as it will be stored.
pub async fn validate(asked: &AdmissionRequest<'_>, webhook: &Webhook) -> Verdict {
    let change = match Change::read(asked) {
        None => return misdirected(asked),
        Some(Err(error)) => return unreadable(&error),
        Some(Ok(change)) => change,
    };
    match change.kept() {
        Some(marks) if marks == Marks::of(&change.grant) => Verdict::Allowed,
        Some(_) => Verdict::Refused(marks::CHANGED.to_owned()),
        None if change.grant.spec.access > webhook.max_access => too_much(&change.grant, webhook.max_access),
        None => in_time(WHAT, decide(&change, webhook)).await,
    }
}

async fn write(change: &Change, webhook: &Webhook) -> Result<Verdict, Unknown> {
    let rights = authority::sharing(&change.grant.spec, &change.namespace);
    let authority = Authority::of(change, webhook, rights).await?;
    Ok(Marks::new(&change.requester, authority.via().as_ref()).patch(&change.grant))
}

async fn decide(change: &Change, webhook: &Webhook) -> Result<Verdict, Unknown> {
    let rights = authority::needed(&change.grant.spec, &change.namespace);
    let authority = Authority::of(change, webhook, rights).await?;
    let refusals = authority.refusals();
    Ok(if !refusals.is_empty() {
        Verdict::Refused(refusals.join("\n"))
    } else if change.before.as_ref().is_some_and(is_marked_withdrawn) {
        Verdict::Refused(
            "this grant was withdrawn for good, and stays so however it is changed; make another".to_owned(),
        )
    } else if Marks::new(&change.requester, authority.via().as_ref()) != Marks::of(&change.grant) {
        Verdict::Refused(marks::CHANGED.to_owned())
    } else {
        Verdict::Allowed
    })
}

/// A grant that somebody creates or changes.
struct Change {
    requester: Arc<Requester>,
    namespace: String,
    grant: SecretGrant,
    before: Option<SecretGrant>,
    now: Timestamp,
}

impl Change {
    /// What is asked; none where it was not to be asked here.
    fn read(asked: &AdmissionRequest<'_>) -> Option<serde_json::Result<Self>> {
        let resource = &asked.resource;
        let grants = &*resource.group == "secrets.apolo.us" && &*resource.resource == "secretgrants";
        let whole = asked.sub_resource.as_deref().unwrap_or_default().is_empty();
        let namespace = asked.namespace.as_deref().filter(|namespace| !namespace.is_empty())?;
        let before = match &*asked.operation {
            "CREATE" => None,
            "UPDATE" => asked.old_object,
            _ => return None,
        };
        let object = asked.object.filter(|_| grants && whole)?;
        Some(bounded(object).map(|grant| Self {
            requester: Arc::new(asked.user_info.requester()),
            namespace: namespace.to_owned(),
            grant,
            // From one that cannot be read everything is a widening.
            before: before.and_then(|before| serde_json::from_str(before.get()).ok()),
            now: Timestamp::now(),
        }))
    }

    /// What was written and stays, where nothing is given that was not given before.
    fn kept(&self) -> Option<Marks> {
        let before = self.before.as_ref()?;
        (!self.grant.spec.widens(&before.spec)).then(|| Marks::of(before))
    }
}

/// Reads a grant. One that is larger than the schema lets it be, which only a forger sends, would be a lot to ask about.
fn bounded(object: &RawValue) -> serde_json::Result<SecretGrant> {
    let grant: SecretGrant = serde_json::from_str(object.get())?;
    let too_many = |what| Err(serde_json::Error::custom(format!("there are more {what} than a grant has")));
    match &grant.spec {
        spec if spec.secrets.len() > MOST_SECRETS => too_many("secrets"),
        spec if spec.subjects.len() > MOST_SUBJECTS => too_many("subjects"),
        _ => Ok(grant),
    }
}

fn misdirected(asked: &AdmissionRequest<'_>) -> Verdict {
    asked.misdirected("/grants takes secretgrants of secrets.apolo.us on CREATE and UPDATE")
}

fn unreadable(error: &serde_json::Error) -> Verdict {
    let (line, column) = (error.line(), error.column());
    Verdict::Refused(format!(
        "the grant cannot be read: {} (at line {line}, column {column} of its JSON)",
        expected(error)
    ))
}

fn too_much(grant: &SecretGrant, most: Access) -> Verdict {
    Verdict::Invalid(format!(
        "spec.access: \"{}\" is more than this cluster allows; write access: {most}",
        grant.spec.access
    ))
}
