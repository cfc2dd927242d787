//! Programs on a terminal of their own, and somebody who types.

use std::{
    io,
    process::{Command, ExitStatus},
};

use pty_process::Size;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::eventually::DEADLINE;

/// What was on the terminal when the program had ended.
#[derive(Debug, Clone)]
pub struct Seen {
    /// How it ended.
    pub status: ExitStatus,
    /// All that was written to the terminal, by both sides, line ends as the program wrote them.
    pub text: String,
}

/// Runs `command` on a terminal of 80 columns. For each pair of `typed`, in turn: when the first text is seen, the second is
/// typed.
///
/// # Errors
/// When it cannot be started, or does not show what is waited for, or does not end, by the deadline.
pub async fn run(command: Command, typed: &[(&str, &str)]) -> io::Result<Seen> {
    let (mut terminal, other) = pty_process::open().map_err(io::Error::other)?;
    terminal.resize(Size::new(24, 80)).map_err(io::Error::other)?;
    let mut on_terminal =
        pty_process::Command::new(command.get_program()).args(command.get_args()).env_clear().kill_on_drop(true);
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            on_terminal = on_terminal.env(name, value);
        }
    }
    let mut child = on_terminal.env("TERM", "xterm-256color").spawn(other).map_err(io::Error::other)?;
    let mut text = String::new();
    let mut seen = 0;
    for (awaited, answer) in typed {
        while !text.get(seen..).unwrap_or_default().contains(awaited) {
            if !read(&mut terminal, &mut text).await? {
                return Err(io::Error::other(format!("it ended without {awaited:?}: {text:?}")));
            }
        }
        seen = text.len();
        terminal.write_all(answer.as_bytes()).await?;
    }
    while read(&mut terminal, &mut text).await? {}
    let status =
        timeout(DEADLINE, child.wait()).await.map_err(|late| io::Error::other(format!("{late}: {text:?}")))??;
    Ok(Seen { status, text: text.replace("\r\n", "\n") })
}

/// Whether there was more. When the program has ended, Linux says so by an error.
async fn read(terminal: &mut pty_process::Pty, text: &mut String) -> io::Result<bool> {
    let mut bytes = [0; 4096];
    match timeout(DEADLINE, terminal.read(&mut bytes)).await {
        Ok(Ok(0)) | Ok(Err(_)) => Ok(false),
        Ok(Ok(count)) => {
            text.push_str(&String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()));
            Ok(true)
        }
        Err(late) => Err(io::Error::other(format!("{late}: {text:?}"))),
    }
}
