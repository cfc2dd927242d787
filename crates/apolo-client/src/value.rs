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

    /// A text of others without this value, as it is or as base64. One of less than four bytes may stand in any text by chance,
    /// and is left in it.
    pub(crate) fn left_out_of(&self, text: &str) -> String {
        const SHORTEST: usize = 4;
        if self.len() < SHORTEST {
            return text.to_owned();
        }
        let plain = str::from_utf8(self.expose()).map(str::to_owned).ok();
        let stored = serde_json::to_value(self.stored()).ok().and_then(|stored| stored.as_str().map(str::to_owned));
        let shown = plain.into_iter().chain(stored);
        shown.fold(text.to_owned(), |text, shown| text.replace(&shown, "…"))
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

    #[test]
    fn what_others_tell_of_it_is_left_out() {
        let value = SecretValue::new(b"p@ssw0rd".to_vec());
        assert_eq!(value.left_out_of("policy: p@ssw0rd is weak, as is cEBzc3cwcmQ="), "policy: … is weak, as is …");
        assert_eq!(SecretValue::new(b"a".to_vec()).left_out_of("a policy"), "a policy");
        assert_eq!(SecretValue::new(vec![0xff; 4]).left_out_of("no /////w=="), "no …");
    }
}
