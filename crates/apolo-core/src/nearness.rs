//! What somebody may have meant who misspelt a name.

/// The longest name that is compared, in bytes.
const LONGEST: usize = 80;

/// The name that a misspelt one is nearest to, if it is near: one letter in three may be wrong. Of several the first.
///
/// Errors are those of typing: a letter too many, too few or wrong, or two that have changed places.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .filter(|known| may_be_near(name, known))
        .map(|known| (strsim::osa_distance(known, name), known))
        .filter(|(errors, known)| is_near(*errors, known))
        .min_by_key(|(errors, _)| *errors)
        .map(|(_, known)| known)
}

/// Whether two names are alike enough in length to be near. This costs nothing, and most are not.
#[must_use]
pub fn may_be_near(name: &str, known: &str) -> bool {
    let errors = || name.chars().count().abs_diff(known.chars().count());
    name.len() <= LONGEST && is_near(errors(), known)
}

fn is_near(errors: usize, known: &str) -> bool {
    errors * 3 <= known.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_letter_in_three_may_be_wrong() {
        let known = ["aws-key", "db", "wandb-token"];
        for (name, meant) in [
            ("aws-kye", Some("aws-key")),
            ("aws_key", Some("aws-key")),
            ("awx-kye", Some("aws-key")),
            ("awx-kxx", None),
            ("wandb", None),
            ("wandbtokn", Some("wandb-token")),
            ("dc", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name:?}");
        }
        assert_eq!(nearest("aab", ["aaa", "aab", "aac"]), Some("aab"));
        assert_eq!(nearest("aad", ["aaa", "aab", "aac"]), Some("aaa"));
        assert_eq!(nearest(&"x".repeat(81), [&*"x".repeat(80)]), None);
    }

    proptest! {
        #[test]
        fn whatever_is_near_may_be_near_by_its_length(name in "[a-c]{0,12}|\\PC{0,6}", known in "[a-c]{0,12}|\\PC{0,6}") {
            if is_near(strsim::osa_distance(&known, &name), &known) {
                prop_assert!(may_be_near(&name, &known));
            }
        }
    }
}
