//! The honest client: reviews at a steady rate, one at a time on one connection and sixteen in flight on another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

use crate::client::{Client, Connection};

/// Each connection: how many take turns on it, and how often each of them asks.
const LANES: [(usize, Duration); 2] = [(1, Duration::from_millis(10)), (16, Duration::from_millis(80))];

/// After this time the API server would have given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an honest client asks, of whom, and what it is to be told.
#[derive(Clone)]
pub(crate) struct Honest {
    pub(crate) client: Client,
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) review: Bytes,
    /// The right answer, byte for byte.
    pub(crate) right: Bytes,
}

/// How it went.
#[derive(Debug, Default)]
pub(crate) struct Served {
    /// Milliseconds from when a request was due to its answer, sorted.
    pub(crate) latencies: Vec<f64>,
    /// Requests that were not answered rightly.
    pub(crate) errors: u64,
    /// What was wrong with the first of them.
    pub(crate) first: Option<String>,
}

/// A connection that is made again when it has ended.
struct Lane {
    honest: Honest,
    connection: Mutex<Option<Arc<Connection>>>,
}

impl Honest {
    /// Asks for as long as `time`.
    pub(crate) async fn ask(&self, time: Duration) -> Served {
        let (mut tasks, end) = (JoinSet::new(), Instant::now() + time);
        for (width, pause) in LANES {
            let lane = Arc::new(Lane { honest: self.clone(), connection: Mutex::default() });
            for _ in 0..width {
                tasks.spawn(Arc::clone(&lane).ask(pause, end));
            }
        }
        let mut all = Served::default();
        while let Some(served) = tasks.join_next().await {
            let served = served.unwrap_or_default();
            all.latencies.extend(served.latencies);
            all.errors += served.errors;
            all.first = all.first.or(served.first);
        }
        all.latencies.sort_by(f64::total_cmp);
        all
    }
}

impl Lane {
    async fn ask(self: Arc<Self>, pause: Duration, end: Instant) -> Served {
        let (mut turns, mut served) = (interval(pause), Served::default());
        loop {
            // A turn that comes late counts from when it was due.
            let due = turns.tick().await;
            if due >= end {
                return served;
            }
            let asked = timeout(PATIENCE, self.once()).await.context("there was no answer in time");
            served.latencies.push(due.elapsed().as_secs_f64() * 1e3);
            if let Err(error) = asked.flatten() {
                served.errors += 1;
                served.first.get_or_insert_with(|| format!("{error:#}"));
            }
        }
    }

    async fn once(&self) -> anyhow::Result<()> {
        let Honest { client, address, path, review, right } = &self.honest;
        let connection = {
            let mut place = self.connection.lock().await;
            match place.as_ref().filter(|connection| !connection.has_ended()) {
                Some(connection) => Arc::clone(connection),
                None => Arc::clone(place.insert(Arc::new(client.http2(*address).await?))),
            }
        };
        let answer = connection.post(path, review.clone()).await?;
        ensure!(answer.status == 200 && answer.body == *right, "the answer was {} and another", answer.status);
        Ok(())
    }
}
