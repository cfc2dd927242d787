//! Whether the API server can believe the webhook: by a handshake of one's own with what caBundle says at the moment, since the API
//! server keeps its connections for long; and by Pods that ask for secrets.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::Request;
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    core::v1::Pod,
};
use kube::{Api, Client, Config, Resource, api::PostParams};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{Instant, Interval, MissedTickBehavior, interval, timeout},
};

use crate::webhook::RELEASE;

/// How long the API server waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who can tell whether the webhook is believed.
#[derive(Clone)]
pub struct Believed {
    client: Client,
    url: String,
}

/// What was seen meanwhile.
#[derive(Debug)]
pub struct Watched {
    seen: Arc<Mutex<Seen>>,
    tasks: Vec<JoinHandle<()>>,
}

/// How often it was asked, and what went wrong.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// Handshakes.
    pub handshakes: usize,
    /// Pods.
    pub pods: usize,
    /// What went wrong, in words.
    pub failures: Vec<String>,
    /// How many authorities were in a caBundle at most.
    pub most: usize,
    since: Option<Instant>,
}

impl Believed {
    pub(super) fn new(client: Client, url: &str) -> Self {
        Self { client, url: url.to_owned() }
    }

    /// The caBundles of both configurations, each once.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn bundles(&self) -> Result<Vec<String>, String> {
        let mut bundles = self.bundles_of::<MutatingWebhookConfiguration>().await?;
        bundles.extend(self.bundles_of::<ValidatingWebhookConfiguration>().await?);
        bundles.dedup();
        Ok(bundles)
    }

    async fn bundles_of<K>(&self) -> Result<Vec<String>, String>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    {
        let found = Api::<K>::all(self.client.clone()).get(RELEASE).await.map_err(|error| error.to_string())?;
        let found: Value = serde_json::to_value(found).map_err(|error| error.to_string())?;
        let hooks = found.get("webhooks").and_then(Value::as_array).cloned().unwrap_or_default();
        let text = |hook: &Value| {
            let bundle = hook.pointer("/clientConfig/caBundle").and_then(Value::as_str).unwrap_or_default();
            String::from_utf8_lossy(&STANDARD.decode(bundle).unwrap_or_default()).into_owned()
        };
        let mut bundles: Vec<String> = hooks.iter().map(text).collect();
        bundles.dedup();
        Ok(bundles)
    }

    /// Shakes hands with the webhook as who trusts each caBundle would; how many authorities were in one at most.
    ///
    /// # Errors
    /// In words, by which it is not believed.
    pub async fn shakes_hands(&self) -> Result<usize, String> {
        let mut most = 0;
        for bundle in self.bundles().await? {
            most = most.max(self.shakes_hands_by(&bundle).await?);
        }
        Ok(most)
    }

    /// The same as who trusts these authorities (PEM); how many they are.
    ///
    /// # Errors
    /// In words, why it is not believed.
    pub async fn shakes_hands_by(&self, bundle: &str) -> Result<usize, String> {
        let roots: Vec<Vec<u8>> =
            CertificateDer::pem_slice_iter(bundle.as_bytes()).flatten().map(|der| der.to_vec()).collect();
        let count = roots.len();
        let mut config = Config::new(self.url.parse().map_err(|error| format!("{error}"))?);
        (config.root_cert, config.default_retry, config.proxy_url) = (Some(roots), false, None);
        let stranger = Client::try_from(config).map_err(|error| error.to_string())?;
        let request = Request::get("/").body(Vec::new().into()).map_err(|error| error.to_string())?;
        match timeout(PATIENCE, stranger.send(request)).await {
            Ok(Ok(_)) => Ok(count),
            Ok(Err(error)) => Err(format!("a handshake: {:#}", anyhow::Error::from(error))),
            Err(late) => Err(format!("a handshake: {late}")),
        }
    }

    /// Has a Pod that asks for a secret admitted, in a dry run.
    ///
    /// # Errors
    /// In words, why it is not.
    pub async fn admits(&self) -> Result<(), String> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), "default");
        let pod = json!({
            "metadata": {"generateName": "asks-", "annotations": {"secrets.apolo.us/env": "A=secret:a"}},
            "spec": {"containers": [{"name": "main", "image": "registry.invalid/main"}]},
        });
        let pod: Pod = serde_json::from_value(pod).map_err(|error| error.to_string())?;
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let admitted = pods.create(&dry, &pod).await.map_err(|error| format!("a Pod: {error}"))?;
        let spec = serde_json::to_value(admitted.spec).unwrap_or_default();
        let is_there = spec.pointer("/containers/0/env/0/valueFrom/secretKeyRef/key").is_some();
        if is_there { Ok(()) } else { Err("a Pod came back without what it asks for".to_owned()) }
    }
}

impl Watched {
    pub(super) fn start(believed: Believed) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = Vec::new();
        for _ in 0..2 {
            let (believed, seen) = (believed.clone(), Arc::clone(&seen));
            tasks.push(tokio::spawn(async move {
                let mut turn = turns();
                loop {
                    turn.tick().await;
                    let began = Instant::now();
                    let admitted = believed.admits().await;
                    note(&seen, began, |seen| seen.pods += 1, admitted);
                }
            }));
        }
        let shaking = Arc::clone(&seen);
        tasks.push(tokio::spawn(async move {
            let mut turn = turns();
            loop {
                turn.tick().await;
                let began = Instant::now();
                let shaken = believed.shakes_hands().await;
                let most = *shaken.as_ref().unwrap_or(&0);
                let count = |seen: &mut Seen| (seen.handshakes, seen.most) = (seen.handshakes + 1, seen.most.max(most));
                note(&shaking, began, count, shaken.map(drop));
            }
        }));
        Self { seen, tasks }
    }

    /// Whether enough was asked, since the last time that what was seen was taken, to tell anything.
    pub fn is_enough(&self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.pods > 10 && seen.handshakes > 5
    }

    /// What was seen until now, or since the last time that this was asked.
    pub fn take(&self) -> Seen {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let since = seen.since;
        std::mem::replace(&mut *seen, Seen { since, ..Seen::default() })
    }

    /// The same, and what has begun before now is not noted when it ends: something was wrong until now that was to go wrong.
    pub fn begin_anew(&self) -> Seen {
        let now = Seen { since: Some(Instant::now()), ..Seen::default() };
        std::mem::replace(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// More would not see more, and leave less of the machine to what is looked at.
fn turns() -> Interval {
    let mut turns = interval(Duration::from_millis(50));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    turns
}

fn note(seen: &Mutex<Seen>, began: Instant, count: impl FnOnce(&mut Seen), outcome: Result<(), String>) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.since.is_none_or(|since| since <= began) {
        count(&mut seen);
        seen.failures.extend(outcome.err());
    }
}
