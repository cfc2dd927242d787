//! Running a program to its end.

use std::{
    io,
    process::{Command, ExitStatus, Output, Stdio},
};

use tokio::io::AsyncWriteExt;

/// What a program left behind.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// Runs `command` with `stdin` as its input, while other tasks go on, and waits for its end, whatever that is.
///
/// # Errors
/// When it cannot be started.
pub async fn run(command: Command, stdin: impl AsRef<[u8]>) -> io::Result<Finished> {
    let output = output(command, stdin).await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Finished { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) })
}

/// The same, with what it wrote byte for byte.
///
/// # Errors
/// When it cannot be started.
pub async fn output(command: Command, stdin: impl AsRef<[u8]>) -> io::Result<Output> {
    let mut child = tokio::process::Command::from(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let pipe = child.stdin.take();
    let feed = async move {
        if let Some(mut pipe) = pipe {
            // A program may end before it has read everything: its exit status tells, not this.
            let _ = pipe.write_all(stdin.as_ref()).await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    output
}
