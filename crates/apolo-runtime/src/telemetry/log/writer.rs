//! Lines on their way to stdout: many make them, one thread writes them, and if it cannot, they are lost, and counted.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::timestamp::Timestamp;

/// The most that waits to be written, in bytes.
const ROOM: usize = 1 << 20;

/// How long lines are gathered: waking the thread costs as much as making ten lines.
const GATHER: Duration = Duration::from_millis(1);

/// How long the end of the process may wait for a stuck reader.
const PATIENCE: Duration = Duration::from_secs(1);

/// The thread that writes. Dropping it waits until all lines are written, but not for long.
#[derive(Debug)]
pub struct Writer(Lines);

/// Where lines are put.
#[derive(Clone, Debug)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Told to the thread when it sleeps and there is something to do.
    filled: Condvar,
    /// Told by the thread when it has written.
    written: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<u8>,
    lost: u64,
    asleep: bool,
    writing: bool,
    closed: bool,
}

impl Writer {
    /// Starts the thread. It ends when the writer is dropped.
    pub(super) fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let lines = Lines(Arc::clone(&shared));
        thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_to(sink))?;
        Ok(Self(lines))
    }

    pub(super) fn lines(&self) -> Lines {
        self.0.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Lines(shared) = &self.0;
        let mut queue = shared.queue();
        queue.closed = true;
        shared.filled.notify_one();
        let unwritten = |queue: &mut Queue| queue.writing || !queue.waiting.is_empty();
        drop(shared.written.wait_timeout_while(queue, PATIENCE, unwritten));
    }
}

impl Lines {
    /// Puts a line in the queue, if there is room.
    pub(super) fn push(&self, line: &[u8]) {
        let Self(shared) = self;
        let mut queue = shared.queue();
        if queue.waiting.len() + line.len() > ROOM {
            queue.lost += 1;
            return;
        }
        queue.waiting.extend_from_slice(line);
        if std::mem::take(&mut queue.asleep) {
            drop(queue);
            shared.filled.notify_one();
        }
    }
}

impl Shared {
    /// Writes whole lines, as many as there are with one call, until the queue is closed and empty.
    fn write_to(&self, mut sink: impl Write) {
        let mut batch = Vec::new();
        while self.next(&mut batch) {
            // If nobody reads any more, there is nobody to tell.
            let _ = sink.write_all(&batch);
            self.queue().writing = false;
            self.written.notify_all();
        }
    }

    /// Puts what waits to be written into `batch`, once there is something. False at the end.
    fn next(&self, batch: &mut Vec<u8>) -> bool {
        let mut queue = self.queue();
        while queue.waiting.is_empty() {
            if queue.closed {
                return false;
            }
            queue.asleep = true;
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.asleep = false;
        drop(queue);
        thread::sleep(GATHER);

        let mut queue = self.queue();
        batch.clear();
        std::mem::swap(&mut queue.waiting, batch);
        if queue.lost > 0 {
            batch.extend_from_slice(loss(queue.lost, SystemTime::now()).as_bytes());
        }
        queue.lost = 0;
        queue.writing = true;
        true
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn loss(lines: u64, now: SystemTime) -> String {
    let at = Timestamp::new(now);
    let message = "lines of this log were lost: they were not read in time";
    format!("{{\"timestamp\":\"{at}\",\"level\":\"WARN\",\"message\":\"{message}\",\"lines\":{lines}}}\n")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use serde_json::Value;

    use super::*;

    /// A sink of which each call is seen, and waits until it is.
    struct Calls(SyncSender<Vec<u8>>);

    impl Write for Calls {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer() -> (Writer, Receiver<Vec<u8>>) {
        let (sender, calls) = sync_channel(0);
        (Writer::start(Calls(sender)).unwrap(), calls)
    }

    #[test]
    fn writes_whole_lines_with_each_call() {
        let (writer, calls) = writer();
        let makers: Vec<_> = (0..4)
            .map(|maker| {
                let lines = writer.lines();
                thread::spawn(move || (0..500).for_each(|n| lines.push(format!("{{\"{maker}\":{n}}}\n").as_bytes())))
            })
            .collect();
        let reader = thread::spawn(move || calls.iter().collect::<Vec<_>>());
        makers.into_iter().for_each(|maker| maker.join().unwrap());
        drop(writer);
        let calls = reader.join().unwrap();
        assert!(calls.iter().all(|call| call.ends_with(b"}\n")));
        let text = String::from_utf8(calls.concat()).unwrap();
        assert_eq!(text.lines().count(), 2000);
        assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    }

    #[test]
    fn counts_what_it_loses_to_a_stuck_reader() {
        let (writer, calls) = writer();
        let lines = writer.lines();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        // Nobody reads: one batch is on its way, one MiB waits, the rest is lost, and nobody is held up.
        (0..5000).for_each(|_| lines.push(&line));
        let reader = thread::spawn(move || calls.iter().flatten().collect::<Vec<u8>>());
        drop(writer);
        let text = String::from_utf8(reader.join().unwrap()).unwrap();
        let (lost, kept): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with('{'));
        let lost: Vec<Value> = lost.into_iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let lines: u64 = lost.iter().filter_map(|line| line["lines"].as_u64()).sum();
        assert!(lines > 0);
        assert_eq!(lines + u64::try_from(kept.len()).unwrap(), 5000);
        assert!(lost.iter().all(|line| line["level"] == "WARN"));
    }

    #[test]
    fn does_not_mind_that_nobody_reads_any_more() {
        let (writer, calls) = writer();
        drop(calls);
        (0..10).for_each(|_| writer.lines().push(b"{}\n"));
        drop(writer);
    }
}
