//! What the words of a command line that is not finished say of the cluster.

use std::ffi::OsString;

use apolo_client::connection::Settings;

/// The flags of the connection among some words; what is wrong with the others, such as a value that is no text, does not matter.
pub(super) fn settings(words: impl IntoIterator<Item = OsString>) -> Settings {
    let mut settings = Settings::default();
    let mut words = words.into_iter().map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = words.next() {
        let (flag, value) = parts(&word);
        let mut value = || value.map(str::to_owned).or_else(|| words.next());
        match flag {
            "-n" | "--namespace" => settings.namespace = value(),
            "--context" => settings.context = value(),
            "--kubeconfig" => settings.kubeconfig = value().map(Into::into),
            "--as" => settings.user = value(),
            "--as-group" => settings.groups.extend(value()),
            _ => {}
        }
    }
    settings
}

/// A flag, and its value where that stands in the same word.
fn parts(word: &str) -> (&str, Option<&str>) {
    if let Some((flag, value)) = word.split_once('=') {
        return (flag, Some(value));
    }
    match word.strip_prefix("-n") {
        Some(value) if !value.is_empty() => ("-n", Some(value)),
        _ => (word, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn flags_are_found_wherever_they_stand() {
        let words = ["apolo", "-n", "alice", "secret", "--context=other", "rm", "--as", "bob", "a"];
        let found = settings(words.map(OsString::from));
        assert_eq!(found.namespace.as_deref(), Some("alice"));
        assert_eq!(found.context.as_deref(), Some("other"));
        assert_eq!(found.user.as_deref(), Some("bob"));
        assert!(settings(["apolo", "-n"].map(OsString::from)).namespace.is_none());
        assert_eq!(settings(["-nalice"].map(OsString::from)).namespace.as_deref(), Some("alice"));
        let no_text = OsString::from_vec(b"\xff".to_vec());
        assert_eq!(settings([no_text, "-n=bob".into()]).namespace.as_deref(), Some("bob"));
    }
}
