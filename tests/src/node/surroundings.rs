//! What a node needs around it, made in its enclosure before anything starts: an address, mounts that reach no further, and kernel
//! parameters that kubelet may set without setting those of the machine.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{ADDRESS, Error, run, write};
use crate::cluster::guard::CONTROLLERS;

const CGROUPS: &str = "/sys/fs/cgroup";

/// The controllers of version 2 that kubelet asks for.
///
/// Source: `getSupportedUnifiedControllers` of Kubernetes.
const NEEDED: [&str; 5] = ["cpu", "cpuset", "hugetlb", "memory", "pids"];

/// Kubelet sets these to what it wants, for the whole machine.
const PARAMETERS: [&str; 6] = [
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
];

/// Prepares the network and the file system of the enclosure.
pub(super) async fn prepare() -> Result<(), Error> {
    let address = format!("{ADDRESS}/24");
    for command in [
        // What kubelet mounts must be seen in containers, and what a container mounts by kubelet.
        &["mount", "--make-rshared", "/"][..],
        &["mount", "-t", "tmpfs", "tmpfs", "/run"],
        &["mount", "-t", "tmpfs", "tmpfs", "/var/log"],
        // Not loopback, which kubelet refuses; a bridge, for not every kernel has a dummy device. No packet leaves it.
        &["ip", "link", "set", "lo", "up"],
        &["ip", "link", "add", "node", "type", "bridge"],
        &["ip", "address", "add", &address, "dev", "node"],
        &["ip", "link", "set", "node", "up"],
        &["ip", "route", "add", "default", "via", "192.0.2.254"],
    ] {
        run_all(command).await?;
    }
    hide_state_of_plugins().await?;
    for parameter in PARAMETERS {
        replace(parameter).await?;
    }
    Ok(())
}

/// The network plugins keep what they did in /var/lib/cni, and there is no way to tell them of another place.
async fn hide_state_of_plugins() -> Result<(), Error> {
    let (upper, work) = (make("var-lib")?, make("var-lib-work")?);
    let layers = format!("lowerdir=/var/lib,upperdir={},workdir={}", upper.display(), work.display());
    run_all(&["mount", "-t", "overlay", "-o", &layers, "overlay", "/var/lib"]).await
}

/// Puts a file of our own, of the same content, in place of a kernel parameter.
async fn replace(parameter: &str) -> Result<(), Error> {
    let path = Path::new("/proc/sys").join(parameter);
    let own = make("parameters")?.join(parameter.replace('/', "-"));
    let content = fs::read_to_string(&path).map_err(|source| Error::Write { path: path.clone(), source })?;
    write(&own, &content)?;
    run_all(&[OsStr::new("mount"), OsStr::new("--bind"), own.as_os_str(), path.as_os_str()]).await
}

/// A cgroup for all Pods of the node, in each hierarchy that there is; its name. It is named after the folder of the enclosure, whose
/// guard removes it.
pub(super) fn make_cgroup(folder: &Path) -> Result<String, Error> {
    let enclosure = folder.parent().unwrap_or(folder);
    let name = enclosure.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for hierarchy in hierarchies(enclosure)? {
        let path = hierarchy.join(&name);
        fs::create_dir_all(&path).map_err(|source| Error::Write { path, source })?;
    }
    Ok(name)
}

/// One of version 2, or those of version 1. What has to be turned on for the whole machine is written into the folder of the enclosure,
/// for its guard to turn it off again.
fn hierarchies(enclosure: &Path) -> Result<Vec<PathBuf>, Error> {
    let root = Path::new(CGROUPS);
    if root.join("cgroup.controllers").exists() {
        let control = root.join("cgroup.subtree_control");
        let on = fs::read_to_string(&control).map_err(|source| Error::Write { path: control.clone(), source })?;
        let others = turned_on_by_others(enclosure);
        let is_to_be_turned_off = |controller: &&&str| {
            !on.split_whitespace().any(|it| it == **controller) || others.iter().any(|it| it == **controller)
        };
        let noted: String = NEEDED.iter().filter(is_to_be_turned_off).map(|it| format!("{it}\n")).collect();
        write(&enclosure.join(CONTROLLERS), &noted)?;
        for controller in NEEDED {
            // Where it cannot be had, kubelet says what it lacks.
            let _ = fs::write(&control, format!("+{controller}"));
        }
        return Ok(vec![root.into()]);
    }
    let entries = root.read_dir().map_err(|source| Error::Write { path: root.into(), source })?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.join("cgroup.procs").exists()).collect())
}

/// The controllers that the nodes beside this one have turned on: who ends last turns them off.
fn turned_on_by_others(enclosure: &Path) -> Vec<String> {
    let beside = enclosure.parent().and_then(|parent| parent.read_dir().ok());
    let noted = beside.into_iter().flatten().flatten().map(|entry| entry.path().join(CONTROLLERS));
    noted
        .filter_map(|file| fs::read_to_string(file).ok())
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn make(name: &str) -> Result<PathBuf, Error> {
    let path = env::temp_dir().join(name);
    fs::create_dir_all(&path).map_err(|source| Error::Write { path: path.clone(), source })?;
    Ok(path)
}

async fn run_all<A: AsRef<OsStr>>(words: &[A]) -> Result<(), Error> {
    let [program, arguments @ ..] = words else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments);
    run(command).await.map(drop)
}
