//! What the words of a command line that is not finished say of the cluster.

use apolo_client::connection::Settings;

/// The flags of the connection among some words; what is wrong with the others does not matter.
pub(super) fn settings(words: impl IntoIterator<Item = String>) -> Settings {
    let mut settings = Settings::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        let mut value = || value.clone().or_else(|| words.next());
        match flag.as_str() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_wherever_they_stand() {
        let words = ["apolo", "-n", "alice", "secret", "--context=other", "rm", "--as", "bob", "a"];
        let found = settings(words.map(str::to_owned));
        assert_eq!(found.namespace.as_deref(), Some("alice"));
        assert_eq!(found.context.as_deref(), Some("other"));
        assert_eq!(found.user.as_deref(), Some("bob"));
        assert!(settings(["apolo", "-n"].map(str::to_owned)).namespace.is_none());
    }
}
