//! The patch: what is to be added to a Pod so that it has what it asks for, and nothing else.
//!
//! It is a JSON Patch (RFC 6902) of `add` operations, computed over what is already there: what an earlier application
//! added is not added again, so applying it twice is applying it once.

use std::fmt;

use serde::Serialize;

use crate::names;
use crate::pod::{Container, List, Mount, Notes, Pod, SchedulingGate, Variable, Volume};
use crate::request::Request;
use crate::targets::Targets;
use crate::text::{Text, quoted};

/// The operations to apply to a Pod, in order; none where nothing is to be added.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Patch<'a> {
    operations: Vec<Operation<'a>>,
}

/// One `add` of RFC 6902.
#[derive(Debug, Serialize)]
struct Operation<'a> {
    op: &'static str,
    path: String,
    value: Addition<'a>,
}

/// What an operation adds.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Addition<'a> {
    Volume(Volume<'a>),
    Volumes(Vec<Volume<'a>>),
    Mount(Mount<'a>),
    Mounts(Vec<Mount<'a>>),
    Variable(Variable<'a>),
    Variables(Vec<Variable<'a>>),
    Gate(SchedulingGate<'a>),
    Gates(Vec<SchedulingGate<'a>>),
    Label(&'static str),
    Labels(SharedLabel),
    Note(String),
}

/// `labels` with ours alone.
#[derive(Debug, Serialize)]
struct SharedLabel {
    #[serde(rename = "secrets.apolo.us/shared")]
    shared: &'static str,
}

impl<'a> Patch<'a> {
    /// Computes what a Pod lacks of what it asks for.
    #[must_use]
    pub fn of(pod: &Pod<'a>, targets: &Targets<'a>) -> Self {
        let mut patch = Self::default();
        let request = &targets.request;
        if request.is_empty() {
            return patch;
        }
        patch.fix_containers(pod, request);
        if request.is_shared() {
            patch.mark_shared(&pod.metadata.labels);
            patch.hold_for_delivery(pod);
        }
        let lacking = targets.volumes.iter().filter(|volume| !pod.spec.volumes.0.contains(volume)).cloned().collect();
        patch.extend("/spec/volumes", &pod.spec.volumes, lacking, Addition::Volume, Addition::Volumes);
        patch.fill("/spec/containers", &pod.spec.containers, targets);
        patch.fill("/spec/initContainers", &pod.spec.init_containers, targets);
        patch
    }

    /// Whether the Pod lacks nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// How many operations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Fixes the set of containers at the first application: one that comes later gets nothing.
    fn fix_containers(&mut self, pod: &Pod<'_>, request: &Request<'_>) {
        let containers = || pod.spec.containers.0.iter().chain(&pod.spec.init_containers.0);
        if request.containers.is_none() && containers().next().is_some() {
            let names: Vec<&str> = containers().map(|container| &*container.name).collect();
            self.add(format!("/metadata/annotations/{}", token(names::CONTAINERS)), Addition::Note(names.join(",")));
        }
    }

    fn mark_shared(&mut self, labels: &Notes<'_>) {
        if !labels.exist {
            self.add("/metadata/labels".to_owned(), Addition::Labels(SharedLabel { shared: "true" }));
        } else if labels.get(names::SHARED) != Some("true") {
            self.add(format!("/metadata/labels/{}", token(names::SHARED)), Addition::Label("true"));
        }
    }

    /// A Pod that names its node is not scheduled, so a gate is not allowed on it; kubelet waits for the copy instead.
    fn hold_for_delivery(&mut self, pod: &Pod<'a>) {
        let gate = SchedulingGate { name: Text::from(names::DELIVERY_GATE) };
        let gates = &pod.spec.scheduling_gates;
        let bound = pod.spec.node_name.as_ref().is_some_and(|name| !name.is_empty());
        if !bound && !gates.0.contains(&gate) {
            self.extend("/spec/schedulingGates", gates, vec![gate], Addition::Gate, Addition::Gates);
        }
    }

    fn fill(&mut self, list: &str, containers: &List<Container<'a>>, targets: &Targets<'a>) {
        let selected = containers.0.iter().enumerate().filter(|(_, container)| targets.request.selects(container));
        for (index, container) in selected {
            let (mounts, env) = (&container.volume_mounts, &container.env);
            let lacking = lacking(&targets.mounts, mounts);
            let path = format!("{list}/{index}/volumeMounts");
            self.extend(&path, mounts, lacking, Addition::Mount, Addition::Mounts);
            let lacking = self::lacking(&targets.variables, env);
            self.extend(&format!("{list}/{index}/env"), env, lacking, Addition::Variable, Addition::Variables);
        }
    }

    /// Adds to the end of a list, or makes the list.
    fn extend<T>(
        &mut self,
        path: &str,
        there: &List<T>,
        mut lacking: Vec<T>,
        one: fn(T) -> Addition<'a>,
        all: fn(Vec<T>) -> Addition<'a>,
    ) {
        if lacking.is_empty() {
            return;
        }
        if there.0.is_empty() {
            self.add(path.to_owned(), all(lacking));
        } else {
            for addition in lacking.drain(..) {
                self.add(format!("{path}/-"), one(addition));
            }
        }
    }

    fn add(&mut self, path: String, value: Addition<'a>) {
        self.operations.push(Operation { op: "add", path, value });
    }
}

/// Says what the Pod lacks, for the refusal of one that was changed after the patch: `volume "apolo-secrets", …`.
impl fmt::Display for Patch<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 5;
        for (index, operation) in self.operations.iter().take(MOST).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(formatter, "{comma}{}", quoted(operation.path.trim_end_matches("/-")))?;
        }
        match self.operations.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => write!(formatter, " and {more} more"),
        }
    }
}

fn lacking<T: Clone + PartialEq, I>(wanted: &[(I, T)], there: &List<T>) -> Vec<T> {
    wanted.iter().map(|(_, wanted)| wanted).filter(|wanted| !there.0.contains(wanted)).cloned().collect()
}

/// A name as a token of a JSON Pointer (RFC 6901, section 3).
fn token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
