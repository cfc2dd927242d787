//! The only writer: results to standard output, everything else to standard error.
//!
//! Whatever comes from files or a cluster is made visible before it reaches a terminal: control characters, and those that
//! turn the direction of a text, are written as escapes.

pub(crate) mod format;
mod spinner;
pub(crate) mod table;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

use crate::called::Called;
use crate::cli;
use crate::exit::Failure;
use spinner::Spinner;

/// When to colour what is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl From<Color> for ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}

/// Where a command writes.
pub(crate) struct Output {
    quiet: bool,
    called: Called,
    told: AutoStream<io::Stderr>,
    spinner: Option<Spinner>,
}

impl Output {
    /// A writer to the standard streams of the process.
    #[must_use]
    pub(crate) fn new(quiet: bool, color: Color, called: Called) -> Self {
        Self { quiet, called, told: AutoStream::new(io::stderr(), color.into()), spinner: None }
    }

    /// Writes a result to standard output, as it is.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn result(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
        written.map_err(|error| Failure::writing(&error))
    }

    /// Writes a value to standard output, byte for byte; to a terminal only what it shows and does not obey, and then a line end where
    /// the value has none, so that what follows begins a line.
    ///
    /// # Errors
    /// Where it cannot be written, or a terminal would obey it.
    pub(crate) fn value(&self, value: &[u8]) -> Result<(), Failure> {
        if !io::stdout().is_terminal() {
            return self.result(value);
        }
        if !is_harmless(value) {
            return Err(Failure::new("the value holds bytes that are no text; a terminal might obey them"));
        }
        self.result(value)?;
        if value.is_empty() || value.ends_with(b"\n") { Ok(()) } else { self.result(b"\n") }
    }

    /// Writes a line to standard output that says what was done; not where only errors are wanted.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn done(&self, text: &str) -> Result<(), Failure> {
        if self.quiet { Ok(()) } else { self.line(text) }
    }

    /// Writes a line to standard output, in which names of the cluster are seen for what they are.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.result(format!("{}\n", visible(text)).as_bytes())
    }

    /// Tells how it goes, a line; not where only errors are wanted.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.quiet {
            self.tell("", Style::new(), text);
        }
    }

    /// Tells that there is nothing, and what may be done about it; not where only errors are wanted.
    pub(crate) fn nothing(&mut self, text: &str, hint: &str) {
        if !self.quiet {
            self.note(text);
            self.hint(hint);
        }
    }

    /// Warns of something that is not wrong here, but may be elsewhere.
    pub(crate) fn warning(&mut self, text: &str) {
        if !self.quiet {
            self.tell("warning: ", AnsiColor::Yellow.on_default().bold(), text);
        }
    }

    /// Tells what went wrong, and where.
    pub(crate) fn error(&mut self, text: &str) {
        self.tell("error: ", AnsiColor::Red.on_default().bold(), text);
    }

    /// Tells a mistake, which begins with its place.
    pub(crate) fn mistake(&mut self, text: &str) {
        self.tell("", Style::new(), text);
    }

    /// Tells what mends it.
    pub(crate) fn hint(&mut self, text: &str) {
        self.tell("hint: ", AnsiColor::Cyan.on_default().bold(), text);
    }

    /// Whether something can move that tells what is waited for: on a terminal, and where not only errors are wanted.
    pub(crate) fn can_move(&self) -> bool {
        !self.quiet && spinner::can_move()
    }

    /// Tells what is waited for by something that moves, until [`still`](Self::still).
    pub(crate) fn moving(&mut self, text: &str) {
        let text = self.called.typed(text, cli::COMMANDS);
        self.spinner.get_or_insert_with(Spinner::begin).tell(&visible(&text));
    }

    /// Nothing moves any more, and nothing is left of what did.
    pub(crate) fn still(&mut self) {
        self.spinner = None;
    }

    /// Nothing can be told where standard error is closed.
    fn tell(&mut self, label: &str, style: Style, text: &str) {
        let text = self.called.typed(text, cli::COMMANDS);
        let told = &mut self.told;
        let mut write = || {
            let _ = writeln!(told, "{style}{label}{style:#}{}", visible(&text));
        };
        match &self.spinner {
            Some(spinner) => spinner.aside(write),
            None => write(),
        }
    }
}

/// Whether a terminal shows all of it: text, with line ends and tabs.
fn is_harmless(value: &[u8]) -> bool {
    str::from_utf8(value).is_ok_and(|text| {
        let text = text.replace("\r\n", "").replace(['\n', '\t'], "");
        matches!(visible(&text), Cow::Borrowed(_))
    })
}

/// A text in which every character is seen for what it is.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |character: char| {
        character.is_control() && character != '\n'
            || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let shown = |character: char| match character {
        it if hidden(it) => it.escape_unicode().to_string(),
        it => it.to_string(),
    };
    Cow::Owned(text.chars().map(shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_harmless_if_all_of_it_is_text() {
        for (value, expected) in [
            (b"p@ss\n".as_slice(), true),
            ("zo\u{eb}\r\n\tx".as_bytes(), true),
            (b"", true),
            (b"a\x1b[31m", false),
            (b"safe\rnot", false),
            (b"\xff\xfe", false),
            ("a\u{202e}b".as_bytes(), false),
            (b"\0", false),
        ] {
            assert_eq!(is_harmless(value), expected, "{value:?}");
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(visible("a\u{1b}[31mb\u{202e}c"), r"a\u{1b}[31mb\u{202e}c");
        assert_eq!(visible("a\u{61c}b\u{2028}c\u{2060}"), r"a\u{61c}b\u{2028}c\u{2060}");
        assert!(matches!(visible("zoë …\n"), Cow::Borrowed(_)));
    }
}
