//! `cluster run -- COMMAND…` runs a command, such as all tests, with a cluster that has the webhook and the controller; `cluster
//! up` keeps one for trying things by hand. Either way the cluster ends with this process.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is what it is for")]

use std::{
    ffi::{OsStr, OsString},
    iter,
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
    time::Instant,
};

use anyhow::Context;
use apolo_tests::{
    cluster::{Cluster, SHARED, programs},
    controller::{self, Controller},
    webhook::{self, Webhook},
};
use clap::Parser;
use tokio::{
    process::{Child, Command},
    signal::unix::{Signal, SignalKind, signal},
};

/// Starts a Kubernetes control plane on this machine, for as long as it is needed.
#[derive(Parser)]
enum Arguments {
    /// Runs a command with a cluster, and exits as the command did.
    Run {
        /// Without the webhook and the controller.
        #[arg(long)]
        bare: bool,
        /// The command; KUBECONFIG is set for it, and kubectl and helm are on its PATH.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Starts a cluster, says how to reach it, and waits for Ctrl-C.
    Up,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let began = Instant::now();
    let cluster = Cluster::start().await?;
    say(&format!("control plane {} ready", programs::kubernetes_version()), began);
    let began = Instant::now();
    let servers = match arguments {
        Arguments::Run { bare: true, .. } => None,
        _ => Some(start(&cluster).await?),
    };
    if servers.is_some() {
        say("webhook serves and is known to the API server, controller leads", began);
    }
    let code = match arguments {
        Arguments::Run { command, .. } => run(&cluster, &command).await?,
        Arguments::Up => up(&cluster).await?,
    };
    let began = Instant::now();
    drop(servers);
    drop(cluster);
    say("control plane stopped, its folder removed", began);
    Ok(code)
}

async fn start(cluster: &Cluster) -> Result<(Webhook, Controller), webhook::Error> {
    let webhook = cluster.install().await?;
    let controller = cluster.start_controller(controller::ACCOUNT, &[]).await?;
    controller.leads().await?;
    Ok((webhook, controller))
}

fn say(what: &str, began: Instant) {
    eprintln!("==> {what} in {:.1} s", began.elapsed().as_secs_f32());
}

/// Ctrl-C reaches the command by itself, from the terminal; this process goes on until the command has ended.
async fn run(cluster: &Cluster, command: &[OsString]) -> anyhow::Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command")?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .envs(cluster.environment())
        .env("PATH", path(cluster)?)
        .env(SHARED, cluster.folder())
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let status = wait(&mut child, &mut interrupt, &mut terminate).await?;
    say(&format!("{} ended", program.display()), began);
    Ok(exit_code(status))
}

async fn wait(child: &mut Child, interrupt: &mut Signal, terminate: &mut Signal) -> anyhow::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return status.context("cannot wait for the command"),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {
                if let Some(id) = child.id() {
                    Command::new("kill").args(["-TERM", &id.to_string()]).status().await.context("cannot run kill")?;
                }
            }
        }
    }
}

/// As a shell has it: 128 and the number of the signal that ended the command.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn path(cluster: &Cluster) -> anyhow::Result<OsString> {
    let others = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(iter::once(cluster.bin()).chain(std::env::split_paths(&others))).context("cannot set PATH")
}

async fn up(cluster: &Cluster) -> anyhow::Result<ExitCode> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    println!("{}", export(SHARED, cluster.folder().as_os_str()));
    for (name, value) in cluster.environment() {
        println!("{}", export(name, value.as_os_str()));
    }
    println!("export PATH='{}':\"$PATH\"", cluster.bin().display());
    eprintln!("==> copy these lines into another shell to reach it; Ctrl-C ends it");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn export(name: &str, value: &OsStr) -> String {
    format!("export {name}='{}'", value.display())
}
