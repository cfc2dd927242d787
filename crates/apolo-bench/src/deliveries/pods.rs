//! When the gates of Pods are lifted, as a watch tells.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use apolo_tests::delivered::is_gated;
use apolo_tests::namespace::Namespace;
use futures_util::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, ResourceExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long nothing may be heard.
const DEADLINE: Duration = Duration::from_secs(60);

/// Watches the Pods of a namespace for as long as it lives.
pub(super) struct Gates {
    news: UnboundedReceiver<(String, Instant)>,
    lifted: HashMap<String, Instant>,
    _watch: JoinSet<()>,
}

impl Gates {
    /// Watches from now on.
    pub(super) async fn watch(namespace: &Namespace) -> anyhow::Result<Self> {
        let (sender, mut news) = unbounded_channel();
        let mut watch = JoinSet::new();
        watch.spawn(follow(namespace.api(), sender));
        timeout(DEADLINE, news.recv()).await.context("the watch does not begin")?;
        Ok(Self { news, lifted: HashMap::new(), _watch: watch })
    }

    /// When the gate of this Pod was lifted, or the Pod came without one.
    pub(super) async fn lifted(&mut self, name: &str) -> anyhow::Result<Instant> {
        loop {
            if let Some(at) = self.lifted.get(name) {
                return Ok(*at);
            }
            self.hear().await.with_context(|| format!("the gate of {name}"))?;
        }
    }

    /// When so many Pods were there without a gate.
    pub(super) async fn so_many(&mut self, count: usize) -> anyhow::Result<Instant> {
        while self.lifted.len() < count {
            self.hear().await.with_context(|| format!("{} of {count} gates", self.lifted.len()))?;
        }
        self.lifted.values().max().copied().context("no Pod")
    }

    async fn hear(&mut self) -> anyhow::Result<()> {
        let heard = timeout(DEADLINE, self.news.recv()).await.context("nothing is heard of")?;
        let (name, at) = heard.context("the watch has ended")?;
        self.lifted.entry(name).or_insert(at);
        Ok(())
    }
}

async fn follow(pods: Api<Pod>, sender: UnboundedSender<(String, Instant)>) {
    let stream = watcher(pods, Config::default());
    pin_mut!(stream);
    while let Some(event) = stream.next().await {
        let told = match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) if !is_gated(&pod) => pod.name_any(),
            Ok(Event::InitDone) => String::new(),
            _ => continue,
        };
        if sender.send((told, Instant::now())).is_err() {
            return;
        }
    }
}
