//! What cannot be known in time: in doubt the answer is no, in words.

use std::time::Duration;

use apolo_runtime::review::ReviewError;
use apolo_runtime::telemetry::log::chain;
use thiserror::Error;
use tokio::time::timeout;

use crate::admission::Verdict;

/// How long an answer may take: less than the API server waits for it by the chart's default, so that the refusal says why.
const DEADLINE: Duration = Duration::from_secs(4);

/// Why it is not known.
#[derive(Debug, Error)]
pub(crate) enum Unknown {
    /// The API server was asked in vain.
    #[error(transparent)]
    Review(#[from] ReviewError),
    /// What there is has not been told yet.
    #[error("the API server has not told all grants yet")]
    Untold,
    /// It took too long.
    #[error("the API server did not answer within {} s", DEADLINE.as_secs())]
    Late,
}

/// Decides until the deadline. `what` begins the sentence: `whether …`.
pub(crate) async fn in_time(what: &str, decision: impl Future<Output = Result<Verdict, Unknown>>) -> Verdict {
    let decided = timeout(DEADLINE, decision).await.unwrap_or(Err(Unknown::Late));
    decided.unwrap_or_else(|error| {
        Verdict::Unknown(format!("whether {what} cannot be known now: {}; try again", chain(&error)))
    })
}
