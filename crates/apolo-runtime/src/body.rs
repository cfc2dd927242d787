//! Request bodies: frames in, one contiguous buffer out, within bounds that hold over all requests together.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Duration, Instant, timeout_at};

use crate::limits::Limits;
use crate::status;

/// Up to here a body draws on the quarter that is kept for small ones: large ones cannot starve them.
const SMALL: usize = 64 << 10;

/// How long a body waits for room. Short, since bodies that wait for each other must end by giving up.
const PATIENCE: Duration = Duration::from_secs(1);

/// The memory that bodies may use together. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget {
    max_body: usize,
    /// In KiB, for the first 64 KiB of each body.
    small: Arc<Semaphore>,
    /// In KiB, for the rest.
    large: Arc<Semaphore>,
}

/// A whole body, and its share of the [`Budget`] until it is dropped.
#[derive(Debug, Default)]
pub struct Whole {
    /// What the client sent.
    pub bytes: Bytes,
    _held: Held,
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It says or turns out to be too large.
    #[error("the request body is larger than {limit} bytes")]
    TooLarge {
        /// The most that is taken.
        limit: usize,
    },
    /// It was not there in time.
    #[error("the request body did not arrive in time")]
    Slow,
    /// There was no room for it.
    #[error("too many large request bodies at once; try again")]
    Busy,
    /// The connection or the stream ended within it.
    #[error("the request body broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Budget {
    /// A budget within `limits`.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let permits = |bytes: usize| Arc::new(Semaphore::new((bytes >> 10).min(Semaphore::MAX_PERMITS)));
        let small = limits.max_buffered_bytes / 4;
        Self {
            max_body: limits.max_body_bytes,
            small: permits(small.max(SMALL)),
            large: permits((limits.max_buffered_bytes - small).max(limits.max_body_bytes)),
        }
    }
}

/// Reads a body that must be there by `deadline`. A body of one frame is passed on without a copy; memory is drawn as
/// bytes really arrive, so that a promise of bytes costs nothing.
///
/// # Errors
/// See [`BodyError`]; a body whose declared length is too large is not touched.
pub async fn read<B>(mut body: B, budget: &Budget, deadline: Instant) -> Result<Whole, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared > budget.max_body {
        return Err(BodyError::TooLarge { limit: budget.max_body });
    }
    if body.is_end_stream() {
        return Ok(Whole::default());
    }
    timeout_at(deadline, frames(&mut body, declared, budget)).await.unwrap_or(Err(BodyError::Slow))
}

async fn frames<B>(body: &mut B, declared: usize, budget: &Budget) -> Result<Whole, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut held = Held::default();
    let Some(first) = data(body).await? else { return Ok(Whole::default()) };
    held.grow(first.len(), budget).await?;
    if body.is_end_stream() {
        return Ok(Whole { bytes: first, _held: held });
    }
    let Some(mut next) = data(body).await? else { return Ok(Whole { bytes: first, _held: held }) };

    let mut whole = BytesMut::with_capacity(declared.min(SMALL).max(first.len() + next.len()));
    whole.extend_from_slice(&first);
    drop(first);
    loop {
        held.grow(whole.len() + next.len(), budget).await?;
        whole.extend_from_slice(&next);
        if body.is_end_stream() {
            break;
        }
        match data(body).await? {
            Some(frame) => next = frame,
            None => break,
        }
    }
    Ok(Whole { bytes: whole.freeze(), _held: held })
}

/// The next frame with bytes.
async fn data<B>(body: &mut B) -> Result<Option<Bytes>, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    while let Some(frame) = body.frame().await {
        match frame.map_err(|error| BodyError::Broken(error.into()))?.into_data() {
            Ok(bytes) if !bytes.is_empty() => return Ok(Some(bytes)),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(None)
}

/// What one body holds of the [`Budget`].
#[derive(Debug, Default)]
struct Held {
    small: Option<OwnedSemaphorePermit>,
    large: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Draws what is missing for `total` bytes.
    async fn grow(&mut self, total: usize, budget: &Budget) -> Result<(), BodyError> {
        if total > budget.max_body {
            return Err(BodyError::TooLarge { limit: budget.max_body });
        }
        draw(&mut self.small, &budget.small, total.min(SMALL)).await?;
        draw(&mut self.large, &budget.large, total.saturating_sub(SMALL)).await
    }
}

async fn draw(held: &mut Option<OwnedSemaphorePermit>, pool: &Arc<Semaphore>, bytes: usize) -> Result<(), BodyError> {
    let missing = bytes.div_ceil(1 << 10) - held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let Ok(missing @ 1..) = u32::try_from(missing) else { return Ok(()) };
    let permit = match Arc::clone(pool).try_acquire_many_owned(missing) {
        Ok(permit) => permit,
        Err(_) => timeout_at(Instant::now() + PATIENCE, Arc::clone(pool).acquire_many_owned(missing))
            .await
            .map_err(|_| BodyError::Busy)?
            .map_err(|_| BodyError::Busy)?,
    };
    match held {
        Some(held) => held.merge(permit),
        None => *held = Some(permit),
    }
    Ok(())
}

impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        let (code, reason) = match self {
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "Timeout"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
            Self::Broken(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
        };
        let mut response = status::response(code, reason, &self.to_string());
        if code == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
