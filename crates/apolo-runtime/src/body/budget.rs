//! The memory that request bodies may use together.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::BodyError;
use super::queue::{Queue, Queued};
use crate::limits::Limits;

/// Up to here a body draws on the quarter that is kept for small ones: large ones cannot starve them.
pub(super) const SMALL: usize = 64 << 10;

/// How often, and after how long each time, a body that finds no room asks for that of a slow one. Not for long, since
/// bodies that wait for each other must end by giving up.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// The memory that bodies may use together. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget {
    max_body: usize,
    /// In KiB, for the first 64 KiB of each body.
    small: Arc<Semaphore>,
    /// In KiB, for the rest.
    large: Arc<Semaphore>,
    queue: Arc<Queue>,
}

/// What one body holds of the [`Budget`].
#[derive(Debug)]
pub(super) struct Held {
    begun: Instant,
    small: Option<OwnedSemaphorePermit>,
    large: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// A budget within `limits`: of its size, or what one body needs if that is more.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let permits = |bytes: usize| Arc::new(Semaphore::new((bytes >> 10).min(Semaphore::MAX_PERMITS)));
        let small = limits.max_buffered_bytes / 4;
        Self {
            max_body: limits.max_body_bytes,
            small: permits(small.max(SMALL)),
            large: permits((limits.max_buffered_bytes - small).max(limits.max_body_bytes.next_multiple_of(1 << 10))),
            queue: Arc::new(Queue::new(limits.max_queued_requests())),
        }
    }

    /// Whether a body may have `bytes` at all.
    pub(super) fn admits(&self, bytes: usize) -> Result<(), BodyError> {
        if bytes > self.max_body { Err(BodyError::TooLarge { limit: self.max_body }) } else { Ok(()) }
    }

    /// What a body has that begins now.
    pub(super) fn nothing(begun: Instant) -> Held {
        Held { begun, small: None, large: None }
    }

    /// Puts a body that is not there yet in the queue.
    pub(super) fn queue(&self) -> Queued<'_> {
        self.queue.enter(Instant::now())
    }

    /// Draws what is missing for a body of `total` bytes.
    pub(super) async fn grow(&self, held: &mut Held, total: usize) -> Result<(), BodyError> {
        self.admits(total)?;
        self.draw(held.begun, &mut held.small, &self.small, total.min(SMALL)).await?;
        self.draw(held.begun, &mut held.large, &self.large, total.saturating_sub(SMALL)).await
    }

    async fn draw(
        &self,
        begun: Instant,
        held: &mut Option<OwnedSemaphorePermit>,
        pool: &Arc<Semaphore>,
        bytes: usize,
    ) -> Result<(), BodyError> {
        let missing = bytes.div_ceil(1 << 10) - held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Ok(missing @ 1..) = u32::try_from(missing) else { return Ok(()) };
        let permit = match Arc::clone(pool).try_acquire_many_owned(missing) {
            Ok(permit) => permit,
            Err(_) => self.wait(begun, pool, missing).await?,
        };
        match held {
            Some(held) => held.merge(permit),
            None => *held = Some(permit),
        }
        Ok(())
    }

    async fn wait(
        &self,
        begun: Instant,
        pool: &Arc<Semaphore>,
        missing: u32,
    ) -> Result<OwnedSemaphorePermit, BodyError> {
        let mut acquire = pin!(Arc::clone(pool).acquire_many_owned(missing));
        for _ in 0..ATTEMPTS {
            self.queue.shed_slow(begun, Instant::now());
            if let Ok(acquired) = timeout(PAUSE, acquire.as_mut()).await {
                return acquired.map_err(|_| BodyError::Busy);
            }
        }
        Err(BodyError::Busy)
    }
}
