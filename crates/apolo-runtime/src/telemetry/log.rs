//! Logs: `tracing` events in, one JSON object a line on stdout out.
//!
//! Spans are not shown: an event carries all that it tells. Whoever logs only makes the line; a thread writes, so that
//! a stuck reader of stdout holds up nobody.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic;
use std::time::SystemTime;

use clap::Args;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{self, Interest, SetGlobalDefaultError};
use tracing::{Event, Metadata, Subscriber};

mod line;
mod writer;

pub use writer::Writer;

use line::line;
use writer::Lines;

/// Crates that warn of what any client can make them see: shown only to those who look closely.
const OF_CLIENTS: [&str; 3] = ["h2", "hyper", "rustls"];

/// What tells of answers of the API server as they are, and of those that it cannot read also in warnings: a Secret may be in them, or
/// what a webhook has seen of one. It is never shown.
const OF_ANSWERS: &str = "kube_client::client";

/// What is logged.
#[derive(Args, Clone, Debug)]
pub struct LogLevel {
    /// Least level that is logged: off, error, warn, info, debug or trace.
    #[arg(long, global = true, env = "APOLO_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    pub log_level: LevelFilter,
}

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is no stdout, or no thread to write to it.
    #[error("opening the log")]
    Open(#[from] io::Error),
    /// Somebody else takes the events of this process.
    #[error("starting the log twice")]
    Twice(#[from] SetGlobalDefaultError),
}

/// Logs all events of this process from now on, also panics, of which only the place is told: their message may hold
/// anything. The writer is to be kept until the end of the process: dropping it waits, for a second at most, until the
/// last line is written.
///
/// # Errors
/// See [`LogError`].
pub fn start(level: &LogLevel) -> Result<Writer, LogError> {
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let (log, writer) = Log::new(level, stdout)?;
    subscriber::set_global_default(log)?;
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "there is a defect: the program panicked");
    }));
    Ok(writer)
}

/// A subscriber that shows events as lines.
#[derive(Debug)]
pub struct Log {
    level: LevelFilter,
    lines: Lines,
}

impl Log {
    /// Shows events on `sink`, in a thread that the writer stands for.
    ///
    /// # Errors
    /// If there can be no such thread.
    pub fn new(level: &LogLevel, sink: impl Write + Send + 'static) -> io::Result<(Self, Writer)> {
        let writer = Writer::start(sink)?;
        Ok((Self { level: level.log_level, lines: writer.lines() }, writer))
    }
}

impl Subscriber for Log {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let from = metadata.target().split("::").next().unwrap_or_default();
        let shown = self.level >= LevelFilter::DEBUG || !OF_CLIENTS.contains(&from);
        metadata.is_event() && *metadata.level() <= self.level && shown && metadata.target() != OF_ANSWERS
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        self.lines.push(&line(event, SystemTime::now()));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// `error` and what caused it, as one fragment.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
