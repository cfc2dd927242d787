//! The value of a secret, on its way between a person and the API server.

use std::fmt;

use k8s_openapi::ByteString;
use secrecy::{ExposeSecret, SecretSlice};

/// The value of a secret: any bytes. It is wiped from memory when it is no longer needed, and no text shows it.
#[derive(Clone)]
pub struct SecretValue(SecretSlice<u8>);

impl SecretValue {
    /// Takes bytes as they are.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.expose().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// As it stands in a Secret.
    pub(crate) fn stored(&self) -> ByteString {
        ByteString(self.expose().to_vec())
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretValue({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_shows_it() {
        assert_eq!(format!("{:?}", SecretValue::new(b"p@ssw0rd".to_vec())), "SecretValue(8 bytes)");
    }
}
