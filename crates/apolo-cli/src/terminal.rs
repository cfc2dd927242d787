//! What is asked on the terminal: a value that is not shown while it is typed, and yes or no.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use crate::output::visible;

/// The longest line that a terminal passes on; it drops what is typed behind that.
const LONGEST: usize = 4094;
/// How long the next line of what is pasted may take.
const PASTE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// What was typed where a line was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A line, without its end.
    Line(Vec<u8>),
    /// Several lines, as when a file is pasted; what followed the first is thrown away, so that no shell reads it.
    Several,
    /// More than a terminal passes on.
    TooLong,
    /// The end of the input.
    Nothing,
    /// Ctrl-\, or the end of the terminal.
    Left,
}

/// Whether somebody sits there who can be asked.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal()
}

/// Asks for a line that is not shown. Where this is given up, as on Ctrl-C, which is heard elsewhere, the terminal is as it was before.
///
/// # Errors
/// Where the terminal cannot be read.
pub(crate) async fn unseen(prompt: &str) -> io::Result<Typed> {
    let terminal = open()?;
    // They end a process at once; here only, so that who has them ignored, as nohup does, is not ended by them elsewhere.
    let [mut quit, mut hangup] = [signal(SignalKind::quit())?, signal(SignalKind::hangup())?];
    let mode = Mode::without_echo(terminal.try_clone()?)?;
    write(&terminal, prompt)?;
    let line = tokio::select! {
        line = line_of(terminal.try_clone()?) => line?,
        _ = quit.recv() => return Ok(Typed::Left),
        _ = hangup.recv() => return Ok(Typed::Left),
    };
    let more = mode.is_more_typed()?;
    Ok(match line {
        line if line.is_empty() => Typed::Nothing,
        _ if more => Typed::Several,
        line if line.len() > LONGEST => Typed::TooLong,
        mut line => {
            line.pop_if(|last| *last == b'\n');
            Typed::Line(line)
        }
    })
}

/// Asks for a line; what was typed, without white space around it.
///
/// # Errors
/// Where the terminal cannot be read.
pub(crate) async fn line(question: &str) -> io::Result<String> {
    let terminal = open()?;
    write(&terminal, &visible(question))?;
    let line = line_of(terminal).await?;
    Ok(String::from_utf8_lossy(&line).trim().to_owned())
}

/// Asks whether something is to be done. Whatever is not yes is no.
///
/// # Errors
/// Where the terminal cannot be read.
pub(crate) async fn confirm(question: &str) -> io::Result<bool> {
    let terminal = open()?;
    write(&terminal, &format!("{} [y/N] ", visible(question)))?;
    let answer = line_of(terminal).await?;
    let answer = String::from_utf8_lossy(&answer).trim().to_lowercase();
    Ok(answer == "y" || answer == "yes")
}

fn open() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/tty")
}

fn write(mut terminal: &File, text: &str) -> io::Result<()> {
    terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush())
}

/// A line with its end, or what was typed before the end of the input. Others go on meanwhile.
async fn line_of(mut terminal: File) -> io::Result<Vec<u8>> {
    let read = move || {
        let mut line = Vec::new();
        let mut bytes = [0; LONGEST + 2];
        while !line.ends_with(b"\n") {
            match terminal.read(&mut bytes)? {
                0 => break,
                count => line.extend_from_slice(bytes.get(..count).unwrap_or_default()),
            }
        }
        Ok(line)
    };
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}

/// The mode of a terminal that shows nothing, until this is dropped.
struct Mode {
    terminal: File,
    before: Termios,
}

impl Mode {
    fn without_echo(terminal: File) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut unseen = before.clone();
        unseen.local_modes.remove(LocalModes::ECHO);
        unseen.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(&terminal, OptionalActions::Now, &unseen)?;
        Ok(Self { terminal, before })
    }

    /// Whether something follows the line, with or without an end of its own.
    fn is_more_typed(&self) -> io::Result<bool> {
        let mut unseen = self.before.clone();
        unseen.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
        tcsetattr(&self.terminal, OptionalActions::Now, &unseen)?;
        let mut waiting = [PollFd::from_borrowed_fd(self.terminal.as_fd(), PollFlags::IN)];
        Ok(poll(&mut waiting, Some(&PASTE))? > 0)
    }
}

/// What was typed and not read is thrown away: it may be the rest of a value, and the shell would run it.
impl Drop for Mode {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}
