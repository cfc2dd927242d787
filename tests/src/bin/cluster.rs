//! `cluster run -- COMMAND…` runs a command, such as all tests, with a cluster that has the webhook and the controller; `cluster
//! up` keeps one for trying things by hand. With `--node` it has a node, and they run in Pods of it. Either way the cluster ends with this
//! process.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is what it is for")]

use std::{
    env,
    ffi::{OsStr, OsString},
    iter,
    ops::Deref,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
    time::Instant,
};

use anyhow::Context;
use apolo_tests::{
    cluster::{Cluster, SHARED, programs},
    control_plane::ControlPlane,
    controller::{self, Controller},
    node::{
        Node,
        adopted::Adopted,
        enclosure::{self, Enclosure},
        images, machine,
    },
    webhook::{self, Webhook},
};
use clap::Parser;
use tokio::{
    process::{Child, Command},
    signal::unix::{Signal, SignalKind, signal},
};

/// Names, in the environment, the archive of the image of Apolo Secrets that a node gets; by default it is built.
const IMAGE: &str = "APOLO_IMAGE";

/// Names, in the environment, the kubeconfig of a cluster with nodes that others have started, which then serves for `--node`.
const FOREIGN: &str = "APOLO_NODE_KUBECONFIG";

/// Names, inside the enclosure of a node, the archives that were made outside.
const ARCHIVES: &str = "APOLO_NODE_ARCHIVES";

/// Starts a Kubernetes control plane on this machine, for as long as it is needed.
#[derive(Parser)]
enum Arguments {
    /// Runs a command with a cluster, and exits as the command did.
    Run {
        /// Without the webhook and the controller.
        #[arg(long)]
        bare: bool,
        /// With a node that runs Pods, the webhook and the controller among them. Needs root on Linux.
        #[arg(long)]
        node: bool,
        /// The command; KUBECONFIG is set for it, and kubectl and helm are on its PATH.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Starts a cluster, says how to reach it, and waits for Ctrl-C.
    Up {
        /// With a node that runs Pods, the webhook and the controller among them. Needs root on Linux.
        #[arg(long)]
        node: bool,
    },
}

impl Arguments {
    fn is_bare(&self) -> bool {
        matches!(self, Self::Run { bare: true, .. })
    }

    fn wants_node(&self) -> bool {
        matches!(self, Self::Run { node: true, .. } | Self::Up { node: true })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut interrupt = signal(SignalKind::interrupt())?;
    if arguments.wants_node() && !enclosure::is_here() && foreign().is_none() {
        // Blocks: Ctrl-C is for who runs in the enclosure.
        return enclose(&arguments).await;
    }
    let began = Instant::now();
    // The first process of an enclosure dies of no signal by itself.
    let cluster = tokio::select! {
        started = start_cluster(arguments.wants_node()) => started?,
        _ = interrupt.recv() => return Ok(ExitCode::from(130)),
    };
    say(&format!("{} ready", title(&arguments)), began);
    let began = Instant::now();
    let servers = match &arguments {
        bare if bare.is_bare() => None,
        with_node if with_node.wants_node() => {
            cluster.install_on_node().await?;
            None
        }
        _ => Some(start(&cluster).await?),
    };
    if !arguments.is_bare() {
        say("webhook serves and is known to the API server, controller runs", began);
    }
    let code = match &arguments {
        Arguments::Run { command, .. } => run(&cluster, command).await?,
        Arguments::Up { .. } => up(&cluster).await?,
    };
    let began = Instant::now();
    drop(servers);
    drop(cluster);
    let left = if foreign().is_some() { "left as it is" } else { "stopped, its folder removed" };
    say(&format!("{} {left}", title(&arguments)), began);
    Ok(code)
}

fn title(arguments: &Arguments) -> String {
    let version = programs::kubernetes_version();
    match foreign() {
        Some(kubeconfig) if arguments.wants_node() => format!("cluster of {}", kubeconfig.display()),
        _ if arguments.wants_node() => format!("control plane {version} and node"),
        _ => format!("control plane {version}"),
    }
}

/// Makes what can be made outside only, and starts this program again in an enclosure.
async fn enclose(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Err(reason) = machine::prepare().context("cannot run tests/cluster/prepare-node")? {
        anyhow::bail!("this machine cannot be a node: {reason}");
    }
    programs::build_all().await?;
    let image = match env::var_os(IMAGE) {
        Some(image) => Some(std::fs::canonicalize(image).context("cannot find the image that APOLO_IMAGE names")?),
        None if arguments.is_bare() => None,
        None => Some(machine::build_image()?),
    };
    let enclosure = Enclosure::new().context("cannot make a folder for the node")?;
    let busybox = images::write_busybox(enclosure.folder()).context("cannot make the image of busybox")?;
    let archives = env::join_paths(image.into_iter().chain([busybox])).context("cannot pass on the paths of images")?;
    let status = enclosure.run(&[(ARCHIVES, archives)]).context("cannot start in an enclosure")?;
    Ok(exit_code(status))
}

async fn start_cluster(with_node: bool) -> anyhow::Result<Box<dyn Deref<Target = ControlPlane>>> {
    if !with_node {
        return Ok(Box::new(Cluster::start().await?));
    }
    if let Some(kubeconfig) = foreign() {
        return Ok(Box::new(Adopted::open(&kubeconfig).await?));
    }
    let archives = env::var_os(ARCHIVES).unwrap_or_default();
    Ok(Box::new(Node::start(&env::split_paths(&archives).collect::<Vec<_>>()).await?))
}

/// The kubeconfig of a cluster that others have started.
fn foreign() -> Option<PathBuf> {
    env::var_os(FOREIGN).filter(|path| !path.is_empty()).map(PathBuf::from)
}

async fn start(cluster: &ControlPlane) -> Result<(Webhook, Controller), webhook::Error> {
    let webhook = cluster.install().await?;
    let controller = cluster.start_controller(controller::ACCOUNT, &[]).await?;
    controller.leads().await?;
    Ok((webhook, controller))
}

fn say(what: &str, began: Instant) {
    eprintln!("==> {what} in {:.1} s", began.elapsed().as_secs_f32());
}

/// Ctrl-C reaches the command by itself, from the terminal; this process goes on until the command has ended.
async fn run(cluster: &ControlPlane, command: &[OsString]) -> anyhow::Result<ExitCode> {
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

fn path(cluster: &ControlPlane) -> anyhow::Result<OsString> {
    let others = env::var_os("PATH").unwrap_or_default();
    env::join_paths(iter::once(cluster.bin()).chain(env::split_paths(&others))).context("cannot set PATH")
}

async fn up(cluster: &ControlPlane) -> anyhow::Result<ExitCode> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    println!("{}", export(SHARED, cluster.folder().as_os_str()));
    for (name, value) in cluster.environment() {
        println!("{}", export(name, value.as_os_str()));
    }
    println!("export PATH='{}':\"$PATH\"", cluster.bin().display());
    if enclosure::is_here() {
        let program = env::args_os().next().unwrap_or_default();
        let process = format!("$(pgrep --full '^{} ')", program.display());
        println!("nsenter --net --mount --pid --target \"{process}\"");
    }
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
