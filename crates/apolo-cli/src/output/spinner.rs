//! Something that moves on a terminal while something is waited for, and says what.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often it moves.
const EACH: Duration = Duration::from_millis(120);

/// A line that moves; when it is dropped, nothing is left of it.
pub(super) struct Spinner(ProgressBar);

/// Whether standard error is a terminal on which something can move.
pub(super) fn can_move() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|kind| kind != "dumb")
}

impl Spinner {
    /// Begins to move.
    pub(super) fn begin() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(EACH);
        Self(bar)
    }

    /// Says what is waited for, cut to the width of the terminal.
    pub(super) fn tell(&self, text: &str) {
        self.0.set_message(text.replace('\n', "; "));
    }

    /// Writes something else, above it.
    pub(super) fn aside(&self, write: impl FnMut()) {
        self.0.suspend(write);
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
