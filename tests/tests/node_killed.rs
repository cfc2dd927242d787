//! A node whose owner is killed leaves nothing on the machine, and what it does to the kernel it does to its own namespaces.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, ensure};
use apolo_tests::{binaries::built, eventually::eventually, node::enclosure::Enclosure};

/// With a Pod that runs, so that there are mounts, cgroups and a container's processes.
const WITH_A_POD: &str = "kubectl run one --image=busybox:1.35 --command -- sleep 86400 >&2
kubectl wait --for=condition=Ready --timeout=60s pod/one >&2
echo $APOLO_TEST_CLUSTER
sleep 86400";

/// A node of its own, and the folder of its enclosure.
fn start() -> anyhow::Result<(Child, PathBuf)> {
    let mut node = Command::new(built("cluster")?)
        .args(["run", "--node", "--bare", "--", "bash", "-c", WITH_A_POD])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(node.stdout.take().context("no stdout")?).read_line(&mut line)?;
    let folder = Path::new(line.trim()).parent().context("the node has not started")?.to_owned();
    Ok((node, folder))
}

fn kill(process: &str) -> anyhow::Result<()> {
    ensure!(Command::new("kill").args(["-KILL", process]).status()?.success(), "cannot kill {process}");
    Ok(())
}

/// What of a node there is on the machine: its folder, its cgroups, its processes, its mounts.
fn traces(folder: &Path) -> anyhow::Result<Vec<String>> {
    let name = folder.file_name().and_then(|name| name.to_str()).context("no name")?;
    let mut traces: Vec<String> = folder.exists().then(|| folder.display().to_string()).into_iter().collect();
    let cgroups = Command::new("find").args(["/sys/fs/cgroup", "-name", name]).output()?;
    traces.extend(String::from_utf8(cgroups.stdout)?.lines().map(str::to_owned));
    let processes = Command::new("ps").args(["-A", "-ww", "-o", "args="]).output()?;
    traces.extend(
        String::from_utf8_lossy(&processes.stdout)
            .lines()
            .filter(|line| line.contains("sleep 86400"))
            .map(str::to_owned),
    );
    traces.extend(fs::read_to_string("/proc/mounts")?.lines().filter(|line| line.contains(name)).map(str::to_owned));
    Ok(traces)
}

/// What kubelet sets on a machine that is its own.
fn parameters() -> std::io::Result<Vec<String>> {
    let names = ["kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "net/ipv4/ip_forward"];
    names.iter().map(|name| fs::read_to_string(Path::new("/proc/sys").join(name))).collect()
}

async fn leaves_nothing(folder: &Path) -> anyhow::Result<()> {
    eventually("nothing is left of the node", async || match traces(folder) {
        Ok(traces) if traces.is_empty() => Ok(()),
        Ok(traces) => Err(traces.join("\n")),
        Err(error) => Err(error.to_string()),
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_node_that_is_killed_leaves_nothing_and_one_whose_guard_is_killed_nothing_for_the_next() -> anyhow::Result<()>
{
    let before = parameters()?;
    let (mut node, folder) = start()?;
    let there = traces(&folder)?;
    for what in ["/sys/fs/cgroup", "sleep 86400"] {
        assert!(there.iter().any(|trace| trace.contains(what)), "no {what} in {there:?}");
    }
    assert!(!there.iter().any(|trace| trace.starts_with("tmpfs ") || trace.starts_with("overlay ")), "{there:?}");
    assert_eq!(parameters()?, before);
    node.kill()?;
    node.wait()?;
    leaves_nothing(&folder).await?;

    let (mut node, folder) = start()?;
    let guards =
        Command::new("pgrep").args(["--full", &format!("apolo-tests-guard {}$", folder.display())]).output()?;
    for guard in String::from_utf8(guards.stdout)?.lines() {
        kill(guard)?;
    }
    node.kill()?;
    node.wait()?;
    assert!(traces(&folder)?.len() > 1);
    drop(Enclosure::new()?);
    leaves_nothing(&folder).await?;
    assert_eq!(parameters()?, before);
    Ok(())
}
