//! Things that are created one at a time and by turns, so that each is compared with those beside it.

use std::time::Instant;

use anyhow::Context;
use kube::Client;
use serde_json::{Value, json};

use super::pods;
use super::scene::Scene;
use crate::machine::say;
use crate::statistics::{Spread, percentile};

/// How many turns of a round come before those that count.
const WARM: usize = 10;

/// One thing that is created again and again.
#[derive(Clone)]
pub(super) struct Way {
    name: String,
    by: Client,
    url: String,
    object: Value,
}

impl Way {
    /// A Pod in a lane.
    pub(super) fn pod(name: impl Into<String>, lane: &str, by: &Client, pod: &Value) -> Self {
        let url = format!("/api/v1/namespaces/{lane}/pods");
        Self { name: name.into(), by: by.clone(), url, object: pod.clone() }
    }

    /// The question whether somebody may use a secret, which an administrator asks.
    pub(super) fn question(name: &str, by: &Client, user: &str, owner: &str, secret: &str) -> Self {
        let attributes = json!({"namespace": owner, "resource": "secrets", "name": secret, "verb": "use"});
        let object = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": attributes},
        });
        let url = "/apis/authorization.k8s.io/v1/subjectaccessreviews".to_owned();
        Self { name: name.to_owned(), by: by.clone(), url, object }
    }

    /// Creates it by a name of its own; how long that took, in ms.
    pub(super) async fn create(&self, number: usize) -> anyhow::Result<f64> {
        let word: String = self.name.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '-' }).collect();
        let body = pods::named(&self.object, &format!("{word}-{number}")).to_string();
        let request =
            http::Request::post(&self.url).header("content-type", "application/json").body(body.into_bytes())?;
        let began = Instant::now();
        self.by.request_text(request).await.with_context(|| format!("creating {}", self.name))?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }
}

/// CPU time that processes used for a creation, in µs.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    webhook: f64,
    floor: f64,
    peer: f64,
    api_server: f64,
}

impl Used {
    /// What they have used until now.
    fn now(scene: &Scene) -> anyhow::Result<Self> {
        let used = |usage: &crate::usage::Usage| Ok::<_, anyhow::Error>(usage.cpu_of_threads()?.as_secs_f64() * 1e6);
        Ok(Self {
            webhook: used(&scene.webhook)?,
            floor: used(&scene.floor)?,
            peer: scene.peer.as_ref().map(used).transpose()?.unwrap_or_default(),
            api_server: used(&scene.ground.api_server)?,
        })
    }

    /// Adds what was used between two moments; a thread that has ended takes its time with it.
    fn add(&mut self, from: Self, to: Self) {
        self.webhook += (to.webhook - from.webhook).max(0.0);
        self.floor += (to.floor - from.floor).max(0.0);
        self.peer += (to.peer - from.peer).max(0.0);
        self.api_server += (to.api_server - from.api_server).max(0.0);
    }
}

/// What one round took of one way.
#[derive(Clone, Debug, Default)]
struct Taken {
    times: Vec<f64>,
    used: Used,
}

/// What was measured of all ways.
pub(super) struct Measured {
    names: Vec<String>,
    rounds: Vec<Vec<Taken>>,
}

/// Creates each way's thing `times` times a round.
pub(super) async fn measure(
    what: &str,
    scene: &Scene,
    ways: &[Way],
    (rounds, times): (usize, usize),
) -> anyhow::Result<Measured> {
    let mut measured = Measured { names: ways.iter().map(|way| way.name.clone()).collect(), rounds: Vec::new() };
    for round in 1..=rounds {
        say(&format!("{what}, round {round} of {rounds}: {} things, {times} times each", ways.len()));
        for number in 0..WARM.min(times) {
            for way in ways {
                way.create(times + number).await?;
            }
        }
        measured.rounds.push(take(scene, ways, times).await?);
        scene.clear().await?;
    }
    Ok(measured)
}

/// One round. What a process uses until the next creation is counted to the one before, also what it does after its answer.
async fn take(scene: &Scene, ways: &[Way], times: usize) -> anyhow::Result<Vec<Taken>> {
    let mut taken = vec![Taken::default(); ways.len()];
    let mut before = Used::now(scene)?;
    for number in 0..times {
        for turn in 0..ways.len() {
            let turn = (turn + number) % ways.len();
            let Some((way, taken)) = ways.get(turn).zip(taken.get_mut(turn)) else { continue };
            taken.times.push(way.create(number).await?);
            let now = Used::now(scene)?;
            taken.used.add(before, now);
            before = now;
        }
    }
    Ok(taken)
}

impl Measured {
    /// How long a creation took, in ms.
    pub(super) fn time(&self, name: &str) -> Spread {
        self.each(name, |taken| median(taken.times.clone()))
    }

    /// How much longer one took than another, in ms: the median of the differences between neighbours.
    pub(super) fn added(&self, name: &str, to: &str) -> Spread {
        self.rounds(|round| {
            let (these, those) = (self.of(round, name)?, self.of(round, to)?);
            Some(median(these.times.iter().zip(&those.times).map(|(this, that)| this - that).collect()))
        })
    }

    /// The same beyond what one took longer than another in another pair.
    pub(super) fn added_beyond(&self, (name, to): (&str, &str), (other, other_to): (&str, &str)) -> Spread {
        self.rounds(|round| {
            let [a, b, c, d] = [name, to, other, other_to].map(|name| self.of(round, name));
            let (these, those) = (a?.times.iter().zip(&b?.times), c?.times.iter().zip(&d?.times));
            Some(median(these.zip(those).map(|((a, b), (c, d))| (a - b) - (c - d)).collect()))
        })
    }

    /// CPU time of our webhook for a creation, in µs.
    pub(super) fn webhook(&self, name: &str) -> Spread {
        self.each(name, |taken| taken.used.webhook / taken.times.len() as f64)
    }

    /// CPU time of whoever was asked about a creation, in µs.
    pub(super) fn asked(&self, name: &str) -> Spread {
        self.each(name, |Taken { times, used }| (used.webhook + used.floor + used.peer) / times.len() as f64)
    }

    /// CPU time of the API server for a creation, in ms.
    pub(super) fn api_server(&self, name: &str) -> Spread {
        self.each(name, |taken| taken.used.api_server / 1e3 / taken.times.len() as f64)
    }

    fn each(&self, name: &str, figure: impl Fn(&Taken) -> f64) -> Spread {
        self.rounds(|round| self.of(round, name).map(&figure))
    }

    fn rounds<'a>(&'a self, figure: impl Fn(&'a [Taken]) -> Option<f64>) -> Spread {
        Spread::of(&self.rounds.iter().filter_map(|round| figure(round)).collect::<Vec<f64>>())
    }

    fn of<'a>(&self, round: &'a [Taken], name: &str) -> Option<&'a Taken> {
        round.get(self.names.iter().position(|it| it == name)?)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    percentile(&values, 50)
}
