//! Capturing: reviews as a real API server sends them.
//!
//! A recorder is registered as both hooks, without matchConditions, so that Pods without our annotations come too. It
//! keeps each review and passes it on to the real webhook, so that the validating hook sees what the mutating one made.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use clap::Args;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::plain;
use crate::review::{Hook, PODS, Review};
use crate::server::Server;
use crate::site::{Contender, Site};

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/pods");
/// The namespace of the Pods; nothing else in the cluster is recorded.
const NAMESPACE: &str = "bob";
/// Sorts before the chart's, so that Pods come as they were applied also where the chart is installed.
const CONFIGURATION: &str = "apolo-bench";
const DEADLINE: Duration = Duration::from_secs(60);

/// The arguments of `apolo-bench capture`.
#[derive(Args, Debug)]
pub struct CaptureArgs {
    /// Where to keep the reviews.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Set by `cluster run`; so nothing is ever registered at a cluster that somebody uses.
    #[arg(long, env = "APOLO_TEST_CLUSTER", hide = true)]
    cluster: PathBuf,
}

struct Recorder {
    site: Site,
    webhook: Server,
    reviews: Mutex<HashMap<(String, Hook), Bytes>>,
}

/// Captures a review of each Pod at each hook.
///
/// # Errors
/// When one does not come.
pub async fn run(args: CaptureArgs) -> anyhow::Result<()> {
    let site = Site::new(&args.folder, None)?;
    let webhook = site.launch(Contender::Webhook)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("https://{}", listener.local_addr()?);
    let tls = plain::tls(&fs::read(&site.certificate)?, &fs::read(&site.key)?)?;
    let configurations = configurations(&url, &STANDARD.encode(&site.authority));
    let recorder = Arc::new(Recorder { site, webhook, reviews: Mutex::default() });
    let mut router = Router::new();
    for hook in Hook::ALL {
        let handler = post(move |state, body| record(state, body, hook));
        router = router.route(&hook.path(), handler);
    }
    let router = router.layer(DefaultBodyLimit::disable()).with_state(Arc::clone(&recorder));
    tokio::spawn(plain::serve(listener, tls, router));

    kubectl(&["create", "namespace", NAMESPACE], "").await?;
    kubectl(&["-n", NAMESPACE, "wait", "--for=create", "--timeout=60s", "serviceaccount/default"], "").await?;
    kubectl(&["apply", "--filename=-"], &configurations.to_string()).await?;
    let captured = apply(&recorder).await;
    let configurations = ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"].join(",");
    kubectl(&["delete", &configurations, CONFIGURATION], "").await?;
    kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"], "").await?;
    captured?;
    write(&recorder, &args.folder)
}

/// Keeps a review, the newest of its Pod, and answers as the webhook does.
async fn record(
    State(recorder): State<Arc<Recorder>>,
    body: Bytes,
    hook: Hook,
) -> (StatusCode, [(http::HeaderName, &'static str); 1], Bytes) {
    let pod = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let pod = pod.pointer("/request/object/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    recorder.reviews().insert((pod, hook), body.clone());
    let answer = recorder.site.client.post(recorder.webhook.address, &hook.path(), body).await;
    let (status, body) = match answer {
        Ok(answer) => (StatusCode::from_u16(answer.status).unwrap_or_default(), answer.body),
        Err(error) => (StatusCode::BAD_GATEWAY, Bytes::from(format!("{error:#}"))),
    };
    (status, [(CONTENT_TYPE, "application/json")], body)
}

impl Recorder {
    fn reviews(&self) -> std::sync::MutexGuard<'_, HashMap<(String, Hook), Bytes>> {
        self.reviews.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Applies the Pods, when the API server, which hears of a configuration a moment later, asks the recorder.
async fn apply(recorder: &Recorder) -> anyhow::Result<()> {
    let file = |pod: &str| format!("--filename={MANIFESTS}/{pod}.yaml");
    let began = Instant::now();
    while recorder.reviews().len() < Hook::ALL.len() {
        ensure!(began.elapsed() < DEADLINE, "the API server does not ask the recorder");
        kubectl(&["-n", NAMESPACE, "create", "--dry-run=server", &file("small")], "").await?;
        sleep(Duration::from_millis(100)).await;
    }
    recorder.reviews().clear();
    for pod in PODS {
        kubectl(&["-n", NAMESPACE, "apply", &file(pod)], "").await?;
    }
    Ok(())
}

fn write(recorder: &Recorder, folder: &Path) -> anyhow::Result<()> {
    let reviews = recorder.reviews();
    for (pod, hook) in PODS.into_iter().flat_map(|pod| Hook::ALL.map(|hook| (pod, hook))) {
        let name = Review::name(pod, hook);
        let review = reviews.get(&(pod.to_owned(), hook)).with_context(|| format!("no review {name} came"))?;
        let file = Review::file(folder, pod, hook);
        fs::write(&file, review).with_context(|| format!("writing {}", file.display()))?;
        eprintln!("    {name:<16} {:>6} bytes", review.len());
    }
    Ok(())
}

/// Both hooks, as the chart has them but for the matchConditions, and for one namespace.
fn configurations(url: &str, authority: &str) -> Value {
    let configuration = |kind: &str, hook: Hook| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": CONFIGURATION},
            "webhooks": [{
                "name": "pods.secrets.apolo.us",
                "clientConfig": {"url": format!("{url}{}", hook.path()), "caBundle": authority},
                "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
            }],
        })
    };
    json!({"apiVersion": "v1", "kind": "List", "items": [
        configuration("MutatingWebhookConfiguration", Hook::Mutate),
        configuration("ValidatingWebhookConfiguration", Hook::Validate),
    ]})
}

async fn kubectl(arguments: &[&str], stdin: &str) -> anyhow::Result<()> {
    let mut child = Command::new("kubectl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("running kubectl")?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(stdin.as_bytes()).await?;
    }
    let output = timeout(DEADLINE, child.wait_with_output()).await.context("kubectl does not end")??;
    if !output.status.success() {
        bail!("kubectl {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
