//! A watch that goes on: what the API server tells of a kind, begun again, with a pause that is bounded, when it breaks.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::{StreamExt, pin_mut};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{Config, Error, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// How long is waited before a watch that broke is begun again: the first time, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// What is told.
#[derive(Debug)]
pub enum News<K> {
    /// This one is there, and so.
    Put(K),
    /// This one has gone.
    Removed(K),
    /// These are there, and no others.
    All(Vec<K>),
    /// The watch broke; it is begun again.
    Broke(Error),
}

/// Watches for as long as it is polled.
pub async fn follow<K>(api: Api<K>, config: Config, mut tell: impl FnMut(News<K>))
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    // Who manages which field is most of an object, and nothing to us.
    let stream =
        watcher(api, config).backoff(Pauses(FIRST_PAUSE)).modify(|object| object.meta_mut().managed_fields = None);
    pin_mut!(stream);
    let mut all = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Apply(object)) => tell(News::Put(object)),
            Ok(Event::Delete(object)) => tell(News::Removed(object)),
            Ok(Event::Init) => all = Vec::new(),
            Ok(Event::InitApply(object)) => all.push(object),
            Ok(Event::InitDone) => tell(News::All(std::mem::take(&mut all))),
            Err(error) => tell(News::Broke(error)),
        }
    }
}

/// Pauses that double until they are long enough: kube's own grow to half a minute.
struct Pauses(Duration);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = pause.saturating_mul(2).min(LONGEST_PAUSE);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = FIRST_PAUSE;
    }
}
