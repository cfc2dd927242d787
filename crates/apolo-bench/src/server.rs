//! A server that is measured: a process and where it serves.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::io;
use tokio::process::{Child, Command};

use crate::usage::Usage;

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it serves.
    pub(crate) address: SocketAddr,
    /// Its process.
    pub(crate) usage: Usage,
    process: Child,
}

impl Server {
    /// Starts `program ARGUMENTS… --bind-address=127.0.0.1:PORT`, with this `KUBECONFIG`; it does not serve yet. What it logs is read and
    /// thrown away.
    pub(crate) fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        kubeconfig: &Path,
    ) -> anyhow::Result<Self> {
        let address =
            TcpListener::bind(("127.0.0.1", 0)).and_then(|port| port.local_addr()).context("finding a port")?;
        let mut process = Command::new(program)
            .args(arguments)
            .arg(format!("--bind-address={address}"))
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        if let Some(mut log) = process.stdout.take() {
            tokio::spawn(async move { io::copy(&mut log, &mut io::sink()).await });
        }
        let usage = Usage::of(&process)?;
        Ok(Self { address, usage, process })
    }

    /// An error if it has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("a server has ended ({status})"),
        }
    }
}
