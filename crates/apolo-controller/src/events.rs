//! Events about grants, for people: told one after another, beside the work, and let go of when there are too many.

use apolo_api::grant::SecretGrant;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use tokio::sync::mpsc;

use crate::leader::Held;
use crate::metrics::ControllerMetrics;

/// How many may wait.
const MOST: usize = 1024;
/// The longest note of an Event, in bytes.
///
/// Source: `validateEventSeries` of Kubernetes, `NoteLengthLimit`.
const LONGEST_NOTE: usize = 1024;
/// What did what is told of.
const CONTROLLER: &str = "apolo-secrets";

/// Where Events are told.
#[derive(Clone, Debug)]
pub struct Events(mpsc::Sender<News>);

/// What an Event is to say.
#[derive(Clone, Debug)]
pub struct News {
    about: ObjectReference,
    reason: String,
    note: String,
    warns: bool,
}

impl News {
    /// That a grant stands differently.
    #[must_use]
    pub fn of(grant: &SecretGrant, reason: String, note: String) -> Self {
        let warns = !matches!(reason.as_str(), "Granted" | "Expired");
        Self { about: grant.object_ref(&()), reason, note: cut(note), warns }
    }

    /// That something failed with a grant.
    #[must_use]
    pub fn failure(about: ObjectReference, reason: &str, note: String) -> Self {
        Self { about, reason: reason.into(), note: cut(note), warns: true }
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
    /// Where to tell, and what tells it to the API server for as long as it is polled.
    pub fn new(
        client: Client,
        identity: String,
        held: Held,
        metrics: ControllerMetrics,
    ) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = mpsc::channel(MOST);
        let reporter = Reporter { controller: CONTROLLER.into(), instance: Some(identity) };
        (Self(sender), publish(receiver, Recorder::new(client, reporter), held, metrics))
    }

    /// Tells it some time, or not, if too many wait.
    pub fn tell(&self, news: News) {
        let _let_go = self.0.try_send(news);
    }
}

async fn publish(mut receiver: mpsc::Receiver<News>, recorder: Recorder, held: Held, metrics: ControllerMetrics) {
    while let Some(News { about, reason, note, warns }) = receiver.recv().await {
        // Who leads now tells how things are now.
        if held.check().is_err() {
            continue;
        }
        let type_ = if warns { EventType::Warning } else { EventType::Normal };
        let event = Event { type_, reason, note: Some(note), action: "Grant".into(), secondary: None };
        if let Err(error) = recorder.publish(&event, &about).await {
            metrics.error("event");
            tracing::debug!(why = %error, "an Event could not be told");
        }
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
}
