//! What happens in a storm, by chance: grants and Pods come and go, and sources change.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use anyhow::Context;
use fastrand::Rng;
use futures_util::future::try_join_all;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    counts::Counts,
    town::{Ask, Given, SECRETS, Town, lose, make, rotate},
};
use crate::{namespace::Namespace, sharing::in_seconds};

/// How often something happens.
const PACE: Duration = Duration::from_millis(50);
/// How many Pods, Pods that have ended, and grants there are at most.
const MOST_PODS: usize = 60;
const MOST_ENDED: usize = 20;
const MOST_GRANTS: usize = 30;
/// How long a grant stands at least, so that no two looks can miss it.
const GRANT: Duration = Duration::from_secs(2);
/// For how long an expired grant stays: longer than its access may.
const EXPIRED: Duration = Duration::from_secs(8);
/// For how long a source is away.
const AWAY: Duration = Duration::from_secs(1);
/// What who may not is told.
const REFUSAL: &str = "may not use secret:/";

/// Who does it all.
pub struct Actor<'a> {
    town: &'a Town<'a>,
    random: Rng,
    number: usize,
    standing: Vec<(Given<'a>, Instant)>,
    /// What will expire, when, and what has.
    expiring: Vec<(Given<'a>, Instant)>,
    expired: Vec<(Given<'a>, Instant)>,
    pods: Vec<(&'a Namespace, String)>,
    ended: VecDeque<(&'a Namespace, String)>,
    away: Vec<(&'a Namespace, &'static str, Instant)>,
    counts: Counts,
}

impl<'a> Actor<'a> {
    /// Who acts as this seed says.
    pub fn new(town: &'a Town<'a>, seed: u64) -> Self {
        Self {
            town,
            random: Rng::with_seed(seed),
            number: 0,
            standing: Vec::new(),
            expiring: Vec::new(),
            expired: Vec::new(),
            pods: Vec::new(),
            ended: VecDeque::new(),
            away: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Acts for as long, telling each time how many acts were done.
    ///
    /// # Errors
    /// When the API server answers otherwise than it has to.
    pub async fn act(&mut self, lasts: Duration, acts: watch::Sender<usize>) -> anyhow::Result<Counts> {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = Instant::now() + lasts;
        while Instant::now() < end {
            pace.tick().await;
            self.tend().await?;
            self.one().await?;
            acts.send_modify(|acts| *acts += 1);
        }
        Ok(self.counts)
    }

    /// What has to be done at its time.
    async fn tend(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        for (owner, secret, _) in self.away.extract_if(.., |(_, _, since)| now > *since + AWAY) {
            make(owner, secret).await?;
        }
        for gone in self.expiring.extract_if(.., |(_, at)| now > *at) {
            self.counts.withdrawals += 1;
            self.expired.push(gone);
        }
        for (given, _) in self.expired.extract_if(.., |(_, at)| now > *at + EXPIRED) {
            delete(&given).await?;
        }
        Ok(())
    }

    async fn one(&mut self) -> anyhow::Result<()> {
        match self.random.u8(..100) {
            0..35 if self.pods.len() < MOST_PODS => self.create_pods().await,
            0..55 => self.end_pods(true).await,
            55..62 => self.end_pods(false).await,
            62..78 if self.standing.len() + self.expiring.len() < MOST_GRANTS => self.give().await,
            62..88 => self.withdraw().await,
            88..91 => self.snatch().await,
            91..93 => self.lose().await,
            _ => self.rotate().await,
        }
    }

    fn ask(&mut self) -> Option<Ask<'a>> {
        let random = &mut self.random;
        let given = random.choice(self.standing.iter().chain(&self.expiring).collect::<Vec<_>>());
        match given {
            Some((given, _)) if random.u8(..10) < 7 => self.town.ask_by(random, given),
            _ => self.town.any_ask(random),
        }
    }

    fn next(&mut self, kind: &str) -> String {
        self.number += 1;
        format!("{kind}-{}", self.number)
    }

    /// Some at once, each by who may or may not.
    async fn create_pods(&mut self) -> anyhow::Result<()> {
        let mut creating = Vec::new();
        for _ in 0..self.random.usize(1..=4) {
            let Some(ask) = self.ask() else { continue };
            let name = self.next("pod");
            let by_file = self.random.u8(..4) == 0;
            creating.push(async move {
                let pod = ask.pod(&name, by_file);
                let created = create(&ask, &pod).await?;
                anyhow::Ok(created.then_some((ask.destination, name)))
            });
        }
        for created in try_join_all(creating).await? {
            self.count(created);
        }
        Ok(())
    }

    fn count(&mut self, created: Option<(&'a Namespace, String)>) {
        self.counts.refusals += usize::from(created.is_none());
        self.pods.extend(created);
    }

    /// Some Pods are deleted, or have ended.
    async fn end_pods(&mut self, deleted: bool) -> anyhow::Result<()> {
        for _ in 0..self.random.usize(1..=2) {
            if self.pods.is_empty() {
                return Ok(());
            }
            let (destination, name) = self.pods.swap_remove(self.random.usize(..self.pods.len()));
            if !deleted {
                destination.finish(&name).await?;
            }
            if deleted {
                destination.delete_pod(&name).await?;
            } else {
                self.ended.push_back((destination, name));
            }
            if self.ended.len() > MOST_ENDED
                && let Some((destination, name)) = self.ended.pop_front()
            {
                destination.delete_pod(&name).await?;
            }
        }
        Ok(())
    }

    async fn give(&mut self) -> anyhow::Result<()> {
        let name = self.next("grant");
        let Some(given) = self.town.grant(&mut self.random, name) else { return Ok(()) };
        let mut spec = given.spec();
        let seconds = self.random.u32(3..=8);
        let expires = self.random.u8(..5) == 0;
        let now = Instant::now();
        if expires && let Some(spec) = spec.as_object_mut() {
            spec.insert("expiresAt".into(), json!(in_seconds(seconds.into())));
        }
        given.owner.share(&given.name, &spec).await?;
        self.counts.grants += 1;
        if expires {
            self.expiring.push((given, now + Duration::from_secs(seconds.into())));
        } else {
            self.standing.push((given, now));
        }
        Ok(())
    }

    /// One that has stood for long enough.
    fn take(&mut self) -> Option<Given<'a>> {
        let now = Instant::now();
        let old = |(_, since): &(Given, Instant)| now > *since + GRANT;
        let indexes: Vec<usize> =
            (0..self.standing.len()).filter(|at| self.standing.get(*at).is_some_and(old)).collect();
        let index = self.random.choice(indexes)?;
        Some(self.standing.swap_remove(index).0)
    }

    /// A grant is deleted, narrowed, widened, or made to expire.
    async fn withdraw(&mut self) -> anyhow::Result<()> {
        let Some(mut given) = self.take() else { return Ok(()) };
        let now = Instant::now();
        match self.random.u8(..10) {
            0..3 if given.narrow() => {
                given.owner.change(&given.name, &given.spec()).await?;
                self.counts.withdrawals += 1;
                self.standing.push((given, now));
            }
            3..5 => {
                given.owner.change(&given.name, &json!({"expiresAt": in_seconds(1)})).await?;
                self.expiring.push((given, now + Duration::from_secs(1)));
            }
            5 => {
                given.secrets = SECRETS.to_vec();
                given.owner.change(&given.name, &given.spec()).await?;
                self.standing.push((given, now));
            }
            _ => {
                delete(&given).await?;
                self.counts.withdrawals += 1;
            }
        }
        Ok(())
    }

    /// A grant is deleted in the moment in which somebody uses it.
    async fn snatch(&mut self) -> anyhow::Result<()> {
        let Some(given) = self.take() else { return Ok(()) };
        let name = self.next("pod");
        let Some(ask) = self.town.ask_by(&mut self.random, &given) else { return Ok(()) };
        let pod = ask.pod(&name, false);
        let (created, ()) = tokio::try_join!(create(&ask, &pod), delete(&given))?;
        self.counts.withdrawals += 1;
        self.count(created.then_some((ask.destination, name)));
        Ok(())
    }

    fn source(&mut self) -> Option<(&'a Namespace, &'static str)> {
        let (owner, secret) = (self.random.choice(self.town.owners)?, self.random.choice(SECRETS)?);
        let is_away = self.away.iter().any(|(of, name, _)| of.name == owner.name && *name == secret);
        (!is_away).then_some((owner, secret))
    }

    async fn lose(&mut self) -> anyhow::Result<()> {
        if let Some((owner, secret)) = self.source() {
            lose(owner, secret).await?;
            self.away.push((owner, secret, Instant::now()));
        }
        Ok(())
    }

    async fn rotate(&mut self) -> anyhow::Result<()> {
        match self.source() {
            Some((owner, secret)) => rotate(owner, &mut self.random, secret).await,
            None => Ok(()),
        }
    }

    /// The storm is over: what is away comes back.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        for (owner, secret, _) in self.away.drain(..) {
            make(owner, secret).await?;
        }
        // What expires and has not, and what has: who looks at what is left waits for no clock.
        for (given, _) in self.expiring.drain(..).chain(self.expired.drain(..)) {
            delete(&given).await?;
        }
        Ok(())
    }
}

/// Whether a Pod was created; if not, it was refused as nobody shares with it.
async fn create(ask: &Ask<'_>, pod: &Value) -> anyhow::Result<bool> {
    match ask.somebody().create(&ask.destination.name, pod).await? {
        Ok(_) => Ok(true),
        Err(said) if said.contains(REFUSAL) => Ok(false),
        Err(said) => anyhow::bail!("a Pod was refused otherwise: {said}"),
    }
}

async fn delete(given: &Given<'_>) -> anyhow::Result<()> {
    let deleted = given.owner.grants().delete(&given.name, &DeleteParams::default()).await;
    deleted.map(drop).with_context(|| format!("cannot delete {}", given.name))
}
