//! Deliveries: the copy of a shared secret in the namespace of a Pod that uses it.

use crate::key::hex_digest;
use crate::names::DELIVERY_PREFIX;

/// The name of the copy of one entry of an owner's Secret: `apolo-shared-` and the first 32 hex digits of
/// SHA-256(`OWNER/OBJECT/ENTRY`).
///
/// None of the three holds a `/`, so different entries have different names.
#[must_use]
pub fn name(owner: &str, object: &str, entry: &str) -> String {
    format!("{DELIVERY_PREFIX}{}", hex_digest(format!("{owner}/{object}/{entry}").as_bytes(), 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_named_by_what_it_is_a_copy_of() {
        // echo -n alice/db/password | sha256sum
        assert_eq!(name("alice", "db", "password"), "apolo-shared-3b62dbe51a8547de3c5687bc7785458d");
    }
}
