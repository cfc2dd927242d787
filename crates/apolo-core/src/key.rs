//! Keys and entries, and the names of the Kubernetes Secrets that hold them.

use std::borrow::Cow;
use std::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::names::DELIVERY_PREFIX;

/// The longest key, entry and object name: what Kubernetes takes as a name and as a data key.
const LONGEST: usize = 253;
/// How much of a key goes into the name of its object where the key is no name itself.
const LONGEST_STEM: usize = 200;
/// How many hex digits of SHA-256(KEY) follow it.
const SUFFIX: usize = 16;

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, strum::VariantNames, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum KeyError {
    /// It is not `[A-Za-z0-9_.-]{1,253}`, is `.`, or begins with `..`.
    #[error(r#"a key is 1 to 253 of A-Z, a-z, 0-9, "_", "." and "-", is not "." and does not begin with "..""#)]
    BadKey,
    /// Its object's name would be that of a delivery.
    #[error(
        r#"a key whose name begins with "apolo-shared-" is reserved for copies of shared secrets; choose another key"#
    )]
    ReservedKey,
}

/// The user's name of a secret: `[A-Za-z0-9_.-]{1,253}`, not `.`, not beginning with `..`, and none whose object would
/// be named like a delivery.
///
/// It is also what Kubernetes takes as a key of a Secret's data
/// (<https://kubernetes.io/docs/concepts/configuration/secret/#restriction-names-data>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key<'a>(&'a str);

impl<'a> Key<'a> {
    /// Stands where a key would, had it not been a mistake.
    pub(crate) const PLACEHOLDER: Self = Self("KEY");

    /// Takes a key as it was written.
    ///
    /// # Errors
    /// Where the text is no key, or one that is reserved.
    pub fn parse(text: &'a str) -> Result<Self, KeyError> {
        if !is_data_key(text) {
            return Err(KeyError::BadKey);
        }
        let key = Self(text);
        // Only a key with these letters at its beginning can have such a name, in whatever case and punctuation.
        let reserved = text.len() > "apoloshared".len() && key.object_name().starts_with(DELIVERY_PREFIX);
        if reserved { Err(KeyError::ReservedKey) } else { Ok(key) }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The name of the Secret that holds this key: the key itself where it can be one, else its letters in lower case
    /// and 16 hex digits of its SHA-256.
    #[must_use]
    pub fn object_name(self) -> Cow<'a, str> {
        object_name(self.0)
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// The name of an object that is made for a text: the text itself where it can be one, else its letters in lower case and 16 hex
/// digits of its SHA-256. Two texts have two names.
#[must_use]
pub fn object_name(text: &str) -> Cow<'_, str> {
    if is_dns_subdomain(text) && !ends_in_suffix(text) {
        return Cow::Borrowed(text);
    }
    let stem = stem(text);
    let digest = hex_digest(text.as_bytes(), SUFFIX);
    Cow::Owned(if stem.is_empty() { format!("key-{digest}") } else { format!("{stem}-{digest}") })
}

/// Whether Kubernetes takes a text as a key of a Secret's data: `[-._a-zA-Z0-9]{1,253}`, not `.`, not beginning with
/// `..`.
#[must_use]
pub fn is_data_key(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text != "."
        && !text.starts_with("..")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// Whether a text is a DNS-1123 label: 1 to 63 of `a-z0-9-`, beginning and ending with a letter or digit.
///
/// Source: <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names>
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_subdomain_part(text)
}

/// Whether a text is a DNS-1123 subdomain: labels of any length joined by `.`, 253 characters in all.
///
/// Source: <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names>
#[must_use]
pub fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= LONGEST && text.split('.').all(is_subdomain_part)
}

/// The first `digits` hex digits, in lower case, of the SHA-256 of some bytes.
#[must_use]
pub fn hex_digest(bytes: &[u8], digits: usize) -> String {
    let digest = Sha256::digest(bytes);
    let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    nibbles.take(digits).filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
}

fn is_subdomain_part(part: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = part.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

/// Whether a text ends in `-` and 16 hex digits, as the object's name of a key does that cannot be a name itself.
pub(crate) fn ends_in_suffix(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(_, end)| {
        end.len() == SUFFIX && end.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn stem(key: &str) -> String {
    let mut stem = String::with_capacity(key.len());
    for character in key.chars().map(|character| character.to_ascii_lowercase()) {
        if character.is_ascii_alphanumeric() {
            stem.push(character);
        } else if !stem.ends_with('-') {
            stem.push('-');
        }
    }
    let trimmed = stem.trim_matches('-');
    let cut = trimmed.get(..LONGEST_STEM).unwrap_or(trimmed);
    cut.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(key: &str) -> String {
        Key::parse(key).unwrap().object_name().into_owned()
    }

    #[test]
    fn an_object_bears_its_key_where_the_key_can_be_a_name() {
        for key in ["secret-password", "a", "a.b-c.0", "tls.crt", &"x".repeat(253)] {
            assert_eq!(name(key), key);
        }
    }

    #[test]
    fn any_other_key_makes_a_name_of_its_letters_and_its_digest() {
        assert_eq!(name("AWS_KEY"), format!("aws-key-{}", hex_digest(b"AWS_KEY", 16)));
        assert_eq!(name("AWS_KEY"), "aws-key-4cea0ddbcf43f8cf");
        assert_eq!(name("_"), format!("key-{}", hex_digest(b"_", 16)));
        assert_eq!(name(".a"), format!("a-{}", hex_digest(b".a", 16)));
        let long = format!("{}_{}", "x".repeat(199), "y".repeat(53));
        assert_eq!(name(&long), format!("{}-{}", "x".repeat(199), hex_digest(long.as_bytes(), 16)));
    }

    #[test]
    fn a_key_that_looks_like_such_a_name_gets_another() {
        let looks = name("AWS_KEY");
        assert_ne!(name(&looks), looks);
        assert_eq!(name("a-0123456789abcde"), "a-0123456789abcde");
    }

    #[test]
    fn refuses_what_is_no_key() {
        for bad in ["", ".", "..", "..a", "a b", "a/b", "a:b", "a#b", "ä", "a\n", &"x".repeat(254)] {
            assert_eq!(Key::parse(bad), Err(KeyError::BadKey), "{bad:?}");
        }
    }

    #[test]
    fn refuses_a_key_whose_object_would_be_named_like_a_delivery() {
        for bad in ["apolo-shared-x", "Apolo_Shared_X", "__apolo.shared.x", "apolo-shared-_"] {
            assert_eq!(Key::parse(bad), Err(KeyError::ReservedKey), "{bad:?}");
        }
        for good in ["apolo-shared", "apolo.shared.x", "my-apolo-shared-x"] {
            assert!(Key::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_text_that_is_no_key_has_a_name_as_well() {
        assert_eq!(object_name("aws-key-bob"), "aws-key-bob");
        let text = "aws-key-group:ml-team";
        assert_eq!(object_name(text), format!("aws-key-group-ml-team-{}", hex_digest(text.as_bytes(), 16)));
        assert_eq!(object_name("zoë"), format!("zo-{}", hex_digest("zoë".as_bytes(), 16)));
        assert_eq!(object_name(&"é".repeat(512)), format!("key-{}", hex_digest("é".repeat(512).as_bytes(), 16)));
    }

    proptest! {
        #[test]
        fn the_name_of_a_text_is_valid_and_its_own(one in "\\PC{0,300}|[a-b._:/-]{1,4}", two in "\\PC{0,9}|[a-b._:/-]{1,4}") {
            prop_assert!(is_dns_subdomain(&object_name(&one)), "{}", object_name(&one));
            prop_assert_eq!(one == two, object_name(&one) == object_name(&two));
        }

        #[test]
        fn object_names_are_valid_and_free_of_collisions(
            one in "[A-Za-z0-9_.-]{1,253}|[a-b._-]{1,4}",
            two in "[A-Za-z0-9_.-]{1,253}|[a-b._-]{1,4}",
        ) {
            let (Ok(one), Ok(two)) = (Key::parse(&one), Key::parse(&two)) else { return Ok(()) };
            prop_assert!(is_dns_subdomain(&one.object_name()), "{}", one.object_name());
            prop_assert_eq!(one == two, one.object_name() == two.object_name());
            // The object of a key, taken for a key, never has the same object unless it is the same key.
            let name = two.object_name();
            if let Ok(again) = Key::parse(&name) && again != two {
                prop_assert_ne!(again.object_name(), two.object_name());
            }
        }
    }
}
