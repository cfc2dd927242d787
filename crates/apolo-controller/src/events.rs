//! Events about grants and Pods, for people: told one after another, beside the work, and let go of when there are too many.

use apolo_api::grant::SecretGrant;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client, Resource};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::apply::DEADLINE;
use crate::leader::Held;
use crate::metrics::ControllerMetrics;

/// How many may wait.
const MOST: usize = 1024;
/// The longest note of an Event, in bytes.
///
/// Source: `validateEventSeries` of Kubernetes, `NoteLengthLimit`.
const LONGEST_NOTE: usize = 1024;
/// The longest part of an object's name, which is ASCII, in that of an Event: 253 less a dot and a time.
const LONGEST_NAME: usize = 253 - 1 - 16;
/// What was done when it happened.
const GRANT: &str = "Grant";
const DELIVER: &str = "Deliver";
const CERTIFY: &str = "Certify";
/// What did what is told of.
const CONTROLLER: &str = "apolo-secrets";

/// Where Events are told.
#[derive(Clone, Debug)]
pub struct Events(mpsc::Sender<News>);

/// What an Event is to say.
#[derive(Clone, Debug)]
pub struct News {
    about: ObjectReference,
    action: &'static str,
    reason: String,
    note: String,
    warns: bool,
}

impl News {
    /// That a grant stands differently.
    #[must_use]
    pub fn of(grant: &SecretGrant, reason: String, note: String) -> Self {
        let warns = !matches!(reason.as_str(), "Granted" | "Expired");
        Self { about: grant.object_ref(&()), action: GRANT, reason, note: cut(note), warns }
    }

    /// That something failed with a grant.
    #[must_use]
    pub fn failure(about: ObjectReference, reason: &str, note: String) -> Self {
        Self { about, action: GRANT, reason: reason.into(), note: cut(note), warns: true }
    }

    /// That a certificate was made.
    #[must_use]
    pub fn certificate(about: ObjectReference, reason: &str, note: String, warns: bool) -> Self {
        Self { about, action: CERTIFY, reason: reason.into(), note: cut(note), warns }
    }

    /// What becomes of what a Pod asks for.
    #[must_use]
    pub fn delivery(about: ObjectReference, reason: &str, note: String, warns: bool) -> Self {
        Self { about, action: DELIVER, reason: reason.into(), note: cut(note), warns }
    }
}

fn cut(mut note: String) -> String {
    if note.len() > LONGEST_NOTE {
        let end = (0..=LONGEST_NOTE - '…'.len_utf8()).rev().find(|&end| note.is_char_boundary(end)).unwrap_or(0);
        note.truncate(end);
        note.push('…');
    }
    note
}

impl Events {
    /// Where to tell, and what tells it to the API server for as long as it is polled. The client is to be one that sends nothing
    /// once the lease may have ended.
    pub fn new(
        client: Client,
        identity: String,
        held: Held,
        metrics: ControllerMetrics,
    ) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = mpsc::channel(MOST);
        (Self(sender), publish(receiver, client, identity, held, metrics))
    }

    /// Tells it some time, or not, if too many wait; which of the two.
    pub fn tell(&self, news: News) -> bool {
        self.0.try_send(news).is_ok()
    }
}

/// Each is created, and forgotten. kube's recorder keeps all of six minutes, 6 KB each, so as to count those that come again.
async fn publish(
    mut receiver: mpsc::Receiver<News>,
    client: Client,
    identity: String,
    held: Held,
    metrics: ControllerMetrics,
) {
    while let Some(news) = receiver.recv().await {
        // Who leads now tells how things are now.
        if held.check().is_err() {
            continue;
        }
        let event = event(news, &identity, Timestamp::now());
        let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
        let events: Api<Event> = Api::namespaced(client.clone(), namespace);
        let why = match timeout(DEADLINE, events.create(&PostParams::default(), &event)).await {
            Ok(Ok(_)) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(late) => late.to_string(),
        };
        metrics.error("event");
        tracing::debug!(why, "an Event could not be told");
    }
}

/// The Event of what happened, as of `now`. Its name is that of what it is about, as much of it as fits, and the time.
fn event(News { about, action, reason, note, warns }: News, identity: &str, now: Timestamp) -> Event {
    let mut name = about.name.clone().unwrap_or_default();
    name.truncate(LONGEST_NAME);
    Event {
        metadata: ObjectMeta {
            namespace: about.namespace.clone(),
            name: Some(format!("{}.{:x}", name.trim_end_matches(['-', '.']), now.as_nanosecond())),
            ..ObjectMeta::default()
        },
        action: Some(action.into()),
        event_time: Some(MicroTime(now)),
        note: Some(note),
        reason: Some(reason),
        regarding: Some(about),
        reporting_controller: Some(CONTROLLER.into()),
        reporting_instance: Some(identity.into()),
        type_: Some(if warns { "Warning" } else { "Normal" }.into()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_cut_where_it_is_too_long() {
        assert_eq!(cut("a".repeat(1024)).len(), 1024);
        let long = cut("é".repeat(600));
        assert!(long.len() <= 1024 && long.ends_with('…'), "{}", long.len());
    }

    #[test]
    fn an_event_has_a_name_that_kubernetes_takes_however_long_that_of_the_grant() {
        let name = |of: String| {
            let about = ObjectReference { name: Some(of), ..ObjectReference::default() };
            let told = event(News::failure(about, "GrantFailed", "why".into()), "me", Timestamp::now());
            told.metadata.name.unwrap_or_default()
        };
        let whole = name("a".repeat(253));
        assert!(whole.len() == 253 && whole.contains("a."), "{whole}");
        // A part of a name may not end where it was cut.
        for end in ["-", ".", "-."] {
            let cut = name("a".repeat(LONGEST_NAME - end.len()) + end + "bcd");
            assert!(!cut.contains("..") && !cut.contains("-."), "{cut}");
        }
    }
}
