//! What a container prints, live: each byte once, also where the stream breaks and is begun again.
//!
//! Kubelet is asked for the time of each line, which it writes before the line and which is not passed on. Where a stream is begun again,
//! it is asked for what was printed from a second before the last line, and what was passed on already is left out.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log-of-the-specified-pod>

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::io::{AsyncBufRead, AsyncBufReadExt};
use futures_util::stream::{self, BoxStream};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::LogParams;

use super::CONTAINER;
use crate::request::Why;

/// How long a stream may say nothing before it is begun again: the other side may be gone without a word.
const SILENCE: Duration = Duration::from_secs(60);
/// How far before the last line a stream is begun again: lines of the two outputs of a container may be out of order by less.
const OVERLAP: SignedDuration = SignedDuration::from_secs(1);
/// The longest time that stands before a line, with the blank behind it: `2026-01-01T00:00:00.000000000+01:00 `.
const LONGEST_TIME: usize = 36;

/// What comes of a stream.
#[derive(Debug)]
pub(super) enum Read {
    /// Bytes as they were sent, with times.
    Bytes(Vec<u8>),
    /// It has ended: as it should, or for a reason.
    Ended(Option<Why>),
}

/// Reads the log of a Pod from a time on, and goes on while its container runs.
pub(super) fn read(pods: Api<Pod>, pod: String, since: Option<Timestamp>) -> BoxStream<'static, Read> {
    let begin = async move {
        let params = LogParams {
            container: Some(CONTAINER.to_owned()),
            follow: true,
            timestamps: true,
            since_time: since,
            ..LogParams::default()
        };
        match pods.log_stream(&pod, &params).await {
            Ok(reader) => chunks(Box::pin(reader)),
            Err(error) => stream::iter([Read::Ended(Some(Why::of(&error)))]).boxed(),
        }
    };
    stream::once(begin).flatten().boxed()
}

type Reader = Pin<Box<dyn AsyncBufRead + Send>>;

fn chunks(reader: Reader) -> BoxStream<'static, Read> {
    stream::unfold(Some(reader), async |reader: Option<Reader>| {
        let mut reader = reader?;
        let read = match tokio::time::timeout(SILENCE, reader.fill_buf()).await {
            Ok(Ok([])) => return Some((Read::Ended(None), None)),
            Ok(Ok(bytes)) => bytes.to_vec(),
            Ok(Err(error)) => return Some((Read::Ended(Some(Why::Unreachable(error.to_string()))), None)),
            Err(_) => return Some((Read::Ended(Some(Why::NoAnswer)), None)),
        };
        reader.as_mut().consume(read.len());
        Some((Read::Bytes(read), Some(reader)))
    })
    .boxed()
}

/// How far a log has been passed on.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// How many lines of each time were passed on, or begun; of the last seconds.
    passed: BTreeMap<Timestamp, usize>,
    /// Those of them that this stream has not sent again.
    expected: BTreeMap<Timestamp, usize>,
    /// Of the last line that was begun and has no end yet: its time, and how much of it was passed on.
    open: Option<(Timestamp, usize)>,
    /// Whether lines have times at all: then what has none is no line of the container.
    has_times: bool,
    /// How often a stream was begun.
    streams: usize,
    line: Line,
}

/// Where in a line a stream is.
#[derive(Debug)]
enum Line {
    /// At its beginning, with what is there of its time.
    Head(Vec<u8>),
    /// In what is passed on.
    Passing,
    /// In what was passed on before, which is left out: all of it, or so many bytes.
    Dropping(Option<usize>),
}

impl Default for Line {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Position {
    /// A stream is begun again; from which time on it is to be.
    pub(super) fn begin(&mut self) -> Option<Timestamp> {
        self.line = Line::default();
        self.streams += 1;
        self.expected.clone_from(&self.passed);
        self.since()
    }

    /// A whole second: the API server takes no parts of one.
    fn since(&self) -> Option<Timestamp> {
        let (last, _) = self.passed.last_key_value()?;
        Timestamp::from_second(last.checked_sub(OVERLAP).ok()?.as_second()).ok()
    }

    /// What of these bytes is to be passed on.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut passed = Vec::with_capacity(bytes.len());
        while !bytes.is_empty() {
            bytes = self.step(bytes, &mut passed);
        }
        passed
    }

    /// Takes some of the bytes; those that are left.
    fn step<'a>(&mut self, bytes: &'a [u8], passed: &mut Vec<u8>) -> &'a [u8] {
        match &mut self.line {
            Line::Head(head) => {
                let until = bytes.iter().position(|byte| matches!(byte, b' ' | b'\n')).map_or(bytes.len(), |at| at + 1);
                let (taken, rest) = bytes.split_at_checked(until).unwrap_or((bytes, &[]));
                head.extend_from_slice(taken);
                if head.ends_with(b" ") || head.ends_with(b"\n") || head.len() > LONGEST_TIME {
                    let head = std::mem::take(head);
                    self.begin_line(&head, passed);
                }
                rest
            }
            Line::Passing => {
                let (taken, rest, is_end) = split_line(bytes);
                passed.extend_from_slice(taken);
                self.open = self.open.take().filter(|_| !is_end).map(|(time, count)| (time, count + taken.len()));
                if is_end {
                    self.line = Line::default();
                }
                rest
            }
            Line::Dropping(None) => {
                let (_, rest, is_end) = split_line(bytes);
                if is_end {
                    self.line = Line::default();
                }
                rest
            }
            Line::Dropping(Some(count)) => {
                let (_, rest) = bytes.split_at_checked(*count).unwrap_or((bytes, &[]));
                *count -= bytes.len() - rest.len();
                if *count == 0 {
                    self.line = Line::Passing;
                }
                rest
            }
        }
    }

    /// What stands before a line is known. What has no time is kubelet's own word, such as that there is no log any more, and is left out; but
    /// where no line has one, for who runs Pods in place of kubelet may not know times, all of it is passed on, once.
    fn begin_line(&mut self, head: &[u8], passed: &mut Vec<u8>) {
        let time = str::from_utf8(head).ok().and_then(|head| head.strip_suffix(' ')?.parse::<Timestamp>().ok());
        let Some(time) = time else {
            let is_left_out = self.has_times || self.streams > 1;
            if !is_left_out {
                passed.extend_from_slice(head);
            }
            self.line = match head.ends_with(b"\n") {
                true => Line::default(),
                false if is_left_out => Line::Dropping(None),
                false => Line::Passing,
            };
            return;
        };
        self.has_times = true;
        let is_passed = self.expected.get_mut(&time).filter(|left| **left > 0);
        self.line = match is_passed {
            Some(left) => {
                *left -= 1;
                let is_last = *left == 0;
                // Of the last line, what has come since.
                match self.open.filter(|(open, _)| is_last && *open == time) {
                    Some((_, 0)) => Line::Passing,
                    Some((_, count)) => Line::Dropping(Some(count)),
                    None => Line::Dropping(None),
                }
            }
            None => {
                *self.passed.entry(time).or_default() += 1;
                self.open = Some((time, 0));
                self.forget();
                Line::Passing
            }
        };
    }

    /// What no stream will be asked for again.
    fn forget(&mut self) {
        if let Some(since) = self.since() {
            self.passed = self.passed.split_off(&since);
        }
    }
}

/// The bytes of the line, with its end, those behind it, and whether its end is there.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8], bool) {
    match bytes.iter().position(|byte| *byte == b'\n').and_then(|at| bytes.split_at_checked(at + 1)) {
        Some((line, rest)) => (line, rest, true),
        None => (bytes, &[], false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(position: &mut Position, sent: &str) -> String {
        String::from_utf8(position.take(sent.as_bytes())).unwrap()
    }

    #[test]
    fn times_are_taken_away_and_all_else_is_kept() {
        let mut position = Position::default();
        position.begin();
        let sent = "2026-01-01T00:00:00.000000001Z a b\n2026-01-01T00:00:00.5+01:00 \n2026-01-01T00:00:01Z end";
        assert_eq!(text(&mut position, sent), "a b\n\nend");
    }

    #[test]
    fn what_has_no_time_is_not_the_containers_but_where_nothing_has() {
        let mut position = Position::default();
        position.begin();
        let sent = "2026-01-01T00:00:01Z a\nfailed to try resolving symlinks\n\n2026-01-01T00:00:02Z b\n";
        assert_eq!(text(&mut position, sent), "a\nb\n");
        position.begin();
        assert_eq!(text(&mut position, "unable to retrieve container logs"), "");
        let mut position = Position::default();
        position.begin();
        assert_eq!(text(&mut position, "no times\nat all\n"), "no times\nat all\n");
        position.begin();
        assert_eq!(text(&mut position, "no times\nat all\n"), "");
    }

    #[test]
    fn after_a_break_what_was_passed_on_is_left_out() {
        let mut position = Position::default();
        assert_eq!(position.begin(), None);
        text(&mut position, "2026-01-01T00:00:01.9Z old\n2026-01-01T00:00:05.2Z one\n2026-01-01T00:00:05.2Z two\n");
        assert_eq!(text(&mut position, "2026-01-01T00:00:05.1Z three\n2026-01-01T00:00:05.3Z fo"), "three\nfo");
        assert_eq!(position.begin(), Some("2026-01-01T00:00:04Z".parse().unwrap()));
        let again = "2026-01-01T00:00:05.2Z one\n2026-01-01T00:00:05.2Z two\n2026-01-01T00:00:05.1Z three\n2026-01-01T00:00:05.3Z four\n\
            2026-01-01T00:00:05.3Z five\n";
        assert_eq!(text(&mut position, again), "ur\nfive\n");
        assert_eq!(position.begin(), Some("2026-01-01T00:00:04Z".parse().unwrap()));
        assert_eq!(text(&mut position, again), "");
    }

    /// Lines of which several may have one time, and some are a little out of order.
    fn lines() -> impl Strategy<Value = Vec<(i64, String)>> {
        let line = (-3_i64..20, "[a-z\u{e9} ]{0,6}");
        proptest::collection::vec(line, 1..30).prop_map(|lines| {
            let mut now = 0;
            let timed = lines.into_iter().map(|(step, text)| {
                now += step.max(0) * 100;
                (now + step.min(0), text)
            });
            timed.collect()
        })
    }

    fn sent(lines: &[(i64, String)], since: Option<Timestamp>) -> Vec<u8> {
        let base = 1_800_000_000_000;
        let mut bytes = Vec::new();
        for (milliseconds, text) in lines {
            let time = Timestamp::from_millisecond(base + milliseconds).unwrap();
            if since.is_none_or(|since| time >= since) {
                bytes.extend_from_slice(format!("{time:.9} {text}\n").as_bytes());
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn wherever_it_breaks_each_byte_is_passed_on_once(
            lines in lines(),
            breaks in proptest::collection::vec(0.0_f64..1.0, 0..6),
            chunk in 1_usize..20,
        ) {
            let whole: String = lines.iter().map(|(_, text)| format!("{text}\n")).collect();
            let mut position = Position::default();
            let mut passed = Vec::new();
            for part in breaks.into_iter().chain([1.0]) {
                let bytes = sent(&lines, position.begin());
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a part of it")]
                let until = (bytes.len() as f64 * part) as usize;
                for piece in bytes[..until].chunks(chunk) {
                    passed.extend(position.take(piece));
                }
            }
            prop_assert_eq!(String::from_utf8_lossy(&passed), whole);
        }
    }
}
