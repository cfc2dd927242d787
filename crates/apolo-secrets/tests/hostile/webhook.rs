//! The webhook under attack: a process of its own, and an honest client who looks on.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::client::Http2;

/// The most that it may ever hold: R8.
const MOST_BYTES: u64 = 64_000_000;

/// Names an API server where nobody is.
const KUBECONFIG: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "nowhere",
    "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
    "clusters": [{"name": "nowhere", "cluster": {"server": "https://127.0.0.1:9"}}],
    "users": [{"name": "nobody", "user": {}}]}"#;

/// More than any step takes on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// What resolves in time, or the test fails.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// A running webhook. Dropping it kills it.
pub(crate) struct Webhook {
    pub(crate) address: SocketAddr,
    pub(crate) root: CertificateDer<'static>,
    process: Child,
    _files: TempDir,
}

impl Webhook {
    /// One with these flags besides its files and addresses.
    pub(crate) async fn new(flags: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress(IpAddr::from([127, 0, 0, 1]))];
        let certificate = params.self_signed(&key).unwrap();
        let paths = [("tls.crt", certificate.pem()), ("tls.key", key.serialize_pem())].map(|(name, pem)| {
            let path = files.path().join(name);
            fs::write(&path, pem).unwrap();
            path.display().to_string()
        });
        // No API server is needed for Pods, only to know where one would be.
        let kubeconfig = files.path().join("kubeconfig");
        fs::write(&kubeconfig, KUBECONFIG).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_apolo-secrets"))
            .env("KUBECONFIG", kubeconfig)
            .args(["webhook", "--bind-address=127.0.0.1:0", "--metrics-bind-address=127.0.0.1:0"])
            .args([format!("--tls-cert-file={}", paths[0]), format!("--tls-private-key-file={}", paths[1])])
            .args(flags)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = soon("the webhook to serve", async {
            loop {
                let line: Value = serde_json::from_str(&log.next_line().await.unwrap().unwrap()).unwrap();
                if line["message"] == "serving" {
                    return line["address"].as_str().unwrap().parse().unwrap();
                }
            }
        })
        .await;
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self { address, root: certificate.der().clone(), process, _files: files }
    }

    /// Attacks, while honest clients ask without a pause, on one connection and on a new one each time; then once more.
    /// Every answer must be right, and memory bounded.
    pub(crate) async fn survives<T>(&self, name: &str, attack: impl Future<Output = T>) -> T {
        let newcomers = async {
            loop {
                self.serves_newcomer(name).await;
            }
        };
        let attack = async {
            tokio::select! {
                done = attack => done,
                never = newcomers => never,
            }
        };
        self.keeps_serving(name, attack).await
    }

    /// The same with a client that was there before; newcomers are the attack's business.
    pub(crate) async fn keeps_serving<T>(&self, name: &str, attack: impl Future<Output = T>) -> T {
        let connection = Http2::new(self).await;
        check(&connection.post("/pods/mutate", review()).await, name);
        let honest = async {
            loop {
                check(&connection.post("/pods/mutate", review()).await, name);
            }
        };
        let done = tokio::select! {
            done = soon(name, attack) => done,
            never = honest => never,
        };
        soon("an honest answer", self.serves_newcomer(name)).await;
        let peak = self.peak();
        assert!(peak <= MOST_BYTES, "{name}: it held {peak} bytes");
        done
    }

    /// An honest client comes, asks, and goes.
    pub(crate) async fn serves_newcomer(&self, name: &str) {
        check(&Http2::new(self).await.post("/pods/mutate", review()).await, name);
    }

    /// The most memory that it has held (`VmHWM` of proc(5)), in bytes.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }
}

/// An honest review.
fn review() -> Bytes {
    let pod = json!({
        "metadata": {"name": "train", "annotations": {"secrets.apolo.us/env": "A=secret:a"}},
        "spec": {"containers": [{"name": "main", "image": "busybox"}]},
    });
    Bytes::from(review_of("honest", &pod.to_string()))
}

/// A review of a Pod on CREATE, all as it should be but perhaps the object.
pub(crate) fn review_of(uid: &str, object: &str) -> String {
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"{uid}","resource":{{
        "group":"","version":"v1","resource":"pods"}},"namespace":"bob","operation":"CREATE","userInfo":{{
        "username":"bob"}},"object":{object}}}}}"#
    )
}

fn check((status, body): &(u16, Bytes), name: &str) {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let response = &answer["response"];
    let right = *status == 200 && response["uid"] == "honest" && response["allowed"] == true;
    assert!(right && response["patch"].is_string(), "an honest request under {name}: {status} {answer}");
}
