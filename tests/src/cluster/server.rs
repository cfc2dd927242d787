//! One server of a cluster: a process and its log.

use std::{
    fs::File,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

/// How many lines of a log an error shows.
const LINES: usize = 15;

/// What went wrong with a server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started.
    #[error("cannot start {name}")]
    Start {
        /// Its name.
        name: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// It ended when it should serve.
    #[error("{name} has ended ({status}); its log ends:\n{log}")]
    Ended {
        /// Its name.
        name: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last lines that it wrote.
        log: String,
    },
}

impl Error {
    /// Whether it ended because another process listens where it was to listen.
    pub(super) fn is_taken_port(&self) -> bool {
        matches!(self, Self::Ended { log, .. } if log.contains("address already in use"))
    }
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    process: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `folder/bin/name` in `folder`, logging to `folder/name.log`.
    pub(crate) fn start(folder: &Path, name: &'static str, arguments: &[String]) -> Result<Self, Error> {
        Self::start_in(folder, name, arguments, &[])
    }

    /// The same with these variables in its environment.
    pub(crate) fn start_in(
        folder: &Path,
        name: &'static str,
        arguments: &[String],
        environment: &[(&str, &Path)],
    ) -> Result<Self, Error> {
        let log = folder.join(format!("{name}.log"));
        let start = || {
            let output = File::create(&log)?;
            Command::new(folder.join("bin").join(name))
                .args(arguments)
                .envs(environment.iter().copied())
                .current_dir(folder)
                .process_group(0)
                .stdin(Stdio::null())
                .stdout(output.try_clone()?)
                .stderr(output)
                .spawn()
        };
        let process = start().map_err(|source| Error::Start { name, source })?;
        Ok(Self { name, process, log })
    }

    /// An error if it has ended.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Error::Ended { name: self.name, status, log: self.last_lines() }),
            Err(source) => Err(Error::Start { name: self.name, source }),
        }
    }

    /// Kills it, and waits until it has ended.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The end of its log.
    pub(crate) fn last_lines(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
