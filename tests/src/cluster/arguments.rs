//! What each server is told. Paths are relative to the cluster's folder, in which the servers run; a flag that is not
//! here has the value that it has in any other cluster.

use std::path::Path;

use super::{Level, Limits};
use crate::{
    control_plane::{AUDIT_LOG, AUTHORITY},
    node::ADDRESS,
};

pub(super) const API_SERVER: &str = "kube-apiserver.crt";
pub(super) const API_SERVER_KEY: &str = "kube-apiserver.key";
/// By what names it is reached; the last ones from Pods.
pub(super) const API_SERVER_NAMES: [&str; 7] =
    ["127.0.0.1", "localhost", ADDRESS, "10.0.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
/// As whom the API server comes to kubelet, for logs and commands in containers.
pub(super) const KUBELET_CLIENT: &str = "kube-apiserver-to-kubelet.crt";
pub(super) const KUBELET_CLIENT_KEY: &str = "kube-apiserver-to-kubelet.key";
pub(super) const SIGNING: &str = "service-account.pub";
pub(super) const SIGNING_KEY: &str = "service-account.key";
pub(super) const AUDIT_POLICY: &str = "audit-policy.json";

/// On two sockets in the folder. What looks like a host and a port is the name of a file: etcd insists on the form.
pub(super) fn etcd() -> Vec<String> {
    let (client, peer) = ("unix://client:0", "unix://peer:0");
    vec![
        "--data-dir=etcd".into(),
        "--unsafe-no-fsync".into(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
    ]
}

pub(super) fn api_server(port: u16, level: Level) -> Vec<String> {
    let mut arguments = vec![
        format!("--secure-port={port}"),
        "--etcd-servers=unix://client:0".into(),
        "--service-cluster-ip-range=10.0.0.0/24".into(),
        "--allow-privileged".into(),
        "--authorization-mode=Node,RBAC".into(),
        format!("--client-ca-file={AUTHORITY}"),
        format!("--tls-cert-file={API_SERVER}"),
        format!("--tls-private-key-file={API_SERVER_KEY}"),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={SIGNING}"),
        format!("--service-account-signing-key-file={SIGNING_KEY}"),
        format!("--audit-policy-file={AUDIT_POLICY}"),
        format!("--audit-log-path={AUDIT_LOG}"),
    ];
    arguments.extend(match level {
        Level::ControlPlane => vec![
            "--bind-address=127.0.0.1".into(),
            "--advertise-address=127.0.0.1".into(),
            "--endpoint-reconciler-type=none".into(),
        ],
        Level::Node => vec![
            "--bind-address=0.0.0.0".into(),
            format!("--advertise-address={ADDRESS}"),
            "--kubelet-preferred-address-types=InternalIP".into(),
            format!("--kubelet-client-certificate={KUBELET_CLIENT}"),
            format!("--kubelet-client-key={KUBELET_CLIENT_KEY}"),
        ],
    });
    arguments
}

/// Each controller under a name of its own. With the default limit of 20 requests a second it takes five seconds until
/// all of them have an account and a token. Where there is no real node, the one that stands for it has no kubelet that reports:
/// a controller would taint it for that after 40 seconds, and DaemonSets would leave it.
pub(super) fn controller_manager(kubeconfig: &Path, limits: Limits, level: Level) -> Vec<String> {
    let mut arguments = client(kubeconfig);
    arguments.extend([
        "--use-service-account-credentials".into(),
        format!("--service-account-private-key-file={SIGNING_KEY}"),
        format!("--root-ca-file={AUTHORITY}"),
    ]);
    if level == Level::ControlPlane {
        arguments.push("--controllers=*,-node-lifecycle-controller".into());
    }
    if limits == Limits::Lifted {
        arguments.extend(["--kube-api-qps=1000".into(), "--kube-api-burst=2000".into()]);
    }
    arguments
}

pub(super) fn scheduler(kubeconfig: &Path) -> Vec<String> {
    client(kubeconfig)
}

/// Alone, so without an election, and serving nobody.
fn client(kubeconfig: &Path) -> Vec<String> {
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    vec![kubeconfig, "--leader-elect=false".into(), "--secure-port=0".into()]
}
