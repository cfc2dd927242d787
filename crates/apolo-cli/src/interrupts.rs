//! Signals by which somebody, or something, wants a process to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Those signals. None is lost that comes while nobody listens.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// Whether the last one was sent by what runs the process, and not typed.
    pub(crate) is_final: bool,
}

impl Interrupts {
    /// From now on they do not end the process.
    pub(crate) fn begin() -> io::Result<Self> {
        let [interrupt, terminate] = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        Ok(Self { interrupt: interrupt?, terminate: terminate?, is_final: false })
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => self.is_final = true,
        }
    }
}
