//! One event as one line: a JSON object with `timestamp`, `level`, the fields in their order, and `target`.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::SystemTime;

use serde::Serialize;
use tracing::Event;
use tracing::field::{Field, Visit};

use super::chain;
use crate::timestamp::Timestamp;

/// The line for `event`, with its end.
pub(super) fn line(event: &Event<'_>, now: SystemTime) -> Vec<u8> {
    let mut object = Object { line: Vec::with_capacity(512), scratch: String::new() };
    // Writing to memory does not fail.
    let _ = write!(object.line, "{{\"timestamp\":\"{}\"", Timestamp::new(now));
    object.member("level", event.metadata().level().as_str());
    event.record(&mut object);
    object.member("target", event.metadata().target());
    object.line.extend_from_slice(b"}\n");
    object.line
}

struct Object {
    line: Vec<u8>,
    scratch: String,
}

impl Object {
    fn member(&mut self, name: &str, value: impl Serialize) {
        self.line.push(b',');
        let _ = serde_json::to_writer(&mut self.line, name);
        self.line.push(b':');
        let _ = serde_json::to_writer(&mut self.line, &value);
    }
}

impl Visit for Object {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.member(field.name(), chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        // What of a value that cannot be shown was shown is shown.
        let _ = write!(text, "{value:?}");
        self.member(field.name(), text.as_str());
        self.scratch = text;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::{Value, json};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Metadata, Subscriber};

    use super::*;

    struct Last(Arc<Mutex<Vec<u8>>>);

    impl Subscriber for Last {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn event(&self, event: &Event<'_>) {
            *self.0.lock().unwrap() = line(event, UNIX_EPOCH + Duration::from_secs(1));
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    fn shown(log: impl FnOnce()) -> String {
        let line = Arc::new(Mutex::new(Vec::new()));
        tracing::subscriber::with_default(Last(Arc::clone(&line)), log);
        String::from_utf8(line.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn shows_each_kind_of_field() {
        let error: &dyn Error = &crate::body::BodyError::Broken("the peer has gone".into());
        let line = shown(|| {
            tracing::warn!(target: "here", text = "é", yes = true, minus = -1, plus = u64::MAX, half = 0.5,
                nan = f64::NAN, shown = %json!({"a": 1}), debugged = ?Some("x"), error, "told {}", 1);
        });
        let value: Value = serde_json::from_str(&line).unwrap();
        let expected = json!({
            "timestamp": "1970-01-01T00:00:01Z", "level": "WARN", "target": "here", "message": "told 1", "text": "é",
            "yes": true, "minus": -1, "plus": u64::MAX, "half": 0.5, "nan": null, "shown": "{\"a\":1}",
            "debugged": "Some(\"x\")", "error": "the request body broke off: the peer has gone",
        });
        assert_eq!(value, expected);
        assert!(line.starts_with("{\"timestamp\":\"1970-01-01T00:00:01Z\",\"level\":\"WARN\",\"message\":\"told 1\","));
    }

    #[test]
    fn keeps_to_one_line_whatever_is_logged() {
        let nasty = "a\nb\r\u{0}\u{1b}[31m\u{7f}\u{2028}\"\\";
        let line = shown(|| tracing::info!(nasty, debugged = %nasty, "{nasty}"));
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.ends_with("}\n"));
        assert!(!line.trim_end().contains(|c: char| c.is_ascii_control() && c != '\u{7f}'));
        let value: Value = serde_json::from_str(&line).unwrap();
        for field in ["nasty", "debugged", "message"] {
            assert_eq!(value[field], nasty);
        }
    }
}
