//! SUBJECT, as it is typed.

use apolo_client::grants::{Subject, SubjectError};

use crate::exit::Failure;

/// What its argument says in the help.
pub(super) const HELP: &str =
    "With whom: bob or user:bob, group:ml-team, serviceaccount:jobs/trainer, namespace:nightly";

/// Takes a subject.
///
/// # Errors
/// Where the text is none, or nothing can be granted to whom it names.
pub(super) fn parse(text: &str) -> Result<Subject, Failure> {
    Subject::parse(text).map_err(|error| {
        let failure = Failure::usage(format!("{text:?} is nobody to share with: {error}"));
        match meant(text, error) {
            Some(meant) => failure.hint(meant),
            None => failure,
        }
    })
}

/// What may have been meant.
fn meant(text: &str, error: SubjectError) -> Option<String> {
    match error {
        SubjectError::UnknownKind if text.starts_with("secret:") => {
            Some("the secret comes first: apolo share secret:KEY SUBJECT".to_owned())
        }
        SubjectError::UnknownKind if text.starts_with("sa:") => {
            Some(format!("write {}", text.replacen("sa", "serviceaccount", 1)))
        }
        SubjectError::UnknownKind => Some(format!("for the user of that name write user:{text}")),
        SubjectError::NoNamespace => {
            Some(format!("write serviceaccount:NAMESPACE/{}", text.strip_prefix("serviceaccount:")?))
        }
        SubjectError::AccountAsUser => {
            let user = text.strip_prefix("user:").unwrap_or(text);
            Some(format!("write {}", Subject::of_user_name(user)))
        }
        SubjectError::NamespaceAsGroup => Some(format!("write namespace:{}", text.rsplit(':').next()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_told() {
        for (text, hint) in [
            ("oidc:bob", "for the user of that name write user:oidc:bob"),
            ("sa:jobs/trainer", "write serviceaccount:jobs/trainer"),
            ("secret:aws-key", "the secret comes first: apolo share secret:KEY SUBJECT"),
            ("serviceaccount:trainer", "write serviceaccount:NAMESPACE/trainer"),
            ("user:system:serviceaccount:jobs:trainer", "write serviceaccount:jobs/trainer"),
            ("group:system:serviceaccounts:jobs", "write namespace:jobs"),
        ] {
            let error = Subject::parse(text).unwrap_err();
            assert_eq!(meant(text, error).as_deref(), Some(hint), "{text}");
        }
        assert!(parse("bob").is_ok() && parse("").is_err());
    }
}
