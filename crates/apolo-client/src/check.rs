//! Whether what is installed works: what can be seen of it by who asks, and a Pod that is asked for in a dry run.

mod api_server;
mod hooks;
mod pod;
mod running;

use std::fmt;

use futures_util::future::join_all;
use futures_util::future::{BoxFuture, FutureExt};
use k8s_openapi::serde::de::DeserializeOwned;
use kube::api::ListParams;
use kube::{Api, Resource};

use crate::connection::Connection;
use crate::request::Why;

/// What all objects of an installation bear.
const OURS: &str = "app.kubernetes.io/name=apolo-secrets";

/// Something that was looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, in words.
    pub told: String,
    /// What mends it.
    pub mend: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Well,
    /// Who asks may not see it.
    Unseen,
    /// Something may not be as it was meant.
    Doubtful,
    /// It does not work.
    Wrong,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Well => "ok",
            Self::Unseen => "not seen",
            Self::Doubtful => "look",
            Self::Wrong => "wrong",
        })
    }
}

/// A line, and another with what mends it.
impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:<8}  {}: {}", self.verdict, self.what, self.told)?;
        self.mend.iter().try_for_each(|mend| write!(formatter, "\n{:10}{mend}", ""))
    }
}

/// Whether nothing is wrong, as far as it was seen.
#[must_use]
pub fn is_well(found: &[Finding]) -> bool {
    found.iter().all(|finding| finding.verdict != Verdict::Wrong)
}

impl Finding {
    fn well(what: &'static str, told: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Well, told: told.into(), mend: None }
    }

    fn unseen(what: &'static str, told: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Unseen, told: told.into(), mend: None }
    }

    fn doubtful(what: &'static str, told: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Doubtful, told: told.into(), mend: Some(mend.into()) }
    }

    fn wrong(what: &'static str, told: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Wrong, told: told.into(), mend: Some(mend.into()) }
    }

    /// What could not be read: not seen where who asks may not, else wrong.
    fn unread(what: &'static str, error: &kube::Error) -> Self {
        match Why::of(error) {
            Why::NotAllowed(_) => Self::unseen(what, "you may not see it"),
            why => Self { what, verdict: Verdict::Wrong, told: why.to_string(), mend: None },
        }
    }
}

/// Looks at a cluster in which nothing of ours is yet: whether it could be installed, by who asks.
pub async fn before(connection: &Connection) -> Vec<Finding> {
    in_turn([api_server::version(connection).boxed(), api_server::may_install(connection).boxed()]).await
}

/// Looks at what is installed, and whether a Pod in the namespace of the connection gets its secret.
pub async fn installed(connection: &Connection) -> Vec<Finding> {
    let mut found = in_turn([api_server::version(connection).boxed(), api_server::kinds(connection).boxed()]).await;
    if is_well(&found) {
        let rest = [
            hooks::mutating(connection).boxed(),
            hooks::validating(connection).boxed(),
            hooks::policies(connection).boxed(),
            running::deployments(connection).boxed(),
            running::leader(connection).boxed(),
            pod::is_rewritten(connection).boxed(),
        ];
        found.extend(in_turn(rest).await);
    }
    found
}

/// All at once, in the order in which they are told.
async fn in_turn<const N: usize>(looks: [BoxFuture<'_, Finding>; N]) -> Vec<Finding> {
    join_all(looks).await
}

/// All objects of a kind that are of an installation.
async fn ours<K>(connection: &Connection) -> Result<Vec<K>, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug,
{
    let all: Api<K> = Api::all(connection.client.clone());
    Ok(all.list(&ListParams::default().labels(OURS)).await?.items)
}
