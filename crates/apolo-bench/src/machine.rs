//! The machine, and what is being done on it.

use std::{fs, thread};

/// Its cores and load, in a line.
pub(crate) fn machine() -> anyhow::Result<String> {
    let cores = thread::available_parallelism()?;
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split(' ').take(3).collect();
    Ok(format!("machine: {cores} cores, load {} (1, 5, 15 minutes)", load.join(" ")))
}

/// What is being done, on stderr.
pub(crate) fn say(what: &str) {
    eprintln!("==> {what}");
}
