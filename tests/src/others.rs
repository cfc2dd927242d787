//! Mutating webhooks of others, which are asked after ours: each answers every review with one patch.

use std::{
    collections::BTreeMap,
    io,
    net::TcpListener,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::post,
};
use axum_server::tls_rustls::RustlsConfig;
use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
};
use serde_json::{Value, json};

use crate::{
    authority::{self, Authority},
    command,
    namespace::Namespace,
};

/// The label of the Pods about which a webhook is asked: its name.
pub const LABEL: &str = "example.com/webhook";

/// For how long their certificate is good.
const LIFE: Duration = Duration::from_secs(3600);

/// A webhook of somebody else.
#[derive(Debug, Clone)]
pub struct Other {
    /// Its name.
    pub name: &'static str,
    /// Its `reinvocationPolicy`: `Never`, or `IfNeeded`, where it is asked again about what ours has changed since.
    pub reinvocation: &'static str,
    /// What it answers: a JSON Patch.
    pub patch: Value,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They got no certificate.
    #[error("cannot make a certificate for a webhook")]
    Authority(#[from] authority::Error),
    /// Their certificate cannot be read.
    #[error("cannot read the certificate of a webhook")]
    Pem(#[from] pem::Error),
    /// They cannot serve TLS with it.
    #[error("cannot serve a webhook")]
    Tls(#[from] rustls::Error),
    /// They cannot listen, or kubectl cannot be run.
    #[error("cannot start a webhook")]
    Start(#[from] io::Error),
    /// The API server does not take them.
    #[error("cannot make webhooks known: {0}")]
    Apply(String),
}

impl Namespace {
    /// Makes webhooks known to the API server, for the Pods of this namespace with the [`LABEL`]. It asks them a moment later.
    ///
    /// # Errors
    /// When they cannot serve, or be made known.
    pub async fn other_webhooks(&self, others: &[Other]) -> Result<(), Error> {
        let url = serve(self.authority(), others)?;
        let authority = STANDARD.encode(&self.authority().pair().certificate);
        let webhooks: Vec<Value> = others
            .iter()
            .map(|other| {
                json!({
                    "name": format!("{}.example.com", other.name), "admissionReviewVersions": ["v1"],
                    "sideEffects": "None", "reinvocationPolicy": other.reinvocation,
                    "clientConfig": {"url": format!("{url}/{}", other.name), "caBundle": authority},
                    "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.name}},
                    "objectSelector": {"matchLabels": {LABEL: other.name}},
                })
            })
            .collect();
        // Webhooks are asked in the order of their configurations' names.
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": format!("z-{}", self.name)}, "webhooks": webhooks,
        });
        let applied = command::run(self.kubectl(["apply", "--filename=-"]), configuration.to_string()).await?;
        if applied.status.success() { Ok(()) } else { Err(Error::Apply(applied.stderr)) }
    }
}

/// Serves them until the runtime ends, each at a path of its own.
fn serve(authority: &Authority, others: &[Other]) -> Result<String, Error> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let url = format!("https://{}", listener.local_addr()?);
    let pair = authority.server(&["127.0.0.1"], SystemTime::now() + LIFE)?;
    let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).collect::<Result<_, _>>()?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?)?;
    let patches = others.iter().map(|other| (other.name.to_owned(), other.patch.clone()));
    let patches: Arc<BTreeMap<String, Value>> = Arc::new(patches.collect());
    let router = Router::new().route("/{name}", post(answer)).with_state(patches);
    let server = axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(config)))?;
    tokio::spawn(server.serve(router.into_make_service()));
    Ok(url)
}

async fn answer(
    Path(name): Path<String>,
    State(patches): State<Arc<BTreeMap<String, Value>>>,
    Json(review): Json<Value>,
) -> Json<Value> {
    Json(json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": {
        "uid": review.pointer("/request/uid"), "allowed": true, "patchType": "JSONPatch",
        "patch": patches.get(&name).map(|patch| STANDARD.encode(patch.to_string())),
    }}))
}
