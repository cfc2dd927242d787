//! Request bodies: frames in, one contiguous buffer out, within bounds that hold over all requests together.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep_until};

use crate::status;

mod budget;
mod buffer;
mod queue;

pub use budget::Budget;

use budget::{Held, SMALL};
use buffer::Buffer;

/// A whole body, and its share of the [`Budget`] until it is dropped.
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
    budget.admits(declared)?;
    let held = Budget::nothing(Instant::now());
    if body.is_end_stream() {
        return Ok(Whole { bytes: Bytes::new(), _held: held });
    }
    let mut frames = pin!(frames(&mut body, declared, budget, held));
    // Most bodies arrive with their header.
    if let Poll::Ready(whole) = poll_fn(|context| Poll::Ready(frames.as_mut().poll(context))).await {
        return whole;
    }
    let queued = budget.queue();
    tokio::select! {
        biased;
        whole = frames => whole,
        () = queued.shed() => Err(BodyError::Slow),
        () = sleep_until(deadline) => Err(BodyError::Slow),
    }
}

async fn frames<B>(body: &mut B, declared: usize, budget: &Budget, mut held: Held) -> Result<Whole, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let first = data(body).await?.unwrap_or_default();
    budget.grow(&mut held, first.len()).await?;
    if body.is_end_stream() {
        return Ok(Whole { bytes: first, _held: held });
    }
    let Some(mut next) = data(body).await? else { return Ok(Whole { bytes: first, _held: held }) };

    let mut whole = Buffer::new(declared.min(SMALL).max(first.len() + next.len()));
    whole.append(&first)?;
    drop(first);
    loop {
        budget.grow(&mut held, whole.len() + next.len()).await?;
        whole.append(&next)?;
        if body.is_end_stream() {
            break;
        }
        match data(body).await? {
            Some(frame) => next = frame,
            None => break,
        }
    }
    Ok(Whole { bytes: whole.finish(), _held: held })
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::{Full, StreamBody};

    use super::*;
    use crate::limits::Limits;

    const KIB: usize = 1 << 10;

    fn budget() -> Budget {
        Budget::new(&Limits { max_body_bytes: KIB << 10, max_buffered_bytes: KIB << 10, ..Limits::default() })
    }

    fn frames(sizes: &[usize]) -> impl Body<Data = Bytes, Error = std::convert::Infallible> + Unpin + use<> {
        let frames: Vec<_> = sizes.iter().map(|size| Ok(http_body::Frame::data(vec![b'x'; *size].into()))).collect();
        StreamBody::new(futures_util::stream::iter(frames))
    }

    async fn length(budget: &Budget, sizes: &[usize]) -> Result<usize, BodyError> {
        let deadline = Instant::now() + Duration::from_secs(60);
        Ok(read(frames(sizes), budget, deadline).await?.bytes.len())
    }

    #[tokio::test]
    async fn does_not_copy_a_body_of_one_frame() {
        let bytes = Bytes::from(vec![b'x'; 100 * KIB]);
        let whole = read(Full::new(bytes.clone()), &budget(), Instant::now()).await.unwrap();
        assert_eq!(whole.bytes.as_ptr(), bytes.as_ptr());
    }

    #[tokio::test]
    async fn reads_frames_of_any_size_up_to_the_limit() {
        let budget = budget();
        for sizes in [&[][..], &[0], &[1], &[0, 1, 0], &[1, 2, 3], &[64 * KIB, 1], &[1000 * KIB, 24 * KIB]] {
            assert_eq!(length(&budget, sizes).await.unwrap(), sizes.iter().sum::<usize>(), "{sizes:?}");
        }
        for sizes in [&[KIB * KIB + 1][..], &[KIB * KIB, 1]] {
            assert!(matches!(length(&budget, sizes).await, Err(BodyError::TooLarge { limit: 0x10_0000 })), "{sizes:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn has_no_room_for_a_large_one_while_others_hold_it_but_for_a_small_one() {
        let budget = budget();
        let held = read(frames(&[900 * KIB]), &budget, Instant::now()).await.unwrap();
        assert!(matches!(length(&budget, &[500 * KIB]).await, Err(BodyError::Busy)));
        assert_eq!(length(&budget, &[64 * KIB]).await.unwrap(), 64 * KIB);
        drop(held);
        assert_eq!(length(&budget, &[500 * KIB]).await.unwrap(), 500 * KIB);
    }
}
