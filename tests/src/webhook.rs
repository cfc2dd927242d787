//! The webhook, outside the cluster: the real binary as a process, made known to a control plane by the chart.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    authority::{self, CertificatePair},
    binaries,
    cluster::server::{self, Server},
    command,
    control_plane::{self, ControlPlane},
    eventually::{NotYet, eventually},
    proxy::Proxy,
};

/// The binary, as it is called in the folder of a cluster.
const BINARY: &str = "apolo-secrets";
/// Names, in the environment, a binary to be used instead of the one that was built beside this program.
const BINARY_PATH: &str = "APOLO_SECRETS_BINARY";
/// The release, and the namespace that it is said to be in.
pub const RELEASE: &str = "apolo-secrets";
/// The service account of the webhook, in the namespace of the release.
const WEBHOOK_ACCOUNT: &str = "apolo-secrets-webhook";
/// Values of the chart for a cluster in which no Pod runs: webhook and controller are outside.
pub const OUTSIDE: &str = "controller.enabled=false";
/// The chart.
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/apolo-secrets");

/// A webhook that runs. Dropping it kills it; what the chart made stays.
#[derive(Debug)]
pub struct Webhook {
    /// Where the API server reaches it: `https://127.0.0.1:PORT`.
    pub url: String,
    server: Server,
}

/// Why there is no webhook.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its binary is not there.
    #[error("cannot find the binary {BINARY} at {}: cargo build -p apolo-secrets", .path.display())]
    Binary {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It got no certificate.
    #[error("cannot make a certificate for the webhook")]
    Authority(#[from] authority::Error),
    /// A file in the cluster's folder could not be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It did not start.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// It does not do what it should.
    #[error(transparent)]
    NotYet(#[from] NotYet),
    /// A program could not be run.
    #[error("cannot run {0}")]
    Run(&'static str, #[source] io::Error),
    /// A program failed.
    #[error("{program} failed ({status}): {stderr}")]
    Failed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// The cluster could not be reached.
    #[error(transparent)]
    ControlPlane(#[from] control_plane::Error),
}

impl ControlPlane {
    /// Starts the webhook, makes it known by the chart, and returns when the API server asks it.
    ///
    /// # Errors
    /// When it does not start, or the API server does not come to ask it.
    pub async fn install(&self) -> Result<Webhook, Error> {
        let webhook = self.start_webhook().await?;
        self.make_known(webhook, &[]).await
    }

    /// The same of a webhook that reaches the API server through a proxy only.
    ///
    /// # Errors
    /// When it does not start, or the API server does not come to ask it.
    pub async fn install_behind(&self, proxy: &Proxy) -> Result<Webhook, Error> {
        let webhook = self.start_webhook_at(proxy.url(), &[]).await?;
        self.make_known(webhook, &[]).await
    }

    /// The same with rows of one's own for the workload table, in YAML.
    ///
    /// # Errors
    /// When it does not start, or the API server does not come to ask it.
    pub async fn install_with_workloads(&self, rows: &str) -> Result<Webhook, Error> {
        let write = |name: &str, content: String| {
            let path = self.folder().join(name);
            std::fs::write(&path, content).map_err(|source| Error::Write { path: path.clone(), source })?;
            Ok::<_, Error>(path.display().to_string())
        };
        let indented: String = rows.lines().map(|line| format!("  {line}\n")).collect();
        let values = write("values.yaml", format!("workloads:\n{indented}"))?;
        let workloads = write("workloads.yaml", rows.to_owned())?;
        let webhook = self.start_webhook_at(self.url(), &[format!("--workloads={workloads}")]).await?;
        self.make_known(webhook, &["--values", &values]).await
    }

    /// The same where hooks and policies act in these namespaces only; `default` is to be one of them.
    ///
    /// # Errors
    /// When it does not start, or the API server does not come to ask it.
    pub async fn install_watching(&self, namespaces: &[&str]) -> Result<Webhook, Error> {
        let names = namespaces.join(",");
        let webhook = self.start_webhook_at(self.url(), &[format!("--watch-namespaces={names}")]).await?;
        self.make_known(webhook, &["--set", &format!("watchNamespaces={{{names}}}")]).await
    }

    async fn make_known(&self, webhook: Webhook, values: &[&str]) -> Result<Webhook, Error> {
        let rendered = self.render_with(&webhook.url, values).await?;
        self.apply_release(&rendered).await?;
        self.policies_hold().await?;
        asked(self.admin().await?).await?;
        Ok(webhook)
    }

    /// Applies what the chart renders, after the namespace that the release is said to be in.
    pub(crate) async fn apply_release(&self, rendered: &str) -> Result<(), Error> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RELEASE}});
        for manifest in [&namespace.to_string(), rendered] {
            run("kubectl", self.kubectl(["apply", "--filename=-"]), manifest).await?;
        }
        Ok(())
    }

    /// Starts the webhook, and returns when it serves; the API server does not know it yet.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_webhook(&self) -> Result<Webhook, Error> {
        self.start_webhook_at(self.url(), &[]).await
    }

    async fn start_webhook_at(&self, url: &str, more: &[String]) -> Result<Webhook, Error> {
        self.write_webhook_certificate(Duration::from_secs(24 * 60 * 60))?;
        let pair = ["webhook.crt", "webhook.key"].map(|name| self.folder().join(name));
        let (server, line) = self.serve_webhook(BINARY, url, &pair, more).await?;
        Ok(Webhook { url: format!("https://{}", address(&line, "address")), server })
    }

    /// Starts the webhook as a program of this name, with these files of a certificate and its key, and returns when it serves, with the line
    /// of its log that says where.
    pub(crate) async fn serve_webhook(
        &self,
        name: &'static str,
        url: &str,
        [certificate, key]: &[PathBuf; 2],
        more: &[String],
    ) -> Result<(Server, Value), Error> {
        self.link_binary(name)?;
        let kubeconfig = self.webhook_kubeconfig(url).await?;
        let arguments = [
            "webhook".to_owned(),
            "--bind-address=127.0.0.1:0".to_owned(),
            "--metrics-bind-address=127.0.0.1:0".to_owned(),
            format!("--tls-cert-file={}", certificate.display()),
            format!("--tls-private-key-file={}", key.display()),
            "--drain-delay=0s".to_owned(),
        ];
        let arguments = [&arguments, more].concat();
        let mut server = Server::start_in(self.folder(), name, &arguments, &[("KUBECONFIG", &kubeconfig)])?;
        let log = self.folder().join(format!("{name}.log"));
        let started = eventually("the webhook serves", async || match server.check() {
            Ok(()) => serving_line(&log).map(Ok).ok_or("no line of its log says so"),
            Err(ended) => Ok(Err(ended)),
        });
        let line = started.await??;
        Ok((server, line))
    }

    /// Makes the account of the webhook as the chart has it, with its rights, before the rest of the chart.
    pub(crate) async fn webhook_kubeconfig(&self, url: &str) -> Result<PathBuf, Error> {
        let files = ["--show-only=templates/webhook-account.yaml", "--show-only=templates/webhook-rights.yaml"];
        let rendered = self.render_with("https://127.0.0.1:9", &files).await?;
        self.apply_release(&rendered).await?;
        Ok(self.kubeconfig_of_account_at(url, RELEASE, WEBHOOK_ACCOUNT).await?)
    }

    /// Makes the binary one of the programs of the cluster, by this name.
    pub(crate) fn link_binary(&self, name: &str) -> Result<(), Error> {
        let binary = binary()?;
        let link = self.bin().join(name);
        if !link.exists() {
            let linked = std::os::unix::fs::symlink(&binary, &link);
            linked.map_err(|source| Error::Write { path: link, source })?;
        }
        Ok(())
    }

    /// Writes a new certificate for the webhook, over the one that it has.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn write_webhook_certificate(&self, life: Duration) -> Result<(), Error> {
        let CertificatePair { certificate, key } = self.authority().server(&["127.0.0.1"], SystemTime::now() + life)?;
        for (name, content) in [("webhook.crt", certificate), ("webhook.key", key)] {
            let path = self.folder().join(name);
            std::fs::write(&path, content).map_err(|source| Error::Write { path, source })?;
        }
        Ok(())
    }

    /// What the chart renders for a webhook at `url`.
    ///
    /// # Errors
    /// When helm refuses.
    pub async fn render(&self, url: &str) -> Result<String, Error> {
        self.render_with(url, &[]).await
    }

    async fn render_with(&self, url: &str, values: &[&str]) -> Result<String, Error> {
        let set = format!("{OUTSIDE},webhook.url={url}");
        let arguments = ["template", RELEASE, CHART, "--no-hooks", "--namespace", RELEASE, "--set", &set];
        let rendered = run("helm", self.helm([&arguments, values].concat()), "").await?;
        Ok(self.trusting(&rendered))
    }

    /// The same, in which the API server trusts whom this control plane's authority signs for. The chart says nothing of that: whoever
    /// makes the certificate does.
    fn trusting(&self, rendered: &str) -> String {
        let authority = STANDARD.encode(&self.authority().pair().certificate);
        let mut trusting = String::new();
        for line in rendered.lines() {
            trusting.push_str(&format!("{line}\n"));
            if let Some((indent, "")) = line.split_once("clientConfig:") {
                trusting.push_str(&format!("{indent}  caBundle: {authority}\n"));
            }
        }
        trusting
    }

    /// The metrics of the webhook that runs, as text.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn webhook_metrics(&self) -> Result<String, Error> {
        self.webhook_probe("/metrics").await
    }

    /// What the webhook that runs answers when it is asked whether it is ready: status line, header and body.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn webhook_readiness(&self) -> Result<String, Error> {
        self.webhook_probe("/readyz").await
    }

    async fn webhook_probe(&self, path: &str) -> Result<String, Error> {
        let fetch = async {
            let line = serving_line(&self.webhook_log()).ok_or(io::ErrorKind::NotConnected)?;
            get(&address(&line, "metrics_address"), path).await
        };
        fetch.await.map_err(|source| Error::Run("a probe of the webhook", source))
    }

    /// Where the webhook that runs serves: `https://127.0.0.1:PORT`; none if none does.
    pub fn webhook_url(&self) -> Option<String> {
        serving_line(&self.webhook_log()).map(|line| format!("https://{}", address(&line, "address")))
    }

    /// The decisions on a namespace, as the webhook has logged them.
    pub fn decisions(&self, namespace: &str) -> Vec<Value> {
        let is_here = |line: &Value| line.get("namespace").and_then(Value::as_str) == Some(namespace);
        lines(&self.webhook_log()).into_iter().filter(is_here).collect()
    }

    /// The log of the webhook: one JSON object a line.
    pub fn webhook_log(&self) -> PathBuf {
        self.folder().join(format!("{BINARY}.log"))
    }
}

impl Webhook {
    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Asks it to stop, as kubelet does, and waits until it has.
    ///
    /// # Errors
    /// When it does not stop by the deadline.
    pub async fn stop(&mut self) -> Result<(), Error> {
        let terminate = Command::new("kill").arg("-TERM").arg(self.server.id().to_string()).status();
        terminate.map_err(|source| Error::Run("kill", source))?;
        let server = &mut self.server;
        eventually("the webhook stops", async || match server.check() {
            Ok(()) => Err("it runs"),
            Err(_) => Ok(()),
        })
        .await?;
        Ok(())
    }
}

/// The binary that was built beside this program, or that the environment names.
///
/// # Errors
/// When it is not there.
pub fn binary() -> Result<PathBuf, Error> {
    match std::env::var_os(BINARY_PATH) {
        Some(path) => std::fs::canonicalize(&path).map_err(|source| Error::Binary { path: path.into(), source }),
        None => binaries::built(BINARY).map_err(|source| Error::Binary { path: PathBuf::from("target"), source }),
    }
}

/// What a server answers to a request for a path, in plain text: status line, header and body.
pub(crate) async fn get(address: &str, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

pub(crate) fn address(serving_line: &Value, name: &str) -> String {
    serving_line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(crate) fn serving_line(log: &Path) -> Option<Value> {
    lines(log).into_iter().find(|line| line.get("metrics_address").is_some())
}

fn lines(log: &Path) -> Vec<Value> {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits until the API server, which hears of a new configuration a moment later, asks the webhook.
pub(crate) async fn asked(client: Client) -> Result<(), NotYet> {
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let manifest = json!({
        "metadata": {"generateName": "asked-", "annotations": {"secrets.apolo.us/env": "mistake"}},
        "spec": {"containers": [{"name": "main", "image": "registry.invalid/main"}]},
    });
    eventually("the API server asks the webhook", async || {
        let pod: Pod = serde_json::from_value(manifest.clone()).map_err(|error| error.to_string())?;
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        match pods.create(&dry, &pod).await {
            Ok(_) => Err("a mistake was let pass".to_owned()),
            Err(error) if error.to_string().contains("there is no \"=\"") => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

/// What a program that succeeds prints.
pub(crate) async fn run(program: &'static str, command: Command, stdin: &str) -> Result<String, Error> {
    let finished = command::run(command, stdin).await.map_err(|source| Error::Run(program, source))?;
    if finished.status.success() {
        Ok(finished.stdout)
    } else {
        Err(Error::Failed { program, status: finished.status, stderr: finished.stderr })
    }
}
