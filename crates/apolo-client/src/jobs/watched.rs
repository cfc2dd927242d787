//! Objects as they are and become: by a watch, which is begun again where it ends; or, where that is not allowed, by looking again and
//! again.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use k8s_openapi::serde::de::DeserializeOwned;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Config, Event};
use kube::{Api, Resource};

use crate::request::Why;

/// How often somebody looks who may not watch.
const EACH: Duration = Duration::from_secs(1);
/// The code of what was asked of too long ago.
const GONE: u16 = 410;

/// What has become of some objects.
#[derive(Debug)]
pub(super) enum Change<K> {
    /// These are all.
    All(Vec<K>),
    /// This one is there, as it is.
    There(K),
    /// This one is not there any more.
    Gone(K),
}

/// What happens to objects. It goes on after an error, but for one: that who asks may not watch them is the last thing told.
pub(super) fn watched<K>(api: Api<K>, config: Config) -> BoxStream<'static, Result<Change<K>, Why>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let events = watcher::watcher(api, config).default_backoff();
    let changes = events.scan(Vec::new(), |listed, event| std::future::ready(Some(change(event, listed))));
    until_forbidden(changes.filter_map(std::future::ready)).boxed()
}

/// An error that only says that a watch has to be begun again is none.
fn change<K>(event: watcher::Result<Event<K>>, listed: &mut Vec<K>) -> Option<Result<Change<K>, Why>> {
    match event {
        Ok(Event::Init) => listed.clear(),
        Ok(Event::InitApply(object)) => listed.push(object),
        Ok(Event::InitDone) => return Some(Ok(Change::All(std::mem::take(listed)))),
        Ok(Event::Apply(object)) => return Some(Ok(Change::There(object))),
        Ok(Event::Delete(object)) => return Some(Ok(Change::Gone(object))),
        Err(error) => return why(error).map(Err),
    }
    None
}

fn why(error: watcher::Error) -> Option<Why> {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => Some(Why::of(&error)),
        // A stream that breaks is begun again at once: if that fails, it is told.
        watcher::Error::WatchFailed(_) => None,
        watcher::Error::WatchError(status) if status.code == GONE => None,
        watcher::Error::WatchError(status) => Some(Why::of(&kube::Error::Api(status))),
        watcher::Error::NoResourceVersion => None,
    }
}

fn until_forbidden<K>(changes: impl Stream<Item = Result<K, Why>>) -> impl Stream<Item = Result<K, Why>> {
    changes.scan(false, |is_over, change| {
        let next = (!*is_over).then_some(());
        *is_over = matches!(change, Err(Why::NotAllowed(_)));
        std::future::ready(next.map(|()| change))
    })
}

/// One object, looked at each second. Of an object that is not there, that there is none.
pub(super) fn looked_at<K>(api: Api<K>, name: String) -> BoxStream<'static, Result<Change<K>, Why>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let looks = stream::unfold(true, move |is_first| {
        let (api, name) = (api.clone(), name.clone());
        async move {
            if !is_first {
                tokio::time::sleep(EACH).await;
            }
            let found = api.get_opt(&name).await;
            let change = found.map(|object| Change::All(object.into_iter().collect())).map_err(|error| Why::of(&error));
            Some((change, false))
        }
    });
    until_forbidden(looks).boxed()
}
