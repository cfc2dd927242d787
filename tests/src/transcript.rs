//! What people saw who typed commands one after another, kept as a snapshot: each command behind `$`, then what it printed; what it
//! told on standard error behind `! `; at last its exit code, if that is not 0.

use std::{fmt::Write, io, path::Path};

use crate::{
    command::{self, Finished},
    person::Person,
    snapshot,
    terminal::Seen,
};

/// Commands and what they showed, names that differ from run to run replaced.
#[derive(Debug, Default)]
pub struct Transcript {
    text: String,
    names: Vec<(String, String)>,
}

impl Transcript {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `shown` wherever `name` stands, such as the random name of a namespace.
    #[must_use]
    pub fn naming(mut self, name: impl Into<String>, shown: impl Into<String>) -> Self {
        self.names.push((name.into(), shown.into()));
        self
    }

    /// Runs a command through pipes, keeps what it showed, and returns it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run(&mut self, person: &Person, arguments: &[&str], stdin: impl AsRef<[u8]>) -> io::Result<Finished> {
        let stdin = stdin.as_ref();
        let finished = person.run(arguments, stdin).await?;
        self.command(person, arguments, if stdin.is_empty() { "" } else { " < stdin" });
        self.told(&finished);
        Ok(finished)
    }

    /// The same of a line for a shell, in a folder that is its home.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn shell(&mut self, person: &Person, line: &str, home: &Path) -> io::Result<Finished> {
        let finished = command::run(person.shell(line, home)?, "").await?;
        self.add(&format!("{}$ {line}\n", person.name));
        self.told(&finished);
        Ok(finished)
    }

    /// The same on a terminal.
    ///
    /// # Errors
    /// When it cannot be started, or does not show what is waited for.
    pub async fn at_terminal(
        &mut self,
        person: &Person,
        arguments: &[&str],
        typed: &[(&str, &str)],
    ) -> io::Result<Seen> {
        let seen = person.at_terminal(arguments, typed).await?;
        self.command(person, arguments, " # at a terminal");
        self.add(&seen.text.replace('\u{1b}', "␛"));
        self.exit(seen.status.code());
        Ok(seen)
    }

    /// Compares it with the snapshot of this name, a file in `tests/snapshots`.
    ///
    /// # Errors
    /// When the file cannot be written.
    ///
    /// # Panics
    /// When they differ.
    pub fn check(&self, name: &str) -> io::Result<()> {
        snapshot::check(name, &self.text)
    }

    fn command(&mut self, person: &Person, arguments: &[&str], how: &str) {
        let words: Vec<String> = arguments.iter().map(|word| for_shell(word)).collect();
        self.add(&format!("{}$ apolo {}{how}\n", person.name, words.join(" ")));
    }

    fn told(&mut self, finished: &Finished) {
        self.add(&finished.stdout);
        for line in finished.stderr.lines() {
            self.add(&format!("! {line}\n"));
        }
        self.exit(finished.status.code());
    }

    fn add(&mut self, text: &str) {
        let text = self.names.iter().fold(text.to_owned(), |text, (name, shown)| text.replace(name.as_str(), shown));
        self.text.push_str(&text);
        if !text.is_empty() && !text.ends_with('\n') {
            self.text.push_str("⏎\n");
        }
    }

    fn exit(&mut self, code: Option<i32>) {
        if code != Some(0) {
            let code = code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
            let _ = writeln!(self.text, "[exit {code}]");
        }
        self.text.push('\n');
    }
}

fn for_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./~_-#".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_owned() } else { format!("'{word}'") }
}
