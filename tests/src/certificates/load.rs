//! Pods that are asked for all the while, in dry runs, two at a time: some that ask for secrets, some that do not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

/// How often each of them comes.
const TURN: Duration = Duration::from_millis(50);

/// What came of Pods.
#[derive(Debug, Default, Clone)]
pub struct Came {
    /// How many that asked for a secret came back with it.
    pub rewritten: usize,
    /// How many that asked came back as they were.
    pub unchanged: usize,
    /// How many that asked for nothing came back.
    pub others: usize,
    /// What was refused, and how often, by the words.
    pub refused: BTreeMap<String, usize>,
}

/// Who asks all the while.
#[derive(Debug)]
pub struct Load {
    came: Arc<Mutex<Came>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Begins, in a namespace.
    pub fn start(client: &Client, namespace: &str) -> Self {
        let came: Arc<Mutex<Came>> = Arc::default();
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let task = |asks: bool| {
            let (pods, came) = (pods.clone(), Arc::clone(&came));
            tokio::spawn(async move {
                let mut turns = interval(TURN);
                turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    turns.tick().await;
                    let outcome = ask(&pods, asks).await;
                    came.lock().unwrap_or_else(PoisonError::into_inner).note(asks, outcome);
                }
            })
        };
        let tasks = vec![task(true), task(true), task(false)];
        Self { came, tasks }
    }

    /// What came since this was asked last.
    pub fn take(&self) -> Came {
        std::mem::take(&mut *self.came.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many that asked came back with their secret since then.
    pub fn rewritten(&self) -> usize {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).rewritten
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Came {
    fn note(&mut self, asks: bool, outcome: Result<bool, String>) {
        match (asks, outcome) {
            (true, Ok(true)) => self.rewritten += 1,
            (true, Ok(false)) => self.unchanged += 1,
            (false, Ok(_)) => self.others += 1,
            (_, Err(words)) => *self.refused.entry(words).or_default() += 1,
        }
    }
}

/// Whether a Pod came back with a secret, or the words of its refusal.
async fn ask(pods: &Api<Pod>, asks: bool) -> Result<bool, String> {
    let annotations = if asks { json!({"secrets.apolo.us/env": "A=secret:a"}) } else { json!({}) };
    let pod = json!({
        "metadata": {"generateName": "asks-", "annotations": annotations},
        "spec": {"containers": [{"name": "main", "image": "registry.invalid/main"}]},
    });
    let pod: Pod = serde_json::from_value(pod).map_err(|error| error.to_string())?;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let admitted = pods.create(&dry, &pod).await.map_err(|error| match error {
        // Of a policy its own words: the name of the Pod, which the API server has made, stands before them.
        kube::Error::Api(status) => status.message.rsplit("denied request: ").next().unwrap_or_default().to_owned(),
        error => error.to_string(),
    })?;
    let spec: Value = serde_json::to_value(admitted.spec).unwrap_or_default();
    Ok(spec.pointer("/containers/0/env/0/valueFrom/secretKeyRef/key").is_some())
}
