//! The record of decisions: one line of the log and one count each.
//!
//! A line says who, what, verdict and why, and never a value: of a mistake it tells the place and the kind, not the text,
//! which may quote what its author wrote.

use std::time::Duration;

use apolo_core::mistake::{Mistake, Mistakes, Place};
use apolo_core::names;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::admission::{AdmissionRequest, Answer, Object, ReviewError, Verdict};

/// How many mistakes a line tells; the rest is counted.
const MOST: usize = 10;

/// How many bytes of a name a line tells.
const LONGEST_NAME: usize = 512;
/// How many bytes of a reason a line tells.
const LONGEST_REASON: usize = 4096;

/// Counts decisions and writes their lines.
#[derive(Debug)]
pub struct Decisions {
    verdicts: Family<OfPath, Counter>,
    mistakes: Family<OfKind, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPath {
    path: &'static str,
    verdict: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

impl Decisions {
    /// New counts, shown by a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let decisions = Self { verdicts: Family::default(), mistakes: Family::default() };
        registry.register(
            "admission_decisions",
            "Decisions of the webhook, by path and verdict",
            decisions.verdicts.clone(),
        );
        registry.register("mistakes", "Mistakes told to authors, by kind", decisions.mistakes.clone());
        decisions
    }

    /// Records the answer to a request: of warnings how many there are.
    pub fn record<O: Object>(
        &self,
        path: &'static str,
        request: &AdmissionRequest<'_, O>,
        Answer { verdict, warnings }: &Answer,
        took: Duration,
    ) {
        self.verdicts.get_or_create(&OfPath { path, verdict: verdict.word() }).inc();
        let why = self.why(verdict);
        tracing::info!(
            path,
            verdict = verdict.word(),
            namespace = request.namespace.as_deref().unwrap_or_default(),
            resource = request.resource_name(),
            name = cut(request.object_name(), LONGEST_NAME),
            user = cut(&request.user_info.username, LONGEST_NAME),
            uid = &*request.uid,
            dry_run = request.dry_run == Some(true),
            operations = if let Verdict::Patched { operations, .. } = verdict { *operations } else { 0 },
            warnings = warnings.len(),
            microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            why = cut(&why, LONGEST_REASON),
            "decided"
        );
    }

    /// Records a body that is no request.
    pub fn record_unreadable(&self, path: &'static str, error: &ReviewError, bytes: usize) {
        self.verdicts.get_or_create(&OfPath { path, verdict: "unreadable" }).inc();
        tracing::warn!(path, verdict = "unreadable", bytes, why = %error, "not a review");
    }

    fn why(&self, verdict: &Verdict) -> String {
        match verdict {
            Verdict::Allowed | Verdict::Patched { .. } => String::new(),
            Verdict::Invalid(why) | Verdict::Refused(why) | Verdict::Unknown(why) | Verdict::Misdirected(why) => {
                why.clone()
            }
            Verdict::Mistaken(mistakes) => {
                for mistake in mistakes.iter() {
                    self.mistakes.get_or_create(&OfKind { kind: mistake.wrong.kind() }).inc();
                }
                told(mistakes)
            }
        }
    }
}

/// The beginning of a name, as much as a line needs.
fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

fn told(mistakes: &Mistakes) -> String {
    let mut told: Vec<String> = mistakes.iter().take(MOST).map(place_and_kind).collect();
    let more = mistakes.iter().count() - told.len();
    if more > 0 {
        told.push(format!("{more} more"));
    }
    told.join("; ")
}

fn place_and_kind(mistake: &Mistake) -> String {
    let kind = mistake.wrong.kind();
    let template = mistake.template.as_ref().map(|path| format!("{path}: ")).unwrap_or_default();
    let place = match &mistake.place {
        Place::VolumeItem(number, _) => format!("{}, item {number}", names::VOLUME),
        Place::EnvItem(number, _) => format!("{}, item {number}", names::ENV),
        Place::ContainersItem(number) => format!("{}, item {number}", names::CONTAINERS),
        Place::Annotation(_) | Place::Above { .. } => "annotation".to_owned(),
        Place::Volume(_) => "spec.volumes".to_owned(),
    };
    format!("{template}{place}: {kind}")
}
