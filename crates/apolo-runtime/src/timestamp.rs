//! Instants as people and log collectors read them: RFC 3339, UTC.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Shows an instant as `2026-11-24T09:05:07.123456Z`.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp(SystemTime);

impl Timestamp {
    /// The instant `at`.
    #[must_use]
    pub fn new(at: SystemTime) -> Self {
        Self(at)
    }

    /// The instant `seconds` after the beginning of 1970 UTC; one before it becomes that beginning.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        Self(from_unix(seconds))
    }
}

/// `seconds` after the beginning of 1970 UTC, as a [`SystemTime`].
pub(crate) fn from_unix(seconds: i64) -> SystemTime {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (day, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let (year, month, date) = civil(day);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}")?;
        match since.subsec_micros() {
            0 => f.write_str("Z"),
            micros => write!(f, ".{micros:06}Z"),
        }
    }
}

/// Year, month and day of the month of a day counted from 1970-01-01: a year begins in March here, so that the leap day
/// is its last, and eras of 400 years repeat.
fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_instants_as_rfc_3339() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_511_107, "2026-11-24T09:05:07Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, text) in table {
            assert_eq!(Timestamp::from_unix(seconds).to_string(), text);
        }
    }

    #[test]
    fn shows_six_digits_below_the_second() {
        let at = UNIX_EPOCH + std::time::Duration::from_micros(1_000_042);
        assert_eq!(Timestamp::new(at).to_string(), "1970-01-01T00:00:01.000042Z");
    }
}
