//! `apolo-secrets controller`: its arguments, and the process from start to the end of its lease.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use apolo_api::access::Access;
use apolo_api::secret::KUBE_SYSTEM;
use apolo_core::key::{hex_digest, is_dns_label};
use apolo_runtime::client::{client, fenced_client};
use apolo_runtime::readiness::Readiness;
use apolo_runtime::review::Reviews;
use apolo_runtime::serve::listen;
use apolo_runtime::signal;
use apolo_runtime::telemetry::metrics::Metrics;
use apolo_runtime::telemetry::probes::{self, ProbesAddress};
use apolo_runtime::watched::Watched;
use apolo_runtime::workloads;
use clap::Args;
use kube::Client;
use tokio::time::interval;

use crate::apply::Writer;
use crate::catalogs::{Catalogs, Pace};
use crate::certificates::{Certificates, CertificatesArgs, Mode};
use crate::deliveries::{Deliveries, Rounds};
use crate::desired::Terms;
use crate::events::Events;
use crate::grants::Grants;
use crate::lane::Failures;
use crate::leader::{Candidate, Held};
use crate::metrics::ControllerMetrics;
use crate::queue::Queues;
use crate::store::{Reader, Store};
use crate::watch::{Restarts, Watches};
use crate::work::Work;

/// How often it is counted how things stand.
const COUNT: Duration = Duration::from_secs(1);

/// The arguments of `apolo-secrets controller`.
#[derive(Args, Debug)]
pub struct ControllerArgs {
    /// What this cluster is called in references: secret://NAME/OWNER/KEY.
    #[arg(long, env = "APOLO_CLUSTER_NAME", default_value = "default", value_parser = label, value_name = "NAME")]
    pub cluster_name: String,

    /// Namespace that this controller is installed in. No grant acts there.
    #[arg(long, env = "APOLO_OWN_NAMESPACE", default_value = "apolo-secrets", value_parser = label, value_name = "NAME")]
    pub own_namespace: String,

    /// Namespace of the Lease by which the replicas agree on who writes; the own namespace if not given.
    #[arg(long, env = "APOLO_LEASE_NAMESPACE", value_parser = label, value_name = "NAME")]
    pub lease_namespace: Option<String>,

    /// Name of that Lease.
    #[arg(long, env = "APOLO_LEASE_NAME", default_value = "apolo-secrets-controller", value_name = "NAME")]
    pub lease_name: String,

    /// Highest access that grants may give: Use, Read, Write or Manage. A grant of more gives nothing.
    #[arg(long, env = "APOLO_MAX_ACCESS", default_value = "Manage", value_parser = Access::parse, value_name = "ACCESS")]
    pub max_access: Access,

    /// File with rows of your own for the workload table, in YAML: the same that the webhook has.
    #[arg(long, env = "APOLO_WORKLOADS", value_name = "FILE")]
    pub workloads: Option<PathBuf>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub certificates: CertificatesArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub watched: Watched,

    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub probes: ProbesAddress,
}

fn label(text: &str) -> Result<String, String> {
    if is_dns_label(text) {
        return Ok(text.to_owned());
    }
    Err("it is 1 to 63 of a-z, 0-9 and \"-\", beginning and ending with a letter or digit".to_owned())
}

/// Runs the controller until it is asked to stop and has given its lease back.
///
/// # Errors
/// Where an address cannot be bound or the API server's cannot be found.
pub async fn run(args: ControllerArgs, version: &str) -> anyhow::Result<()> {
    let termination = signal::termination().context("listening for signals")?;
    let mut metrics = Metrics::new(version, SystemTime::now());
    let counts = ControllerMetrics::register(metrics.registry());
    let address = args.probes.metrics_bind_address;
    let probes = listen(address).with_context(|| format!("binding {address}"))?;
    let table = workloads::table(args.workloads.as_deref())?;
    let client = client().await?;
    let identity = identity();
    tracing::info!(metrics_address = %probes.local_addr()?, identity, version, "serving");

    let store = Arc::new(Store::default());
    let excluded = vec![KUBE_SYSTEM.to_owned(), args.own_namespace.clone()];
    let lease_namespace = args.lease_namespace.unwrap_or_else(|| args.own_namespace.clone());
    let mut candidate = Candidate::new(client.clone(), &lease_namespace, &args.lease_name, identity.clone());
    let held = candidate.held();
    let holds = held.clone();
    let fenced = fenced_client(Arc::new(move || holds.check().is_ok())).await?;
    let (events, telling) = Events::new(fenced.clone(), identity, held.clone(), counts.clone());
    let writer = Writer::new(fenced, held.clone(), counts.clone());
    let certificates = (args.certificates.mode == Mode::Builtin).then(|| {
        let parts = (writer.clone(), held.clone(), events.clone(), counts.clone());
        Arc::new(Certificates::new(&args.certificates, &args.own_namespace, parts))
    });
    let shared = Shared {
        certificates: certificates.clone(),
        store: Arc::clone(&store),
        queues: Arc::default(),
        restarts: Arc::default(),
        reader: Reader { cluster_name: args.cluster_name.clone(), table },
        terms: Terms { cluster_name: args.cluster_name, max_access: args.max_access },
        writer,
        client,
        events,
        held,
        counts,
        excluded,
        watched: args.watched,
    };
    let (work, watches) = (Arc::new(shared.work()), shared.watches());
    let readiness = readiness(&store);
    let counting = async {
        let mut tick = interval(COUNT);
        loop {
            tick.tick().await;
            let Shared { queues, held, .. } = &shared;
            shared.counts.stands(queues.grants.length(), store.unreadable(), held.check().is_ok());
        }
    };
    let terms = candidate.terms();
    let stop = async {
        termination.await;
        tracing::info!("asked to stop: nothing new is begun, and the lease is given back");
        readiness.stop();
    };
    // The work ends last, so that what was begun ends while the lease is held.
    tokio::select! {
        () = work.run(terms, stop) => {}
        () = candidate.stand() => {}
        () = watches.run() => {}
        () = watch(certificates, shared.client.clone()) => {}
        () = telling => {}
        () = counting => {}
        probed = probes::serve(probes, Arc::new(metrics), readiness.clone()) => probed.context("serving probes")?,
    }
    candidate.release().await;
    tracing::info!("stopped");
    Ok(())
}

/// Watches what certificates depend on, where they are made here.
async fn watch(certificates: Option<Arc<Certificates>>, client: Client) {
    match certificates {
        Some(certificates) => certificates.watch(client).await,
        None => std::future::pending().await,
    }
}

/// What the parts share.
struct Shared {
    certificates: Option<Arc<Certificates>>,
    store: Arc<Store>,
    queues: Arc<Queues>,
    restarts: Arc<Restarts>,
    reader: Reader,
    terms: Terms,
    /// Reads.
    client: Client,
    writer: Writer,
    events: Events,
    held: Held,
    counts: ControllerMetrics,
    excluded: Vec<String>,
    watched: Watched,
}

impl Shared {
    fn work(&self) -> Work {
        let grants = Grants {
            store: Arc::clone(&self.store),
            terms: self.terms.clone(),
            writer: self.writer.clone(),
            events: self.events.clone(),
            unreadable: Mutex::new(BTreeMap::new()),
        };
        Work {
            grants,
            deliveries: self.deliveries(),
            catalogs: Arc::new(self.catalogs()),
            certificates: self.certificates.clone(),
            queues: Arc::clone(&self.queues),
            restarts: Arc::clone(&self.restarts),
            held: self.held.clone(),
            metrics: self.counts.clone(),
            client: self.client.clone(),
            excluded: self.excluded.clone(),
            watched: self.watched.clone(),
            failures: Failures::default(),
            delivery_failures: Failures::default(),
        }
    }

    fn deliveries(&self) -> Deliveries {
        Deliveries {
            store: Arc::clone(&self.store),
            max_access: self.terms.max_access,
            reader: self.reader.clone(),
            writer: self.writer.clone(),
            reviews: Reviews::new(self.client.clone()),
            events: self.events.clone(),
            metrics: self.counts.clone(),
            told: Mutex::default(),
            rounds: Rounds::default(),
        }
    }

    fn catalogs(&self) -> Catalogs {
        Catalogs {
            store: Arc::clone(&self.store),
            terms: self.terms.clone(),
            writer: self.writer.clone(),
            queues: Arc::clone(&self.queues),
            held: self.held.clone(),
            metrics: self.counts.clone(),
            excluded: self.excluded.clone(),
            watched: self.watched.clone(),
            pace: Pace::default(),
            failures: Failures::default(),
        }
    }

    fn watches(&self) -> Watches {
        Watches {
            client: self.client.clone(),
            store: Arc::clone(&self.store),
            queues: Arc::clone(&self.queues),
            reader: self.reader.clone(),
            metrics: self.counts.clone(),
            restarts: Arc::clone(&self.restarts),
            excluded: self.excluded.clone(),
            watched: self.watched.clone(),
        }
    }
}

/// Ready when all that is watched has been told in full; also a replica that does not lead.
fn readiness(store: &Arc<Store>) -> Readiness {
    let readiness = Readiness::new();
    let store = Arc::clone(store);
    readiness.require(move || {
        let missing: Vec<String> = store.missing().iter().map(ToString::to_string).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("not told yet: {}", missing.join(", "))) }
    });
    readiness.begin();
    readiness
}

/// No other process has it: the name of the Pod, and what is random.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "controller".into());
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    format!("{host}-{}", hex_digest(&random.to_le_bytes(), 12))
}
