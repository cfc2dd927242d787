//! By which name the process was called: `apolo`, or as a plugin of kubectl.

use std::ffi::OsStr;
use std::path::Path;

use clap::Command;

/// As whom kubectl calls its plugin `apolo`, and the program that completes its command line.
///
/// Source: <https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/>
const PLUGIN: &str = "kubectl-apolo";
const COMPLETES_PLUGIN: &str = "kubectl_complete-apolo";

/// By which name the process was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// `apolo`, or any name that somebody has given it.
    Apolo,
    /// `kubectl apolo`.
    Plugin,
    /// By kubectl, to complete the command line of its plugin.
    CompletesPlugin,
}

impl Called {
    /// By the path of the program, the first argument of the process.
    #[must_use]
    pub(crate) fn by(program: Option<&OsStr>) -> Self {
        match program.map(Path::new).and_then(Path::file_stem).and_then(OsStr::to_str) {
            Some(PLUGIN) => Self::Plugin,
            Some(COMPLETES_PLUGIN) => Self::CompletesPlugin,
            _ => Self::Apolo,
        }
    }

    /// Commands in a text as they have to be typed: under kubectl, `kubectl apolo` for `apolo`.
    #[must_use]
    pub(crate) fn typed(self, text: &str, commands: &[&str]) -> String {
        if self == Self::Apolo {
            return text.to_owned();
        }
        let mut typed = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("apolo ") {
            let (before, found) = rest.split_at(at);
            let behind = found.trim_start_matches("apolo ");
            let is_word =
                !before.ends_with(|character: char| character.is_alphanumeric() || "-_/.".contains(character));
            let is_command = commands.iter().any(|command| {
                behind.strip_prefix(command).is_some_and(|rest| !rest.starts_with(|it: char| it.is_alphanumeric()))
            });
            typed.push_str(before);
            typed.push_str(if is_word && is_command && !before.ends_with("kubectl ") {
                "kubectl apolo "
            } else {
                "apolo "
            });
            rest = behind;
        }
        typed + rest
    }

    /// The command line under this name, in its examples, too.
    #[must_use]
    pub(crate) fn name(self, command: Command) -> Command {
        if self == Self::Apolo {
            return command;
        }
        let commands: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        self.examples(command.bin_name("kubectl apolo"), &commands)
    }

    fn examples(self, command: Command, commands: &[&str]) -> Command {
        let examples = command.get_after_help().map(|help| self.typed(&help.to_string(), commands));
        let command = match examples {
            Some(examples) => command.after_help(examples),
            None => command,
        };
        command.mut_subcommands(|command| self.examples(command, commands))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_a_plugin_its_commands_are_those_of_kubectl() {
        let commands = ["secret", "share"];
        for (text, typed) in [
            ("apolo secret ls", "kubectl apolo secret ls"),
            ("Its owner can run: apolo share secret:a bob", "Its owner can run: kubectl apolo share secret:a bob"),
            ("a secret of apolo here", "a secret of apolo here"),
            ("label my-apolo secret", "label my-apolo secret"),
            ("kubectl apolo secret ls", "kubectl apolo secret ls"),
            ("apolo secrets", "apolo secrets"),
        ] {
            assert_eq!(Called::Plugin.typed(text, &commands), typed);
            assert_eq!(Called::Apolo.typed(text, &commands), text);
        }
    }

    #[test]
    fn the_name_of_the_program_tells() {
        assert_eq!(Called::by(Some(OsStr::new("/usr/bin/kubectl-apolo"))), Called::Plugin);
        assert_eq!(Called::by(Some(OsStr::new("kubectl_complete-apolo"))), Called::CompletesPlugin);
        assert_eq!(Called::by(Some(OsStr::new("./apolo"))), Called::Apolo);
        assert_eq!(Called::by(None), Called::Apolo);
    }
}
