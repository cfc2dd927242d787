//! The patch: what is to be added to a Pod so that it has what it asks for, and nothing else.
//!
//! It is a JSON Patch (RFC 6902) of `add` operations, computed over what is already there: what an earlier application
//! added is not added again, so applying it twice is applying it once.
//!
//! It is written as text at once. All containers get the same, so each mount and variable is put into words once,
//! however many containers there are.

use std::fmt;
use std::ops::Range;

use serde::Serialize;
use thiserror::Error;

use crate::names;
use crate::pod::{Container, List, Notes, Pod, SchedulingGate};
use crate::stamp::Stamp;
use crate::targets::Targets;
use crate::text::{Text, pointer_token, quoted};

/// The most bytes of a patch: what etcd stores of an object unless it is told otherwise, so that a Pod with more added to
/// it could not be stored.
pub const MOST_BYTES: usize = 3 << 19;

/// Why there is no patch.
#[derive(Debug, Error)]
pub enum PatchError {
    /// Pods of so many containers could not be stored with what is to be added to each.
    #[error(
        "it would be more than {MOST_BYTES} bytes, since each container gets everything; ask for less, or name the \
         containers that need it in {}",
        names::CONTAINERS
    )]
    TooLarge,
    /// An addition cannot be written as JSON.
    #[error(transparent)]
    Unwritable(#[from] serde_json::Error),
}

/// The operations to apply to a Pod, in order; none where nothing is to be added.
#[derive(Debug)]
pub struct Patch {
    json: String,
    /// Where in `json` the path of each operation is.
    paths: Vec<Range<usize>>,
}

impl Default for Patch {
    fn default() -> Self {
        Self { json: String::from("["), paths: Vec::new() }
    }
}

impl Patch {
    /// Computes what a Pod lacks of what it asks for, and of the stamp that it should bear, if any.
    ///
    /// # Errors
    /// Where it would be too large, or an addition cannot be written as JSON.
    pub fn of(pod: &Pod<'_>, targets: &Targets<'_>, stamp: Option<&Stamp>) -> Result<Self, PatchError> {
        let mut patch = Self::default();
        if targets.request.is_empty() {
            return Ok(patch);
        }
        if let Some(stamp) = stamp {
            patch.stamp("/metadata/annotations", &pod.metadata.annotations, stamp)?;
        }
        if !is_complete(pod, targets) {
            patch.fix_containers(pod, targets)?;
            if targets.request.is_shared() {
                patch.mark_shared(&pod.metadata.labels)?;
                patch.hold_for_delivery(pod)?;
            }
            let volumes = Additions::of(&targets.volumes)?;
            patch.extend("/spec/volumes", &pod.spec.volumes, &volumes);
            let (mounts, variables) = (
                Additions::of(targets.mounts.iter().map(|(_, mount)| mount))?,
                Additions::of(targets.variables.iter().map(|(_, variable)| variable))?,
            );
            let mut fill = |list: &str, containers: &List<Container<'_>>| {
                let selected = containers.0.iter().enumerate();
                for (index, container) in selected.filter(|(_, container)| targets.request.selects(container)) {
                    patch.extend(&format!("{list}/{index}/volumeMounts"), &container.volume_mounts, &mounts);
                    patch.extend(&format!("{list}/{index}/env"), &container.env, &variables);
                    patch.hold_size()?;
                }
                Ok::<_, PatchError>(())
            };
            fill("/spec/containers", &pod.spec.containers)?;
            fill("/spec/initContainers", &pod.spec.init_containers)?;
        }
        Ok(patch)
    }

    /// Stamps what has annotations at this JSON Pointer, which are there.
    ///
    /// # Errors
    /// Where an annotation cannot be written as JSON.
    pub fn stamp(&mut self, pointer: &str, annotations: &Notes<'_>, stamp: &Stamp) -> Result<(), serde_json::Error> {
        // A key of somebody's own map may be on the way.
        let pointer = serde_json::to_string(pointer)?;
        let pointer = pointer.trim_matches('"');
        for (name, value) in
            stamp.annotations().into_iter().filter(|(name, value)| annotations.get(name) != Some(value))
        {
            self.add(&format!("{pointer}/{}", pointer_token(name)), &serde_json::to_string(value)?);
        }
        Ok(())
    }

    /// Holds it against [`MOST_BYTES`].
    ///
    /// # Errors
    /// Where it has more.
    pub fn hold_size(&self) -> Result<(), PatchError> {
        if self.json.len() > MOST_BYTES { Err(PatchError::TooLarge) } else { Ok(()) }
    }

    /// Whether the Pod lacks nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// How many operations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// The patch as JSON: an array of operations.
    #[must_use]
    pub fn into_json(mut self) -> String {
        self.json.push(']');
        self.json
    }

    /// Fixes the set of containers at the first application: one that comes later gets nothing.
    fn fix_containers(&mut self, pod: &Pod<'_>, targets: &Targets<'_>) -> Result<(), serde_json::Error> {
        let containers = pod.spec.containers.0.iter().chain(&pod.spec.init_containers.0);
        let names: Vec<&str> = containers.map(|container| &*container.name).collect();
        if targets.request.containers.is_none() && !names.is_empty() {
            let path = format!("/metadata/annotations/{}", pointer_token(names::CONTAINERS));
            self.add(&path, &serde_json::to_string(&names.join(","))?);
        }
        Ok(())
    }

    fn mark_shared(&mut self, labels: &Notes<'_>) -> Result<(), serde_json::Error> {
        if !labels.exist {
            let label = std::collections::BTreeMap::from([(names::SHARED, "true")]);
            self.add("/metadata/labels", &serde_json::to_string(&label)?);
        } else if labels.get(names::SHARED) != Some("true") {
            self.add(&format!("/metadata/labels/{}", pointer_token(names::SHARED)), "\"true\"");
        }
        Ok(())
    }

    /// A Pod that names its node is not scheduled, so a gate is not allowed on it; kubelet waits for the copy instead.
    fn hold_for_delivery(&mut self, pod: &Pod<'_>) -> Result<(), serde_json::Error> {
        let gate = [SchedulingGate { name: Text::from(names::DELIVERY_GATE) }];
        let bound = pod.spec.node_name.as_ref().is_some_and(|name| !name.is_empty());
        if !bound {
            self.extend("/spec/schedulingGates", &pod.spec.scheduling_gates, &Additions::of(&gate)?);
        }
        Ok(())
    }

    /// Adds to the end of a list what it lacks, or makes the list.
    fn extend<T: PartialEq>(&mut self, path: &str, there: &List<T>, additions: &Additions<'_, T>) {
        if additions.each.is_empty() {
        } else if there.0.is_empty() {
            self.add(path, &additions.all);
        } else {
            let end = format!("{path}/-");
            for (_, json) in additions.each.iter().filter(|(wanted, _)| !there.0.contains(wanted)) {
                self.add(&end, json);
            }
        }
    }

    /// Appends an operation. The path has no character that JSON escapes.
    fn add(&mut self, path: &str, value: &str) {
        self.json.push_str(if self.paths.is_empty() { r#"{"op":"add","path":""# } else { r#",{"op":"add","path":""# });
        let begin = self.json.len();
        self.json.push_str(path);
        self.paths.push(begin..self.json.len());
        self.json.push_str(r#"","value":"#);
        self.json.push_str(value);
        self.json.push('}');
    }
}

/// Whether a Pod that uses no other owner's secret has everything, as one has that was patched before: then nothing need
/// be put into words.
fn is_complete(pod: &Pod<'_>, targets: &Targets<'_>) -> bool {
    let request = &targets.request;
    let has_all = |container: &Container<'_>| {
        targets.mounts.iter().all(|(_, mount)| container.volume_mounts.0.contains(mount))
            && targets.variables.iter().all(|(_, variable)| container.env.0.contains(variable))
    };
    let containers = || pod.spec.containers.0.iter().chain(&pod.spec.init_containers.0);
    request.containers.is_some()
        && !request.is_shared()
        && targets.volumes.iter().all(|volume| pod.spec.volumes.0.contains(volume))
        && containers().filter(|container| request.selects(container)).all(has_all)
}

/// What is to be in a list: each element with its JSON, and the JSON of them all.
struct Additions<'t, T> {
    each: Vec<(&'t T, String)>,
    all: String,
}

impl<'t, T: Serialize> Additions<'t, T> {
    fn of(wanted: impl IntoIterator<Item = &'t T>) -> Result<Self, serde_json::Error> {
        let json = |wanted| serde_json::to_string(wanted).map(|json| (wanted, json));
        let each: Vec<(&T, String)> = wanted.into_iter().map(json).collect::<Result<_, _>>()?;
        let mut all = String::from("[");
        for (index, (_, json)) in each.iter().enumerate() {
            all.push_str(if index == 0 { "" } else { "," });
            all.push_str(json);
        }
        all.push(']');
        Ok(Self { each, all })
    }
}

/// Says what the Pod lacks, for the refusal of one that was changed after the patch: paths of its fields.
impl fmt::Display for Patch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 5;
        for (index, path) in self.paths.iter().take(MOST).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let path = self.json.get(path.clone()).unwrap_or_default();
            write!(formatter, "{comma}{}", quoted(path.trim_end_matches("/-")))?;
        }
        match self.paths.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => write!(formatter, " and {more} more"),
        }
    }
}
