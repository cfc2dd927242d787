//! Which writes a proxy lets pass, and what became of them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use http::{StatusCode, request::Parts};
use tokio::time::Instant;

use super::{
    trouble::Trouble,
    write::{About, Write},
};

/// Where a proxy is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// At which write, counted from 1.
    pub number: usize,
    /// On which side of it.
    pub when: When,
}

/// On which side of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The API server does not get it.
    Before,
    /// The API server answers, and who wrote does not hear of it.
    After,
}

/// What is to become of a write.
pub(super) enum Pass {
    /// It is passed on; the API server's answer is to be told of under this index.
    On(usize),
    /// It never is.
    Held,
}

/// What was written, and where to stop.
#[derive(Debug, Default)]
pub(super) struct Plan(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    stop: Option<Stop>,
    stopped: Option<Write>,
    writes: Vec<Write>,
    count: usize,
    trouble: Option<Trouble>,
    /// What is wrong with one request: a part of its query, and what is answered.
    refused_once: Option<(&'static str, StatusCode)>,
    tries: BTreeMap<String, usize>,
    /// Tells the writes of one beginning from those of the next.
    first: usize,
}

impl Plan {
    pub(super) fn begin(&self, stop: Option<Stop>) {
        let mut state = self.lock();
        let first = state.first + state.writes.len();
        *state = State { stop, first, trouble: state.trouble, refused_once: state.refused_once, ..State::default() };
    }

    pub(super) fn trouble(&self, trouble: Option<Trouble>) {
        self.lock().trouble = trouble;
    }

    pub(super) fn refuse_once(&self, part: &'static str, status: StatusCode) {
        self.lock().refused_once = Some((part, status));
    }

    /// Whether the request that was to be refused has come.
    pub(super) fn has_refused(&self) -> bool {
        self.lock().refused_once.is_none()
    }

    /// Somebody asks; how it will go wrong.
    pub(super) fn tried(&self, parts: &Parts) -> Option<Trouble> {
        let query = parts.uri.query().unwrap_or_default();
        // Those of one kind of object are told apart by what they leave out.
        let fields = query.split('&').find(|part| part.starts_with("fieldSelector=")).unwrap_or_default();
        let watches = if query.contains("watch=true") { format!("?watch&{fields}") } else { String::new() };
        let what = format!("{} {}{watches}", parts.method, parts.uri.path());
        let mut state = self.lock();
        *state.tries.entry(what).or_default() += 1;
        let refused = state.refused_once.take_if(|(part, _)| query.contains(*part));
        refused.map(|(_, status)| Trouble::Refused(status)).or(state.trouble)
    }

    /// Somebody finds no API server.
    pub(super) fn tried_in_vain(&self) {
        *self.lock().tries.entry("connect".into()).or_default() += 1;
    }

    pub(super) fn tries(&self) -> BTreeMap<String, usize> {
        self.lock().tries.clone()
    }

    pub(super) fn stopped(&self) -> Option<Write> {
        self.lock().stopped.clone()
    }

    pub(super) fn writes(&self) -> Vec<Write> {
        self.lock().writes.clone()
    }

    /// How many were passed on and are not answered.
    pub(super) fn unanswered(&self) -> usize {
        self.lock().writes.iter().filter(|write| write.passed.is_some() && write.answered.is_none()).count()
    }

    pub(super) fn arrives(&self, about: About) -> Pass {
        let mut state = self.lock();
        if about.is_counted() {
            state.count += 1;
        }
        let number = about.is_counted().then_some(state.count);
        let mut write = Write { number, about, passed: None, answered: None };
        if state.stopped.is_none() && state.stop.is_some_and(|stop| stop.is(number, When::Before)) {
            state.stopped = Some(write.clone());
        }
        let held = state.stopped.is_some();
        if !held {
            write.passed = Some(Instant::now());
        }
        state.writes.push(write);
        if held { Pass::Held } else { Pass::On(state.first + state.writes.len() - 1) }
    }

    /// The API server has answered. Whether who wrote is to hear of it.
    pub(super) fn answered(&self, index: usize, status: StatusCode) -> bool {
        let mut state = self.lock();
        let Some(index) = index.checked_sub(state.first) else { return true };
        let Some(write) = state.writes.get_mut(index) else { return true };
        write.answered = Some((status, Instant::now()));
        let write = write.clone();
        let stops = state.stop.is_some_and(|stop| stop.is(write.number, When::After));
        if stops {
            state.stopped = Some(write);
        }
        !stops
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stop {
    fn is(self, number: Option<usize>, when: When) -> bool {
        number == Some(self.number) && when == self.when
    }
}
