//! All connections of a server: who comes in, who must go for it, and the end.
//!
//! There is a place for everybody who is of use. When all places are taken, the newcomer gets that of the connection
//! that has been useless longest ([`Connection::usefulness`]): ten thousand idle strangers push out each other, and not
//! the API server, whose connections have been answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connection::{Connection, Shared};

/// How long to wait for the place of an evicted connection before the next is evicted, or after an error of accept(2).
const PAUSE: Duration = Duration::from_millis(100);

/// How long any client may take for an answer when others need its room; of those who take longer the slowest goes.
const STUCK: Duration = Duration::from_millis(10);

pub(super) struct Connections {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    open: HashMap<Id, Arc<Connection>>,
    /// Accepted, and waiting for a place; kept here, so that it is not lost when accepting ends.
    newcomer: Option<TcpStream>,
}

impl Connections {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), tasks: JoinSet::new(), open: HashMap::new(), newcomer: None }
    }

    /// Accepts connections for as long as it is polled.
    pub(super) async fn accept(&mut self, listener: &TcpListener) {
        loop {
            if self.newcomer.is_some() {
                self.make_room().await;
                self.begin_newcomer();
            }
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.shared.requests.answers.crowded() => {
                    self.cut_stuck();
                    continue;
                }
            };
            match accepted {
                Ok((stream, _)) => self.newcomer = Some(stream),
                // The client has gone, or there are no file descriptors: of those, one can be made.
                Err(error) => {
                    tracing::debug!(%error, "accepting a connection failed");
                    self.reap();
                    self.evict();
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Closes `listener`, but takes in those who are waiting there already.
    pub(super) fn close(&mut self, listener: TcpListener) {
        self.begin_newcomer();
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((stream, _)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                self.begin(stream);
            }
        }
    }

    /// Asks all to end, and cuts those that have not at `deadline`.
    pub(super) async fn finish(mut self, deadline: Instant) {
        self.open.values().for_each(|connection| connection.finish());
        let all = async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                forget(&mut self.open, ended);
            }
        };
        if timeout_at(deadline, all).await.is_err() {
            tracing::warn!(connections = self.open.len(), "connections were cut: they did not end in time");
        }
    }

    fn begin(&mut self, stream: TcpStream) {
        let connection = Arc::new(Connection::new(Instant::now()));
        let task = self.tasks.spawn(Arc::clone(&connection).run(stream, Arc::clone(&self.shared)));
        self.open.insert(task.id(), connection);
    }

    fn begin_newcomer(&mut self) {
        if let Some(stream) = self.newcomer.take() {
            self.begin(stream);
        }
    }

    /// Waits until there is a place for one more.
    async fn make_room(&mut self) {
        self.reap();
        while self.tasks.len() >= self.shared.limits.max_connections.max(1) {
            self.evict();
            if let Ok(Some(ended)) = timeout(PAUSE, self.tasks.join_next_with_id()).await {
                forget(&mut self.open, ended);
            }
        }
    }

    fn evict(&self) {
        let useless = self.open.values().filter_map(|connection| Some((connection.usefulness()?, connection)));
        if let Some((_, connection)) = useless.min_by_key(|(usefulness, _)| *usefulness) {
            self.shared.requests.metrics.evicted();
            connection.evict();
        }
    }

    /// Cuts the connection whose client has not taken its answers for longest, if there still is no room.
    fn cut_stuck(&mut self) {
        self.reap();
        if !self.shared.requests.answers.is_crowded() {
            return;
        }
        let stuck = self.open.values().filter_map(|connection| Some((connection.stuck()?, connection)));
        let stuck = stuck.filter(|(since, _)| since.elapsed() >= STUCK);
        if let Some((_, connection)) = stuck.min_by_key(|(since, _)| *since) {
            self.shared.requests.metrics.evicted();
            connection.cut();
        }
    }

    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            forget(&mut self.open, ended);
        }
    }
}

fn forget(open: &mut HashMap<Id, Arc<Connection>>, ended: Result<(Id, ()), JoinError>) {
    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
    open.remove(&id);
}
