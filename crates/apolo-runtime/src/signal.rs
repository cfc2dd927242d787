//! The wish to stop: SIGTERM from Kubernetes, SIGINT from a terminal.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Resolves when the process is asked to stop. Signals count from this call on, not only from the first poll.
///
/// # Errors
/// If a handler cannot be installed.
pub fn termination() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn resolves_when_the_process_is_asked_to_stop() {
        for signal in ["TERM", "INT"] {
            let asked = termination().unwrap();
            let kill = format!("kill -{signal} {}", std::process::id());
            assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
            asked.await;
        }
    }
}
