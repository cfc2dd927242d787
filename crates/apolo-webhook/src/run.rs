//! `apolo-secrets webhook`: its arguments, and the process from start to drain.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use apolo_api::access::Access;
use apolo_core::key::is_dns_label;
use apolo_runtime::certificate::{Certificate, CertificateMetrics, Files};
use apolo_runtime::client::client;
use apolo_runtime::limits::Limits;
use apolo_runtime::readiness::Readiness;
use apolo_runtime::review::Reviews;
use apolo_runtime::serve::{Server, ServerMetrics, listen};
use apolo_runtime::signal;
use apolo_runtime::telemetry::metrics::Metrics;
use apolo_runtime::telemetry::probes::{self, ProbesAddress};
use apolo_runtime::watched::Watched;
use apolo_runtime::workloads::table;
use clap::Args;
use kube::Client;
use tokio::net::TcpListener;

use crate::catalogs::Catalogs;
use crate::known::Known;
use crate::record::Decisions;
use crate::trusted::Trusted;
use crate::{PATHS, Webhook, router};

/// The account of Kueue, which starts suspended Jobs, in its default installation.
const KUEUE: &str = "system:serviceaccount:kueue-system:kueue-controller-manager";

/// The arguments of `apolo-secrets webhook`.
#[derive(Args, Debug)]
pub struct WebhookArgs {
    /// Address of the webhook, over HTTPS.
    #[arg(long, env = "APOLO_BIND_ADDRESS", default_value = "0.0.0.0:10250", value_name = "ADDRESS")]
    pub bind_address: SocketAddr,

    /// What this cluster is called in references: secret://NAME/OWNER/KEY.
    #[arg(long, env = "APOLO_CLUSTER_NAME", default_value = "default", value_parser = cluster_name, value_name = "NAME")]
    pub cluster_name: String,

    /// File with rows of your own for the workload table, in YAML: the kinds, beside those that are shipped, whose Pod
    /// templates are checked. The chart's value `workloads` has to name the same ones, so that they are sent here.
    #[arg(long, env = "APOLO_WORKLOADS", value_name = "FILE")]
    pub workloads: Option<PathBuf>,

    /// Highest access that grants may give: Use, Read, Write or Manage. A grant of more is refused.
    #[arg(long, env = "APOLO_MAX_ACCESS", default_value = "Manage", value_parser = Access::parse, value_name = "ACCESS")]
    pub max_access: Access,

    /// Accounts that may change where and when the Pods of a workload run (node selector, affinity, tolerations, gates, labels,
    /// annotations that are not ours) without becoming who launched them.
    #[arg(long, env = "APOLO_NEUTRAL_EDITORS", value_delimiter = ',', default_value = KUEUE, value_name = "USER")]
    pub neutral_editors: Vec<String>,

    /// Name of both webhook configurations. If given, this webhook is ready only while each caBundle there makes the API server
    /// believe the certificate that it serves.
    #[arg(long, env = "APOLO_WEBHOOK_NAME", value_name = "NAME")]
    pub webhook_name: Option<String>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub watched: Watched,

    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub files: Files,

    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub probes: ProbesAddress,

    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub limits: Limits,
}

fn cluster_name(text: &str) -> Result<String, String> {
    if is_dns_label(text) {
        return Ok(text.to_owned());
    }
    Err("a cluster's name is 1 to 63 of a-z, 0-9 and \"-\", beginning and ending with a letter or digit".to_owned())
}

/// Runs the webhook until it is asked to stop and has drained.
///
/// # Errors
/// Where an address cannot be bound or TLS cannot be had.
pub async fn run(args: WebhookArgs, version: &str) -> anyhow::Result<()> {
    let shutdown = signal::termination().context("listening for signals")?;
    let table = table(args.workloads.as_deref())?;
    let mut metrics = Metrics::new(version, SystemTime::now());
    let registry = metrics.registry();
    let server_metrics = ServerMetrics::register(registry, &PATHS);
    let certificate = Certificate::new(args.files, CertificateMetrics::register(registry));
    let client = client().await?;
    let (known, catalogs) = (Arc::new(Known::default()), Arc::new(Catalogs::default()));
    let router = router(Webhook {
        cluster_name: args.cluster_name,
        table,
        max_access: args.max_access,
        reviews: Reviews::new(client.clone()),
        known: Arc::clone(&known),
        catalogs: Arc::clone(&catalogs),
        neutral_editors: args.neutral_editors,
        decisions: Decisions::register(registry),
    });

    let readiness = Readiness::new();
    let told = Arc::clone(&known);
    readiness.require(move || if told.is_complete() { Ok(()) } else { Err("not told yet: grants".to_owned()) });
    let trusted = args.webhook_name.map(|name| Arc::new(Trusted::new(name)));
    if let Some(trusted) = &trusted {
        let (trusted, certificate) = (Arc::clone(trusted), certificate.clone());
        readiness
            .require(move || trusted.check(|bundle, host| certificate.trusted_by(bundle, host, SystemTime::now())));
    }
    let listener = bind(args.bind_address)?;
    let probes = bind(args.probes.metrics_bind_address)?;
    tracing::info!(
        address = %listener.local_addr()?,
        metrics_address = %probes.local_addr()?,
        version,
        "serving"
    );
    let server = Server {
        listener,
        router,
        certificate: Some(certificate),
        limits: args.limits,
        metrics: server_metrics,
        readiness: readiness.clone(),
    };
    tokio::select! {
        served = server.run(shutdown) => served.context("serving the webhook")?,
        () = known.watch(client.clone(), &args.watched) => {}
        () = catalogs.watch(client.clone()) => {}
        () = watch(trusted, client) => {}
        probed = probes::serve(probes, Arc::new(metrics), readiness) => probed.context("serving probes")?,
    }
    tracing::info!("stopped");
    Ok(())
}

async fn watch(trusted: Option<Arc<Trusted>>, client: Client) {
    match trusted {
        Some(trusted) => trusted.watch(client).await,
        None => std::future::pending().await,
    }
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    listen(address).with_context(|| format!("binding {address}"))
}
