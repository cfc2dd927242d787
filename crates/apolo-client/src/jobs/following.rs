//! A Job, followed to its end: what state it is in, and what its container prints.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{FutureExt, StreamExt, stream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::runtime::watcher::Config;
use thiserror::Error;

use super::end::{self, End};
use super::log::{self, Position, Read};
use super::seen::Seen;
use super::state::{self, State};
use super::watched::{Change, looked_at, watched};
use crate::connection::Connection;
use crate::explained::{Explained, Kind};
use crate::request::{RequestError, Why};

/// How long after a log has broken off it is asked for again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is asked for in vain when its container has ended.
const ATTEMPTS: u32 = 5;

/// What is told of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It is in another state.
    State(State),
    /// Something about how it is followed.
    Note(String),
    /// Its container has printed this.
    Printed(Vec<u8>),
    /// It has ended, and all that its container has printed was told.
    Ended(End),
}

/// Why a Job cannot be followed. The Job goes on.
#[derive(Debug, Error)]
pub enum FollowError {
    /// The API server does not tell.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// A Job that is followed.
pub struct Following {
    connection: Connection,
    cluster: String,
    seen: Seen,
    heard: SelectAll<BoxStream<'static, Heard>>,
    follows_pod: Option<String>,
    log: Log,
    attempts: u32,
    position: Position,
    /// Whether Events may not be read.
    is_deaf: bool,
    told: Option<State>,
    trouble: Option<Why>,
    news: VecDeque<News>,
}

/// What one of the streams has told.
enum Heard {
    Job(Result<Change<Job>, Why>),
    JobLookedAt(Result<Change<Job>, Why>),
    Pods(Result<Change<Pod>, Why>),
    PodLookedAt(Result<Change<Pod>, Why>),
    Events(Result<Change<Event>, Why>),
    Log(Read),
    Pause,
}

/// How it stands with the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Log {
    /// There is none yet.
    None,
    /// It is read; whether the container had ended when that began.
    Read { is_after_end: bool },
    /// It has broken off.
    Paused,
    /// There is no more.
    Over,
}

impl Following {
    /// Follows a Job that was created, in a cluster of this name.
    #[must_use]
    pub fn begin(connection: Connection, cluster: String, job: Job) -> Self {
        let seen = Seen::of(job);
        let mut following = Self {
            connection,
            cluster,
            seen,
            heard: SelectAll::new(),
            follows_pod: None,
            log: Log::None,
            attempts: 0,
            position: Position::default(),
            is_deaf: false,
            told: None,
            trouble: None,
            news: VecDeque::new(),
        };
        let name = following.seen.name().to_owned();
        let job = watched(following.jobs(), Config::default().fields(&format!("metadata.name={name}")));
        let pods = watched(following.pods(), Config::default().labels(&format!("batch.kubernetes.io/job-name={name}")));
        following.heard.push(job.map(Heard::Job).boxed());
        following.heard.push(pods.map(Heard::Pods).boxed());
        following.hear_of_events(following.seen.job.metadata.uid.clone());
        following.look();
        following
    }

    /// What is told next; nothing is lost if it is not waited for to the end.
    ///
    /// # Errors
    /// Where the Job may not be seen, or the API server does not know any more who asks.
    pub async fn next(&mut self) -> Result<News, FollowError> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Ok(news);
            }
            match self.heard.next().await {
                Some(heard) => self.hear(heard)?,
                None => return Err(self.unseen(Why::NoAnswer)),
            }
            self.look();
        }
    }

    fn hear(&mut self, heard: Heard) -> Result<(), FollowError> {
        match heard {
            Heard::Job(Err(Why::NotAllowed(_))) => {
                let looks = looked_at(self.jobs(), self.seen.name().to_owned());
                self.heard.push(looks.map(Heard::JobLookedAt).boxed());
            }
            Heard::JobLookedAt(Err(why @ Why::NotAllowed(_))) => return Err(self.unseen(why)),
            Heard::Job(change) | Heard::JobLookedAt(change) => {
                if let Some(change) = self.well(change)? {
                    self.seen.take_job(change);
                }
            }
            Heard::Pods(Err(Why::NotAllowed(_))) => self.seen.is_blind = true,
            Heard::PodLookedAt(Err(Why::NotAllowed(_))) => self.seen.is_unseen = true,
            Heard::Pods(change) | Heard::PodLookedAt(change) => {
                if let Some(change) = self.well(change)? {
                    self.seen.take_pods(change);
                }
            }
            Heard::Events(Err(Why::NotAllowed(_))) => self.is_deaf = true,
            Heard::Events(change) => {
                if let Some(change) = self.well(change)? {
                    self.seen.take_events(change);
                }
            }
            Heard::Log(Read::Bytes(bytes)) => {
                let printed = self.position.take(&bytes);
                if !printed.is_empty() {
                    self.news.push_back(News::Printed(printed));
                }
            }
            Heard::Log(Read::Ended(why)) => self.log_ended(why),
            Heard::Pause => self.read_log(),
        }
        Ok(())
    }

    /// A watch that fails is begun again; that is told once, and what cannot come right by itself ends it.
    fn well<T>(&mut self, change: Result<T, Why>) -> Result<Option<T>, FollowError> {
        match change {
            Ok(change) => {
                self.trouble = None;
                Ok(Some(change))
            }
            Err(why @ (Why::Unknown | Why::Login(_))) => Err(self.unseen(why)),
            Err(why) => {
                if self.trouble.as_ref() != Some(&why) {
                    self.news.push_back(News::Note(format!("{why}; the Job goes on, and is looked for again")));
                    self.trouble = Some(why);
                }
                Ok(None)
            }
        }
    }

    /// What follows from what was seen.
    fn look(&mut self) {
        self.follow_pod();
        self.seen.is_unseen |= self.seen.is_blind && self.is_deaf && self.seen.pod.is_none();
        let end = end::of(&self.seen);
        if matches!(end, Some(End::NotStarted(_))) {
            self.log = Log::Over;
        }
        let has_begun = self.seen.has_begun() || self.seen.is_blind && self.follows_pod.is_some();
        if self.log == Log::None && has_begun
            || self.log == Log::Paused && self.seen.has_terminated() && self.attempts == 0
        {
            self.read_log();
        }
        if self.log == Log::Paused && self.seen.is_pod_gone {
            self.log = Log::Over;
        }
        match end {
            Some(end) if matches!(self.log, Log::None | Log::Over) || self.seen.is_deleted => {
                self.news.push_back(News::Ended(end));
            }
            Some(_) => {}
            None => self.tell_state(),
        }
    }

    fn tell_state(&mut self) {
        let state = state::of(&self.seen, &self.cluster);
        if self.told.as_ref() != Some(&state) {
            self.told = Some(state.clone());
            self.news.push_back(News::State(state));
        }
    }

    /// The Events of its Pod are heard as soon as it is known; where Pods may not be watched, it is looked at by the name that is told.
    fn follow_pod(&mut self) {
        if self.follows_pod.is_some() {
            return;
        }
        if let Some(pod) = &self.seen.pod {
            self.follows_pod = pod.metadata.name.clone();
            self.hear_of_events(pod.metadata.uid.clone());
        } else if self.seen.is_blind
            && let Some(name) = self.seen.told_pod().map(str::to_owned)
        {
            let looks = looked_at(self.pods(), name.clone());
            self.heard.push(looks.map(Heard::PodLookedAt).boxed());
            self.follows_pod = Some(name);
        }
    }

    fn hear_of_events(&mut self, about: Option<String>) {
        let Some(uid) = about else { return };
        let events: Api<Event> = Api::namespaced(self.connection.client.clone(), &self.connection.namespace);
        let events = watched(events, Config::default().fields(&format!("involvedObject.uid={uid}")));
        self.heard.push(events.map(Heard::Events).boxed());
    }

    fn read_log(&mut self) {
        let Some(pod) = self.follows_pod.clone() else { return };
        if matches!(self.log, Log::Over | Log::Read { .. }) {
            return;
        }
        self.log = Log::Read { is_after_end: self.seen.has_terminated() };
        let read = log::read(self.pods(), pod, self.position.begin());
        self.heard.push(read.map(Heard::Log).boxed());
    }

    /// All was read if that began when the container had ended already. Else it is read again from where it broke off.
    fn log_ended(&mut self, why: Option<Why>) {
        let Log::Read { is_after_end } = self.log else { return };
        let has_terminated = self.seen.has_terminated();
        self.attempts += u32::from(has_terminated);
        self.log = Log::Paused;
        match why {
            None if is_after_end => self.log = Log::Over,
            Some(Why::NotThere) if self.seen.is_pod_gone => self.log = Log::Over,
            Some(why @ Why::NotAllowed(_)) => self.no_log(&why),
            Some(why) if self.attempts > ATTEMPTS => self.no_log(&why),
            _ if has_terminated && !is_after_end => self.read_log(),
            _ if !has_terminated && (self.seen.is_pod_gone || end::of(&self.seen).is_some()) => self.log = Log::Over,
            _ => self.heard.push(stream::once(tokio::time::sleep(PAUSE).map(|()| Heard::Pause)).boxed()),
        }
    }

    fn no_log(&mut self, why: &Why) {
        self.log = Log::Over;
        self.news.push_back(News::Note(format!("what it prints cannot be read: {why}")));
    }

    fn unseen(&self, why: Why) -> FollowError {
        let doing = format!("following Job {} of namespace {}", self.seen.name(), self.connection.namespace);
        RequestError { doing, why }.into()
    }

    fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.connection.client.clone(), &self.connection.namespace)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.connection.client.clone(), &self.connection.namespace)
    }
}

impl Explained for FollowError {
    fn kind(&self) -> Kind {
        let Self::Request(error) = self;
        error.kind()
    }

    fn hint(&self) -> Option<String> {
        let Self::Request(error) = self;
        error.hint()
    }
}
