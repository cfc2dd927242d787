//! A program that runs beside the test: what it writes is seen while it runs, and it is sent signals.

use std::{
    io,
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Child,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    command::Finished,
    eventually::{DEADLINE, NotYet, eventually},
};

/// A program that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Stream,
    stderr: Stream,
}

/// What was written to one of its outputs until now.
#[derive(Debug)]
struct Stream {
    text: Arc<Mutex<Vec<u8>>>,
    reads: JoinHandle<()>,
}

impl Running {
    /// Starts it, with nothing as its input.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: Command) -> io::Result<Self> {
        let mut child = tokio::process::Command::from(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let closed = || io::Error::other("it has no output");
        let stdout = Stream::of(child.stdout.take().ok_or_else(closed)?);
        let stderr = Stream::of(child.stderr.take().ok_or_else(closed)?);
        Ok(Self { child, stdout, stderr })
    }

    /// Waits until this is on standard output.
    ///
    /// # Errors
    /// When it is not by the deadline.
    pub async fn prints(&self, text: &str) -> Result<(), NotYet> {
        self.stdout.holds(text).await
    }

    /// Waits until this is on standard error.
    ///
    /// # Errors
    /// When it is not by the deadline.
    pub async fn tells(&self, text: &str) -> Result<(), NotYet> {
        self.stderr.holds(text).await
    }

    /// Sends it a signal: `INT`, `TERM`.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        let id = self.child.id().ok_or_else(|| io::Error::other("it has ended"))?;
        let sent = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status()?;
        if sent.success() { Ok(()) } else { Err(io::Error::other("kill failed")) }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end by the deadline.
    pub async fn end(mut self) -> io::Result<Finished> {
        let late = |streams: (String, String)| io::Error::other(format!("it does not end: {streams:?}"));
        let status: ExitStatus = match timeout(DEADLINE, self.child.wait()).await {
            Ok(status) => status?,
            Err(_) => return Err(late((self.stdout.text(), self.stderr.text()))),
        };
        let (stdout, stderr) = (self.stdout.whole().await, self.stderr.whole().await);
        Ok(Finished { status, stdout, stderr })
    }
}

impl Stream {
    fn of(mut output: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&text);
        let reads = tokio::spawn(async move {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes).await {
                let read = bytes.get(..count).unwrap_or_default();
                written.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(read);
            }
        });
        Self { text, reads }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    async fn holds(&self, text: &str) -> Result<(), NotYet> {
        eventually(&format!("it has written {text:?}"), async || {
            let written = self.text();
            if written.contains(text) { Ok(()) } else { Err(written) }
        })
        .await
    }

    async fn whole(self) -> String {
        let Self { text, reads } = self;
        let _ = reads.await;
        String::from_utf8_lossy(&text.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}
