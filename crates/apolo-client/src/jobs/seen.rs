//! What has been seen of a Job: itself, its Pod, and the Events about both. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Event, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;

use super::CONTAINER;
use super::watched::Change;

/// What has been seen of a Job.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The Job, as it was last seen.
    pub(super) job: Job,
    /// Whether it is not there any more.
    pub(super) is_deleted: bool,
    /// Its Pod, as it was last seen.
    pub(super) pod: Option<Pod>,
    /// Whether that is not there any more.
    pub(super) is_pod_gone: bool,
    /// Whether its Pods may not be seen.
    pub(super) is_blind: bool,
    /// Whether nothing else tells of its Pod either.
    pub(super) is_unseen: bool,
    events: BTreeMap<String, Event>,
}

impl Seen {
    /// Nothing but the Job as it was created.
    pub(super) fn of(job: Job) -> Self {
        Self { job, ..Self::default() }
    }

    /// The name of the Job.
    pub(super) fn name(&self) -> &str {
        self.job.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn take_job(&mut self, change: Change<Job>) {
        let uid = self.job.metadata.uid.clone();
        let is_it = |job: &Job| job.metadata.uid == uid;
        match change {
            Change::All(jobs) => match jobs.into_iter().find(is_it) {
                Some(job) => self.job = job,
                None => self.is_deleted = true,
            },
            Change::There(job) if is_it(&job) => self.job = job,
            Change::Gone(job) if is_it(&job) => self.is_deleted = true,
            Change::There(_) | Change::Gone(_) => {}
        }
    }

    pub(super) fn take_pods(&mut self, change: Change<Pod>) {
        match change {
            Change::All(pods) => {
                let newest = pods.into_iter().filter(|pod| self.owns(pod)).max_by_key(created);
                match newest {
                    Some(pod) => self.take_pod(pod),
                    None => self.is_pod_gone = self.pod.is_some(),
                }
            }
            Change::There(pod) if self.owns(&pod) => self.take_pod(pod),
            Change::Gone(pod) if self.pod.as_ref().is_some_and(|it| it.metadata.uid == pod.metadata.uid) => {
                self.pod = Some(pod);
                self.is_pod_gone = true;
            }
            Change::There(_) | Change::Gone(_) => {}
        }
    }

    /// The newest counts, if there are several.
    fn take_pod(&mut self, pod: Pod) {
        if self.pod.as_ref().is_none_or(|before| created(before) <= created(&pod)) {
            self.pod = Some(pod);
            self.is_pod_gone = false;
        }
    }

    fn owns(&self, pod: &Pod) -> bool {
        let mut owners = pod.metadata.owner_references.iter().flatten();
        owners.any(|owner| Some(&owner.uid) == self.job.metadata.uid.as_ref())
    }

    pub(super) fn take_events(&mut self, change: Change<Event>) {
        let events = match change {
            Change::All(events) => events,
            Change::There(event) => vec![event],
            // What has been told stays told.
            Change::Gone(_) => return,
        };
        self.events.extend(events.into_iter().filter_map(|event| Some((event.metadata.uid.clone()?, event))));
    }

    /// The last Event about the Job for one of these reasons.
    pub(super) fn job_event(&self, reasons: &[&str]) -> Option<&Event> {
        self.event(self.job.metadata.uid.as_deref()?, reasons)
    }

    /// The last Event about its Pod for one of these reasons.
    pub(super) fn pod_event(&self, reasons: &[&str]) -> Option<&Event> {
        self.event(self.pod.as_ref()?.metadata.uid.as_deref()?, reasons)
    }

    fn event(&self, about: &str, reasons: &[&str]) -> Option<&Event> {
        let is_one = |event: &&Event| {
            event.involved_object.uid.as_deref() == Some(about)
                && event.reason.as_deref().is_some_and(|reason| reasons.contains(&reason))
        };
        self.events.values().filter(is_one).max_by_key(|event| time(event))
    }

    /// The name of the Pod, where the Pod itself may not be seen, as an Event of the Job tells it.
    pub(super) fn told_pod(&self) -> Option<&str> {
        let told = self.job_event(&["SuccessfulCreate"])?.message.as_deref()?;
        told.strip_prefix("Created pod: ").map(str::trim)
    }

    /// The container that runs what was asked for, as kubelet tells of it.
    pub(super) fn container(&self) -> Option<&ContainerStatus> {
        let statuses = self.pod.as_ref()?.status.as_ref()?.container_statuses.as_ref()?;
        statuses.iter().find(|status| status.name == CONTAINER)
    }

    /// Its state.
    pub(super) fn container_state(&self) -> Option<&ContainerState> {
        self.container()?.state.as_ref()
    }

    /// Whether it has begun, so that there is something to be read of it.
    pub(super) fn has_begun(&self) -> bool {
        self.container_state().is_some_and(|state| state.running.is_some()) || self.has_terminated()
    }

    /// Whether it has ended.
    pub(super) fn has_terminated(&self) -> bool {
        self.container_state().is_some_and(|state| state.terminated.is_some())
    }

    /// Whether the Pod is being deleted, or is gone.
    pub(super) fn is_pod_leaving(&self) -> bool {
        self.is_pod_gone || self.pod.as_ref().is_some_and(|pod| pod.meta().deletion_timestamp.is_some())
    }

    /// The reason and the words of a condition of the Job that holds.
    pub(super) fn job_condition(&self, kind: &str) -> Option<(&str, &str)> {
        let conditions = self.job.status.as_ref()?.conditions.as_ref()?;
        let condition = conditions.iter().find(|condition| condition.type_ == kind && condition.status == "True")?;
        Some((condition.reason.as_deref().unwrap_or_default(), condition.message.as_deref().unwrap_or_default()))
    }
}

fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// When it last happened: Events have several fields for that, of which those who write them fill some.
fn time(event: &Event) -> Option<Timestamp> {
    let repeated = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let times = [&event.last_timestamp, &event.first_timestamp, &event.metadata.creation_timestamp];
    let times = times.into_iter().flatten().map(|time| time.0);
    times.chain(event.event_time.as_ref().map(|time| time.0)).chain(repeated).max()
}
