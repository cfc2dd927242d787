//! S15: what `apolo secret ls` costs beside `kubectl get secrets`: from start to end, and in bytes that come from the API server.
//!
//! Run by `cluster run --bare`. Both commands are given a kubeconfig that leads through a tunnel, which counts.

mod tunnel;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use apolo_tests::control_plane::ControlPlane;
use apolo_tests::namespace::Namespace;
use clap::Args;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use crate::grants::flight::{WIDTH, fly};
use crate::machine::{machine, say};
use crate::statistics::Spread;
use crate::table::{self, at_most, row};
use tunnel::Tunnel;

/// How large the value of each secret is.
const SIZE: usize = 100_000;
/// How many secrets there are, and how often each command is run in a round.
const LISTS: [(usize, usize); 2] = [(10, 10), (2_000, 3)];

/// The arguments of `apolo-bench command`.
#[derive(Args, Debug)]
pub struct CommandArgs {
    /// How many rounds there are.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The command `apolo`; otherwise the one beside this program.
    #[arg(long, value_name = "FILE")]
    apolo: Option<PathBuf>,
    /// Accepted, for there is only this.
    #[arg(long, hide = true)]
    only: Option<String>,
    /// Set by `cluster run`; so nothing is ever done to a cluster that somebody uses.
    #[arg(long, env = "APOLO_TEST_CLUSTER", hide = true)]
    cluster: PathBuf,
}

/// Measures, and prints the figures.
///
/// # Errors
/// When something keeps it from measuring.
pub async fn run(args: CommandArgs) -> anyhow::Result<()> {
    println!("{}", machine()?);
    let beside = std::env::current_exe()?.with_file_name("apolo");
    let control_plane = ControlPlane::open(&args.cluster)?;
    let programs = [args.apolo.clone().unwrap_or(beside), control_plane.bin().join("kubectl")];
    let [apolo, kubectl] = &programs;
    for program in &programs {
        ensure!(program.is_file(), "there is no {}", program.display());
    }
    started(&args, apolo, kubectl)?;
    for (count, runs) in LISTS {
        let listed = control_plane.with_namespace(async |ns| listed(&args, &ns, count, runs, apolo, kubectl).await);
        listed.await?;
    }
    Ok(())
}

/// How long a command takes that asks nobody, and how large each is.
fn started(args: &CommandArgs, apolo: &Path, kubectl: &Path) -> anyhow::Result<()> {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..args.rounds * 10 {
        for ((program, arguments), times) in
            [(apolo, &["version"][..]), (kubectl, &["version", "--client"])].iter().zip(&mut times)
        {
            times.push(timed(Command::new(program).args(*arguments))?);
        }
    }
    let [ours, theirs] = times;
    let size = |program: &Path| anyhow::Ok(format!("{:.1}", std::fs::metadata(program)?.len() as f64 / 1e6));
    let rows = [
        row(["command", "ms", "x kubectl", "binary MB"]),
        row([
            "apolo version",
            &Spread::of(&ours).to_string(),
            &Spread::of_ratios(&ours, &theirs).to_string(),
            &size(apolo)?,
        ]),
        row(["kubectl version --client", &Spread::of(&theirs).to_string(), "", &size(kubectl)?]),
    ];
    table::print("S15  start and size", &rows);
    Ok(())
}

/// How long it takes to list so many secrets, and how many bytes come.
async fn listed(
    args: &CommandArgs,
    ns: &Namespace,
    count: usize,
    runs: usize,
    apolo: &Path,
    kubectl: &Path,
) -> anyhow::Result<()> {
    say(&format!("S15: {count} secrets"));
    let secrets: Api<Secret> = ns.api();
    let value =
        |number: usize| ByteString((0..SIZE).map(|at| u8::try_from((at * 31 + number) % 251).unwrap_or(0)).collect());
    let make = |number: usize| {
        let name = format!("secret-{number:04}");
        let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
        let secret = Secret { metadata, data: Some([(name, value(number))].into()), ..Secret::default() };
        let secrets = secrets.clone();
        async move { secrets.create(&PostParams::default(), &secret).await.map(drop).context("a secret") }
    };
    fly(WIDTH, (0..count).map(make)).await?;

    let tunnel = Tunnel::start(ns.url()).await?;
    let kubeconfig = tunnel.kubeconfig(&ns.kubeconfig("admin", &["system:masters"])?)?;
    let command = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).args(["--namespace", &ns.name]).env("KUBECONFIG", &kubeconfig);
        command
    };
    let mut times = [Vec::new(), Vec::new()];
    let mut bytes = [0, 0];
    for _ in 0..args.rounds * runs {
        for (at, (program, arguments)) in
            [(apolo, ["secret", "ls"]), (kubectl, ["get", "secrets"])].into_iter().enumerate()
        {
            let mut command = command(program, &arguments);
            let before = tunnel.received();
            let took = tokio::task::spawn_blocking(move || timed(&mut command)).await??;
            if let (Some(times), Some(bytes)) = (times.get_mut(at), bytes.get_mut(at)) {
                times.push(took);
                *bytes = tunnel.received() - before;
            }
        }
    }
    let [ours, theirs] = times;
    let share = |bytes: u64| bytes as f64 / (count * SIZE) as f64 * 100.0;
    let ratios = Spread::of_ratios(&ours, &theirs);
    let cells = |name: &str, times: &[f64], ratio: String, bytes: u64, goal: String| {
        vec![
            name.to_owned(),
            Spread::of(times).to_string(),
            ratio,
            format!("{:.0}", bytes as f64 / 1e3),
            format!("{:.2} %", share(bytes)),
            goal,
        ]
    };
    let goal = format!("{}, bytes {}", at_most(1.0, ratios.median), at_most(1.0, share(bytes[0])));
    let rows = [
        row(["command", "ms", "x kubectl", "KB received", "of the values", "goal"]),
        cells("apolo secret ls", &ours, ratios.to_string(), bytes[0], goal),
        cells("kubectl get secrets", &theirs, String::new(), bytes[1], String::new()),
    ];
    table::print(&format!("S15  {count} secrets of {} KB", SIZE / 1_000), &rows);
    Ok(())
}

/// Milliseconds from the start of a command, which has to succeed, to its end.
fn timed(command: &mut Command) -> anyhow::Result<f64> {
    let began = Instant::now();
    let status =
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(began.elapsed().as_secs_f64() * 1e3)
}
