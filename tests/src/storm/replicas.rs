//! Two controllers that stand for one Lease, and what happens to them.

use std::{
    cell::RefCell,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Api;
use tokio::sync::watch;

use super::{ages::Interregnums, counts::Counts};
use crate::{
    control_plane::ControlPlane,
    controller::{Controller, LEASE},
    eventually::{eventually, within},
    webhook::RELEASE,
};

/// By when another leads after the kill of a leader.
const SUCCESSION: Duration = Duration::from_secs(20);

/// What happens to a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// The leader is killed; another process is started.
    KillLeader,
    /// The same of the one that does not lead.
    KillStandby,
    /// The leader is asked to stop, and another process is started.
    StopLeader,
    /// The leader's process is halted, and goes on when another leads.
    HaltLeader,
}

/// The two.
pub struct Replicas<'a> {
    control_plane: &'a ControlPlane,
    leases: Api<Lease>,
    interregnums: &'a RefCell<Interregnums>,
    running: [Replica; 2],
    kills: usize,
    transitions: i32,
}

struct Replica {
    name: &'static str,
    controller: Controller,
    /// How many processes there were of this name before.
    before: usize,
}

impl<'a> Replicas<'a> {
    /// Starts both; one leads.
    ///
    /// # Errors
    /// When they do not start, or none leads.
    pub async fn start(
        control_plane: &'a ControlPlane,
        interregnums: &'a RefCell<Interregnums>,
    ) -> anyhow::Result<Self> {
        let start = async |name| {
            let controller = control_plane.start_controller(name, &[]).await?;
            anyhow::Ok(Replica { name, controller, before: 0 })
        };
        let running = [start("controller-a").await?, start("controller-b").await?];
        let leases = Api::namespaced(control_plane.admin().await?, RELEASE);
        let mut replicas = Self { control_plane, leases, interregnums, running, kills: 0, transitions: 0 };
        replicas.leader().await?;
        replicas.transitions = replicas.lease().await?.lease_transitions.unwrap_or(0);
        Ok(replicas)
    }

    /// Does the next of these, again and again, each time that as many acts more are done; until there are no more acts.
    ///
    /// # Errors
    /// When a controller has ended by itself, or no other leads in time.
    pub async fn restart(
        &mut self,
        restarts: &[Restart],
        every: usize,
        mut acts: watch::Receiver<usize>,
    ) -> anyhow::Result<()> {
        for restart in restarts.iter().cycle() {
            let next = *acts.borrow() + every;
            if acts.wait_for(|acts| *acts >= next).await.is_err() {
                break;
            }
            for replica in &mut self.running {
                replica.controller.runs().context("a controller ended by itself")?;
            }
            self.undergo(*restart).await.with_context(|| format!("{restart:?}"))?;
        }
        Ok(())
    }

    async fn undergo(&mut self, restart: Restart) -> anyhow::Result<()> {
        let leader = self.leader().await?;
        let which = if restart == Restart::KillStandby { 1 - leader } else { leader };
        let (leases, interregnums) = (self.leases.clone(), self.interregnums);
        let control_plane = self.control_plane;
        let [a, b] = &mut self.running;
        let replica = if which == 0 { a } else { b };
        let old = replica.controller.identity.clone();
        let goes = || interregnums.borrow_mut().begin(Instant::now());
        let succeeds = async || {
            succession(&leases, &old).await?;
            interregnums.borrow_mut().end(Instant::now());
            anyhow::Ok(())
        };
        match restart {
            Restart::KillStandby => {
                replica.controller.kill()?;
                self.kills += 1;
                replica.replace(control_plane).await?;
            }
            Restart::KillLeader => {
                replica.controller.kill()?;
                goes();
                self.kills += 1;
                tokio::try_join!(replica.replace(control_plane), succeeds())?;
            }
            Restart::StopLeader => {
                goes();
                replica.controller.stop().await?;
                tokio::try_join!(replica.replace(control_plane), succeeds())?;
            }
            Restart::HaltLeader => {
                replica.controller.signal("STOP")?;
                goes();
                succeeds().await?;
                replica.controller.signal("CONT")?;
                let heard = async || match replica.controller.metric("apolo_leading").await {
                    Ok(Some(0.0)) => Ok(()),
                    other => Err(format!("{other:?}")),
                };
                eventually("who led has heard of the other", heard).await?;
            }
        }
        Ok(())
    }

    /// Which of the two leads.
    async fn leader(&self) -> anyhow::Result<usize> {
        let leads = async || {
            let spec = self.lease().await.map_err(|error| error.to_string())?;
            let holder = spec.holder_identity.unwrap_or_default();
            let found = self.running.iter().position(|replica| replica.controller.identity == holder);
            found.ok_or_else(|| format!("{holder:?}"))
        };
        Ok(eventually("one of the two leads", leads).await?)
    }

    async fn lease(&self) -> Result<LeaseSpec, kube::Error> {
        Ok(self.leases.get(LEASE).await?.spec.unwrap_or_default())
    }

    /// How many were killed, and how often the Lease went to another; all that were not killed still run.
    ///
    /// # Errors
    /// When one does not.
    pub async fn count(&mut self) -> anyhow::Result<Counts> {
        for replica in &mut self.running {
            replica.controller.runs().context("a controller ended by itself")?;
        }
        let transitions = self.lease().await?.lease_transitions.unwrap_or(0) - self.transitions;
        let failovers = usize::try_from(transitions).context("the Lease counts backwards")?;
        Ok(Counts { kills: self.kills, failovers, ..Counts::default() })
    }
}

/// Waits until the Lease is another's.
async fn succession(leases: &Api<Lease>, old: &str) -> anyhow::Result<()> {
    let another = async || {
        let lease = leases.get(LEASE).await.map_err(|error| error.to_string())?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
        if holder.is_empty() || holder == old { Err(format!("{holder:?}")) } else { Ok(()) }
    };
    Ok(within(SUCCESSION, "another leads", another).await?)
}

impl Replica {
    /// Starts another process in the place of the one that ended, whose log stays.
    async fn replace(&mut self, control_plane: &ControlPlane) -> anyhow::Result<()> {
        let folder = control_plane.folder();
        let old = folder.join(format!("{}-{}.log", self.name, self.before));
        fs::rename(folder.join(format!("{}.log", self.name)), old).context("cannot keep the log")?;
        self.before += 1;
        self.controller = control_plane.start_controller(self.name, &[]).await?;
        Ok(())
    }
}

/// The lines of all logs of the controllers that hold one of these words, or warn; the last of them.
pub fn told_of(control_plane: &ControlPlane, words: &[String], most: usize) -> String {
    let logs = fs::read_dir(control_plane.folder()).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_log = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("controller-"))
            && path.extension().is_some_and(|extension| extension == "log")
    };
    let about = |line: &&str| {
        ["\"WARN\"", "\"ERROR\"", "lease"].iter().any(|word| line.contains(word))
            || words.iter().any(|word| line.contains(word.as_str()))
            // What is no line of a log is a panic.
            || !line.starts_with('{')
    };
    let mut lines: Vec<String> = Vec::new();
    for path in logs.filter(is_log) {
        let log = fs::read_to_string(&path).unwrap_or_default();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // They begin with their time.
        lines.extend(log.lines().filter(about).map(|line| format!("{line} ({name})")));
    }
    lines.sort();
    lines.split_off(lines.len().saturating_sub(most)).join("\n")
}
