//! What a process uses: CPU time and memory, as Linux tells them in `/proc`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::Child;

/// `USER_HZ`, in which Linux tells CPU time: 100 on every architecture that is in use.
const TICKS: u64 = 100;

/// A process that is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
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

impl Usage {
    /// Of a child that runs.
    pub(crate) fn of(process: &Child) -> anyhow::Result<Self> {
        Ok(Self { id: process.id().context("it has ended")? })
    }

    /// Of a process by its number.
    pub(crate) fn of_id(id: u32) -> Self {
        Self { id }
    }

    /// Of the one process that was started as this program.
    pub(crate) fn of_program(program: &Path) -> anyhow::Result<Self> {
        let is_it = |id: &u32| {
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            line.split(|&byte| byte == 0).next() == Some(program.as_os_str().as_encoded_bytes())
        };
        let numbers = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let id = numbers.into_iter().find(is_it).with_context(|| format!("no process is {}", program.display()))?;
        Ok(Self { id })
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The CPU time that it has used, in user and kernel mode (proc(5): fields 14 and 15 of `stat`).
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = self.proc("stat")?;
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: Vec<u64> = after_name.split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
        let [user, system] = ticks.as_slice() else { bail!("no CPU time in /proc/{}/stat", self.id) };
        Ok(Duration::from_millis((user + system) * 1000 / TICKS))
    }

    /// The same of its threads that live, exactly (`schedstat`: the first field, in ns).
    pub(crate) fn cpu_of_threads(&self) -> anyhow::Result<Duration> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id)).context("listing threads")?;
        // One that ends meanwhile is not there to be read.
        let stats = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok());
        let used = stats.filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok()).sum();
        Ok(Duration::from_nanos(used))
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
