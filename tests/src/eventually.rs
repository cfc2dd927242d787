//! Waiting, always with a deadline: the one place in the tests where something is asked again and again.

use std::{
    fmt::{Debug, Display},
    sync::Mutex,
    time::Duration,
};

use kube::{Api, Resource, runtime::wait::await_condition};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, sleep, timeout};

/// How long things may take that take no time on a machine that is not overloaded.
pub const DEADLINE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(50);

/// What was waited for did not come.
#[derive(Debug, thiserror::Error)]
#[error("{what}: not within {} s; last seen: {seen}", .deadline.as_secs())]
pub struct NotYet {
    /// What was waited for.
    pub what: String,
    /// For how long.
    pub deadline: Duration,
    /// What was there instead when the time was up.
    pub seen: String,
}

/// Asks `condition` until it answers `Ok`, for [`DEADLINE`] at most. Its `Err` says what it saw instead.
///
/// Where the thing waited for is one object's state, [`reached`] hears of it sooner.
///
/// # Errors
/// When the deadline has passed.
pub async fn eventually<T, E: Display>(what: &str, condition: impl AsyncFnMut() -> Result<T, E>) -> Result<T, NotYet> {
    within(DEADLINE, what, condition).await
}

/// As [`eventually`], with a deadline of one's own.
///
/// # Errors
/// When the deadline has passed.
pub async fn within<T, E: Display>(
    deadline: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, NotYet> {
    let end = Instant::now() + deadline;
    let mut seen = String::from("no answer");
    while let Ok(answer) = timeout(end.saturating_duration_since(Instant::now()), condition()).await {
        match answer {
            Ok(reached) => return Ok(reached),
            Err(instead) => seen = instead.to_string(),
        }
        // What answers at once is never too late for a timeout.
        if Instant::now() >= end {
            break;
        }
        sleep(PAUSE).await;
    }
    Err(NotYet { what: what.into(), deadline, seen })
}

/// Watches the object `name` until `condition` holds of it (of `None` while it is not there), for [`DEADLINE`] at
/// most.
///
/// # Errors
/// When the deadline has passed, or the object cannot be watched.
pub async fn reached<K>(
    api: Api<K>,
    name: &str,
    what: &str,
    condition: impl Fn(Option<&K>) -> bool,
) -> Result<Option<K>, NotYet>
where
    K: Resource + Clone + Debug + Send + Serialize + DeserializeOwned + 'static,
{
    let seen = Mutex::new(String::from("no answer"));
    let note = |object: Option<&K>| {
        let holds = condition(object);
        if let Ok(mut seen) = seen.lock() {
            *seen = object.map_or_else(|| format!("no {name}"), describe);
        }
        holds
    };
    let not_yet = |seen| NotYet { what: what.into(), deadline: DEADLINE, seen };
    match timeout(DEADLINE, await_condition(api, name, note)).await {
        Ok(Ok(object)) => Ok(object),
        Ok(Err(error)) => Err(not_yet(error.to_string())),
        Err(_) => Err(not_yet(seen.lock().map(|seen| seen.clone()).unwrap_or_default())),
    }
}

/// An object's status, which holds no value even if the object is a Secret.
fn describe<K: Resource + Serialize>(object: &K) -> String {
    let version = object.meta().resource_version.as_deref().unwrap_or("none");
    let whole = serde_json::to_value(object).unwrap_or_default();
    format!("resourceVersion {version}, status {}", whole.get("status").unwrap_or(&serde_json::Value::Null))
}
