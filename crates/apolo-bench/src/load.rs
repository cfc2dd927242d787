//! The load: h2load, HTTP/2 over TLS, one thread.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::process::Command;
use tokio::time::timeout;

/// By when any load is over.
const DEADLINE: Duration = Duration::from_secs(600);

/// What is sent, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    /// To whom.
    pub(crate) address: SocketAddr,
    /// To which path.
    pub(crate) path: &'a str,
    /// The file with the body.
    pub(crate) body: &'a Path,
    /// How many requests.
    pub(crate) requests: u64,
    /// How many connections, and how many requests in flight on each.
    pub(crate) width: (u32, u32),
    /// Where to keep the time of each request; None to keep none.
    pub(crate) log: Option<&'a Path>,
}

/// How it went.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Requests a second.
    pub(crate) rate: f64,
    /// Requests that were not answered with a 2xx.
    pub(crate) errors: u64,
    /// Microseconds that each request took, sorted, where they were kept.
    pub(crate) latencies: Vec<f64>,
}

/// 4 connections with 16 requests in flight each.
pub(crate) const WIDE: (u32, u32) = (4, 16);
/// One request at a time.
pub(crate) const ALONE: (u32, u32) = (1, 1);

impl Load<'_> {
    /// Sends it, and waits for the end.
    pub(crate) async fn send(&self) -> anyhow::Result<Outcome> {
        let mut command = Command::new("h2load");
        let (connections, streams) = self.width;
        command
            .arg(format!("--requests={}", self.requests))
            .arg(format!("--clients={connections}"))
            .arg(format!("--max-concurrent-streams={streams}"))
            .arg(format!("--data={}", self.body.display()))
            .arg("--header=content-type: application/json");
        if let Some(log) = self.log {
            // h2load appends.
            let _ = fs::remove_file(log);
            command.arg(format!("--log-file={}", log.display()));
        }
        command.arg(format!("https://{}{}", self.address, self.path));
        let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = timeout(DEADLINE, running)
            .await
            .context("h2load does not end")?
            .context("running h2load (of nghttp2-client)")?;
        let report = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "h2load failed: {report}{}", String::from_utf8_lossy(&output.stderr));
        self.read(&report).with_context(|| format!("reading what h2load said: {report}"))
    }

    fn read(&self, report: &str) -> anyhow::Result<Outcome> {
        let rate = number_before(report, " req/s").context("no rate")?;
        let succeeded = number_before(report, " 2xx").context("no status codes")?;
        let latencies = self.log.map(latencies).transpose()?.unwrap_or_default();
        let errors = self.requests.saturating_sub(succeeded as u64);
        Ok(Outcome { rate, errors, latencies })
    }
}

/// The number that stands before `unit` where that stands first.
fn number_before(report: &str, unit: &str) -> Option<f64> {
    let (before, _) = report.split_once(unit)?;
    before.rsplit([' ', '\n']).next()?.parse().ok()
}

/// The third column of h2load's log.
fn latencies(log: &Path) -> anyhow::Result<Vec<f64>> {
    let text = fs::read_to_string(log).context("reading h2load's log")?;
    let mut latencies: Vec<f64> = text.lines().filter_map(|line| line.split('\t').nth(2)?.parse().ok()).collect();
    latencies.sort_by(f64::total_cmp);
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_h2load_says() {
        let report = "finished in 1.01s, 9876.50 req/s, 2.1MB/s\n\
            requests: 10 total, 10 started, 10 done, 9 succeeded, 1 failed, 1 errored, 0 timeout\n\
            status codes: 9 2xx, 0 3xx, 0 4xx, 1 5xx\n";
        assert_eq!(number_before(report, " req/s"), Some(9876.5));
        assert_eq!(number_before(report, " 2xx"), Some(9.0));
    }
}
