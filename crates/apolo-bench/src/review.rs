//! The reviews that are sent: four Pods, each as it reaches either hook.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use bytes::Bytes;
use serde_json::Value;

use crate::client::Answer;

/// The Pods, by the names that they have in the folder `pods`; the last asks for nothing.
pub(crate) const PODS: [&str; 4] = ["small", "typical", "big", NONE];
const NONE: &str = "none";

/// One of the two hooks for Pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hook {
    /// Which shapes the Pod.
    Mutate,
    /// Which decides on the Pod that was shaped.
    Validate,
}

impl Hook {
    /// Both, in their order.
    pub(crate) const ALL: [Self; 2] = [Self::Mutate, Self::Validate];

    /// Its word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }

    /// Its path at the webhook.
    pub(crate) fn path(self) -> String {
        format!("/pods/{}", self.word())
    }
}

/// A captured review.
#[derive(Clone, Debug)]
pub(crate) struct Review {
    /// The Pod that it is about.
    pub(crate) pod: &'static str,
    /// The hook that it was sent to.
    pub(crate) hook: Hook,
    /// The file that it is in.
    pub(crate) file: PathBuf,
    /// The review itself.
    pub(crate) bytes: Bytes,
}

impl Review {
    /// What the review of a Pod at a hook is called: `typical.mutate`.
    pub(crate) fn name(pod: &str, hook: Hook) -> String {
        format!("{pod}.{}", hook.word())
    }

    /// The file of a review in the folder of a run.
    pub(crate) fn file(folder: &Path, pod: &str, hook: Hook) -> PathBuf {
        folder.join(Self::name(pod, hook)).with_added_extension("json")
    }

    /// All that were captured into a folder.
    pub(crate) fn load(folder: &Path) -> anyhow::Result<Vec<Self>> {
        let each = PODS.into_iter().flat_map(|pod| Hook::ALL.map(|hook| (pod, hook)));
        each.map(|(pod, hook)| {
            let file = Self::file(folder, pod, hook);
            let bytes = fs::read(&file).with_context(|| format!("reading {}: capture first", file.display()))?;
            Ok(Self { pod, hook, file, bytes: Bytes::from(bytes) })
        })
        .collect()
    }

    /// Whether an answer is the right one: for this review, allowed, and with a patch where one is due.
    pub(crate) fn check(&self, answer: &Answer) -> anyhow::Result<()> {
        let asked: Value = serde_json::from_slice(&self.bytes)?;
        let told: Value = serde_json::from_slice(&answer.body).context("an answer is not JSON")?;
        let response = told.get("response").unwrap_or(&Value::Null);
        let patch = self.hook == Hook::Mutate && self.pod != NONE;
        let right = answer.status == 200
            && response.get("uid") == asked.pointer("/request/uid")
            && response.get("allowed") == Some(&Value::Bool(true))
            && response.get("patch").is_some() == patch;
        ensure!(right, "the answer to {} is not the right one: {told}", Self::name(self.pod, self.hook));
        Ok(())
    }
}
