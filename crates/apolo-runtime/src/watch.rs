//! A watch that goes on: what the API server tells of a kind, begun again, with a pause that is bounded, when it breaks.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::{StreamExt, pin_mut};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{Config, Error, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

/// How long is waited before a watch that broke is begun again: the first time, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// What is told of a kind `K`: of those that are there what is kept, a `T`.
#[derive(Debug)]
pub enum News<K, T> {
    /// This one is there, and so.
    Put(T),
    /// This one has gone.
    Removed(K),
    /// These are there, and no others.
    All(Vec<T>),
    /// The watch broke; it is begun again.
    Broke(Error),
}

/// Watches for as long as it is polled. Of each object, one after another, only what `keep` makes of it stays in memory; one of
/// which nothing is kept is not told.
pub async fn follow<K, T>(api: Api<K>, config: Config, keep: impl Fn(K) -> Option<T>, mut tell: impl FnMut(News<K, T>))
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let stream = watcher(api, config).backoff(Pauses::default());
    pin_mut!(stream);
    let mut all = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Apply(object)) => {
                if let Some(kept) = keep(object) {
                    tell(News::Put(kept));
                }
            }
            Ok(Event::Delete(object)) => tell(News::Removed(object)),
            Ok(Event::Init) => all = Vec::new(),
            // At once, for an object is many times larger than what is kept of it.
            Ok(Event::InitApply(object)) => all.extend(keep(object)),
            Ok(Event::InitDone) => tell(News::All(std::mem::take(&mut all))),
            Err(error) => tell(News::Broke(error)),
        }
    }
}

/// Pauses that double until they are long enough, and begin anew for a watch that has lasted: kube's own grow to half a minute.
#[derive(Default)]
struct Pauses {
    next: Duration,
    /// When the last one ended, or will.
    ended: Option<Instant>,
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let lasted = self.ended.is_none_or(|ended| ended.elapsed() > LONGEST_PAUSE);
        let pause = if lasted { FIRST_PAUSE } else { self.next };
        self.next = pause.saturating_mul(2).min(LONGEST_PAUSE);
        self.ended = Some(Instant::now() + pause);
        Some(pause)
    }
}

impl Backoff for Pauses {
    // Asked for whenever a watch says anything, also that it begins, which it says each time before it fails to list what there is.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use kube::runtime::utils::StreamBackoff;

    /// Such a watch says each time that it begins, and then that it failed.
    #[tokio::test(start_paused = true)]
    async fn a_watch_that_does_not_come_to_list_what_there_is_tries_less_and_less_often() {
        let failing = stream::iter((0..).map(|step| if step % 2 == 0 { Ok("begins") } else { Err("fails") }));
        let mut watch = Box::pin(StreamBackoff::new(failing, Pauses::default()));
        let began = Instant::now();
        let mut failures = 0;
        while began.elapsed() < Duration::from_secs(60) {
            failures += usize::from(watch.next().await.is_some_and(|step| step.is_err()));
        }
        assert!((16..=25).contains(&failures), "{failures} times in a minute");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_lasted_is_begun_again_at_once() {
        let mut pauses = Pauses::default();
        let first = pauses.next();
        assert!(pauses.next() > first);
        tokio::time::advance(LONGEST_PAUSE * 2).await;
        assert_eq!(pauses.next(), first);
    }
}
