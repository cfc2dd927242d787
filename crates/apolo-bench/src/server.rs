//! A server that is measured: a process, its CPU time and its memory.

use std::ffi::OsStr;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io;
use tokio::process::{Child, Command};

/// `USER_HZ`, in which Linux tells CPU time: 100 on every architecture that is in use.
const TICKS: u64 = 100;

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it serves.
    pub(crate) address: SocketAddr,
    process: Child,
    id: u32,
}

/// Memory of a process, in MB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// What it holds now: `VmRSS`.
    pub(crate) now: f64,
    /// The most that it held: `VmHWM`.
    pub(crate) peak: f64,
}

impl Server {
    /// Starts `program ARGUMENTS… --bind-address=127.0.0.1:PORT`; it does not serve yet. What it logs is read and
    /// thrown away.
    pub(crate) fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<Self> {
        let address =
            TcpListener::bind(("127.0.0.1", 0)).and_then(|port| port.local_addr()).context("finding a port")?;
        let mut process = Command::new(program)
            .args(arguments)
            .arg(format!("--bind-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        if let Some(mut log) = process.stdout.take() {
            tokio::spawn(async move { io::copy(&mut log, &mut io::sink()).await });
        }
        let id = process.id().context("it has ended")?;
        Ok(Self { address, process, id })
    }

    /// An error if it has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("a server has ended ({status})"),
        }
    }

    /// The CPU time that it has used, in user and kernel mode (proc(5): fields 14 and 15 of `stat`).
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = self.proc("stat")?;
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: Vec<u64> = after_name.split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
        let [user, system] = ticks.as_slice() else { bail!("no CPU time in /proc/{}/stat", self.id) };
        Ok(Duration::from_millis((user + system) * 1000 / TICKS))
    }

    /// Its memory.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let status = self.proc("status")?;
        let megabytes = |name: &str| -> anyhow::Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no memory in its status")?;
            let kibibytes: f64 = line.trim_matches(|c: char| !c.is_ascii_digit()).parse()?;
            Ok(kibibytes * 1024.0 / 1e6)
        };
        Ok(Memory { now: megabytes("VmRSS:")?, peak: megabytes("VmHWM:")? })
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.id);
        fs::read_to_string(&path).with_context(|| format!("reading {path} (the figures need Linux)"))
    }
}
