//! The buffer in which a body of several frames is put together.

use bytes::{Bytes, BytesMut};

use super::BodyError;

/// Above this a body has memory of its own from the system, which gets it back with the body. glibc does so too, by
/// itself, but only until the first such piece is given back: from then on it keeps ever larger ones in its heap, up to
/// 32 MiB, and large bodies that come and go leave it full of holes, twice as large as what is in it.
const LARGE: usize = 128 << 10;

/// What is asked of the system then: more than glibc ever keeps. Memory that is not written to costs nothing.
const RESERVED: usize = 33 << 20;

/// The bytes of a body so far.
pub(super) enum Buffer {
    Small(BytesMut),
    Large(Vec<u8>),
}

impl Buffer {
    /// An empty one, for a body that is probably as long as `expected`.
    pub(super) fn new(expected: usize) -> Self {
        Self::Small(BytesMut::with_capacity(expected.min(LARGE)))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Small(bytes) => bytes.len(),
            Self::Large(bytes) => bytes.len(),
        }
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// [`BodyError::Busy`] where there is no memory.
    pub(super) fn append(&mut self, frame: &[u8]) -> Result<(), BodyError> {
        let total = self.len() + frame.len();
        if let Self::Small(bytes) = self
            && total > LARGE
        {
            let mut large = Vec::new();
            large.try_reserve_exact(total.max(RESERVED)).map_err(|_| BodyError::Busy)?;
            large.extend_from_slice(bytes);
            *self = Self::Large(large);
        }
        match self {
            Self::Small(bytes) => bytes.extend_from_slice(frame),
            Self::Large(bytes) => {
                bytes.try_reserve(frame.len()).map_err(|_| BodyError::Busy)?;
                bytes.extend_from_slice(frame);
            }
        }
        Ok(())
    }

    /// All of them.
    pub(super) fn finish(self) -> Bytes {
        match self {
            Self::Small(bytes) => bytes.freeze(),
            Self::Large(bytes) => Bytes::from(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_bodies_of_any_size_together() {
        for frames in [0, 1, 7, 8, 9, 100] {
            let mut buffer = Buffer::new(0);
            let frame = |number: u8| [number; 16 << 10];
            (0..frames).for_each(|number| buffer.append(&frame(number)).unwrap());
            let expected: Vec<u8> = (0..frames).flat_map(frame).collect();
            assert_eq!(buffer.len(), expected.len());
            assert!(buffer.finish() == expected, "{frames}");
        }
    }
}
