//! What each server is told. Paths are relative to the cluster's folder, in which the servers run; a flag that is not
//! here has the value that it has in any other cluster.

use std::path::Path;

use super::Limits;
use crate::control_plane::{AUDIT_LOG, AUTHORITY};

pub(super) const API_SERVER: &str = "kube-apiserver.crt";
pub(super) const API_SERVER_KEY: &str = "kube-apiserver.key";
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

pub(super) fn api_server(port: u16) -> Vec<String> {
    vec![
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={port}"),
        "--advertise-address=127.0.0.1".into(),
        "--endpoint-reconciler-type=none".into(),
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
    ]
}

/// Each controller under a name of its own. With the default limit of 20 requests a second it takes five seconds until
/// all of them have an account and a token. The node has no kubelet that reports: a controller would taint it for that
/// after 40 seconds, and DaemonSets would leave it.
pub(super) fn controller_manager(kubeconfig: &Path, limits: Limits) -> Vec<String> {
    let mut arguments = client(kubeconfig);
    arguments.extend([
        "--use-service-account-credentials".into(),
        "--controllers=*,-node-lifecycle-controller".into(),
        format!("--service-account-private-key-file={SIGNING_KEY}"),
        format!("--root-ca-file={AUTHORITY}"),
    ]);
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
