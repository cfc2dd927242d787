//! What containerd, kubelet, kube-proxy and the network plugin of a node are told. All that they write is in the folder of the cluster,
//! or goes with the enclosure; what is not here is as everywhere.

use std::{
    env,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{ADDRESS, Error, NAME, write};
use crate::control_plane::AUTHORITY;

const CONTAINERD: &str = "containerd.toml";
const KUBELET: &str = "kubelet.json";
const RESOLVER: &str = "resolv.conf";
/// The folder of the network plugin's configuration.
const NETWORK: &str = "cni";

/// Where Debian's containernetworking-plugins has its programs.
pub(super) const PLUGINS: &str = "/usr/lib/cni";

/// Pods have addresses from here.
const PODS: &str = "10.88.0.0/16";

/// The image of a Pod's sandbox.
pub(super) const SANDBOX: &str = "registry.k8s.io/pause:3.10.1";

/// Writes the files that [`containerd`], [`kubelet`] and the network plugin read. Containers are in `cgroup`.
pub(super) fn write_all(folder: &Path, cgroup: &str) -> Result<(), Error> {
    let network = folder.join(NETWORK);
    std::fs::create_dir_all(&network).map_err(|source| Error::Write { path: network.clone(), source })?;
    write(&network.join("pods.conflist"), &network_of_pods())?;
    write(&folder.join(RESOLVER), "")?;
    write(&folder.join(CONTAINERD), &containerd_file(folder))?;
    write(&folder.join(KUBELET), &kubelet_file(folder, cgroup))
}

pub(super) fn containerd() -> Vec<String> {
    vec![format!("--config={CONTAINERD}")]
}

/// The path on which containerd finds its shim, before runc.
pub(super) fn path(bin: &Path) -> PathBuf {
    let mut path = bin.as_os_str().to_owned();
    path.push(":/usr/local/sbin:/usr/local/bin:");
    path.push(env::var_os("PATH").unwrap_or_default());
    path.push(":/usr/sbin:/usr/bin:/sbin:/bin");
    path.into()
}

/// It looks for where its folder is mounted, by the whole path.
pub(super) fn kubelet(folder: &Path, kubeconfig: &Path) -> Vec<String> {
    vec![
        format!("--config={KUBELET}"),
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--root-dir={}", folder.join("kubelet").display()),
        "--cert-dir=kubelet/pki".into(),
        format!("--node-ip={ADDRESS}"),
        format!("--hostname-override={NAME}"),
    ]
}

/// The number of connections that are tracked is the whole machine's, so it is left alone.
pub(super) fn kube_proxy(kubeconfig: &Path) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--hostname-override={NAME}"),
        format!("--cluster-cidr={PODS}"),
        "--proxy-mode=nftables".into(),
        "--conntrack-max-per-core=0".into(),
    ]
}

/// Where runc may not lower its OOM score, containerd must not ask it to. AppArmor's profiles are the whole machine's, so none is loaded.
fn containerd_file(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"version = 3
root = "{folder}/containerd"
state = "{folder}/containerd-state"

[grpc]
address = "{folder}/containerd.sock"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{SANDBOX}"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
disable_apparmor = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{PLUGINS}"]
conf_dir = "{folder}/{NETWORK}"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "runc"
SystemdCgroup = false
"#
    )
}

/// A disk that others fill makes no Pod go, and what a projected volume holds follows its Secret in seconds, not in a minute.
fn kubelet_file(folder: &Path, cgroup: &str) -> String {
    let folder = folder.display();
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": false},
            "x509": {"clientCAFile": format!("{folder}/{AUTHORITY}")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{cgroup}"),
        "clusterDNS": ["10.0.0.10"],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": format!("unix://{folder}/containerd.sock"),
        "enforceNodeAllocatable": [],
        "evictionHard": {"imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.inodesFree": "0%"},
        "failCgroupV1": false,
        "failSwapOn": false,
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": false,
        "maxPods": 300,
        "resolvConf": format!("{folder}/{RESOLVER}"),
        "syncFrequency": "5s",
        "volumePluginDir": format!("{folder}/kubelet/volume-plugins"),
    })
    .to_string()
}

/// Each Pod by a link of its own to the node, so that every packet between Pods is routed, and a Service may translate it.
fn network_of_pods() -> String {
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
    .to_string()
}
