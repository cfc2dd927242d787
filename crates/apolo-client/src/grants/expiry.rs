//! Until when something is shared, as a person says it.

use apolo_core::text::quoted;
use k8s_openapi::jiff::civil::Date;
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{Span, Timestamp};
use thiserror::Error;

use crate::explained::{Explained, Kind};

/// The word for a grant that does not end by itself.
const NEVER: &str = "never";
/// How long a date is: `2027-01-01`.
const DATE: usize = 10;
/// The first second that cannot be written in a grant: 9999-01-01T00:00:00Z.
const LATEST: i64 = 253_370_764_800;

/// When a grant is to end by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expires {
    /// As it stands in the grant that is there; a new one does not end by itself.
    #[default]
    AsBefore,
    /// It does not end by itself.
    Never,
    /// At this time.
    At(Timestamp),
}

/// Why a text says no such time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExpiryError {
    /// It is of no form that is known.
    #[error("{} is no time to end at", quoted(.0))]
    Form(String),
    /// A time of day, of nobody knows which place.
    #[error("{} is a different time in each time zone", quoted(.0))]
    NoOffset(String),
    /// It has been already.
    #[error("{} is in the past", quoted(.0))]
    Past(String),
    /// It is later than can be written.
    #[error("{} is too far away", quoted(.0))]
    TooFar(String),
}

impl Expires {
    /// Takes a length of time from `now` (`7d`, `12h`, `1w 3d`), a date (the end of that day, UTC), a time as RFC 3339 has it, or
    /// `never`. It is rounded down to the second.
    ///
    /// # Errors
    /// Where the text is nothing of that, or a time that is not to come.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, ExpiryError> {
        if text == NEVER {
            return Ok(Self::Never);
        }
        let at = time(text, now)?;
        match Timestamp::from_second(at.as_second()) {
            Ok(at) if at <= now => Err(ExpiryError::Past(text.to_owned())),
            Ok(at) if at.as_second() < LATEST => Ok(Self::At(at)),
            _ => Err(ExpiryError::TooFar(text.to_owned())),
        }
    }
}

fn time(text: &str, now: Timestamp) -> Result<Timestamp, ExpiryError> {
    let too_far = |_| ExpiryError::TooFar(text.to_owned());
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(date) = text.parse::<Date>() {
        if text.len() != DATE {
            return Err(ExpiryError::NoOffset(text.to_owned()));
        }
        let end = date.tomorrow().and_then(|next| next.to_zoned(TimeZone::UTC)).map_err(too_far)?;
        return Ok(end.timestamp());
    }
    let span: Span = text.parse().map_err(|_| ExpiryError::Form(text.to_owned()))?;
    Ok(now.to_zoned(TimeZone::UTC).checked_add(span).map_err(too_far)?.timestamp())
}

impl Explained for ExpiryError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Past(_) => "apolo acl revoke ends a grant now; --expires 7d ends it in a week".to_owned(),
            Self::NoOffset(_) => {
                "add Z, or how far from it: 2027-01-01T18:00:00Z, 2027-01-01T18:00:00+02:00".to_owned()
            }
            Self::Form(_) | Self::TooFar(_) => {
                "write --expires 7d, 12h, 2027-01-01 (the end of that day, UTC), 2027-01-01T18:00:00Z or never"
                    .to_owned()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Expires, ExpiryError> {
        Expires::parse(text, "2026-11-26T12:00:00.5Z".parse().unwrap())
    }

    #[test]
    fn a_time_is_said_in_the_way_that_comes_to_mind() {
        for (text, at) in [
            ("7d", "2026-12-03T12:00:00Z"),
            ("90m", "2026-11-26T13:30:00Z"),
            ("1w 3d", "2026-12-06T12:00:00Z"),
            ("1 month", "2026-12-26T12:00:00Z"),
            ("2y", "2028-11-26T12:00:00Z"),
            ("2026-11-26", "2026-11-27T00:00:00Z"),
            ("2028-02-29", "2028-03-01T00:00:00Z"),
            ("2027-01-01T18:00:00.9+02:00", "2027-01-01T16:00:00Z"),
        ] {
            assert_eq!(parsed(text), Ok(Expires::At(at.parse().unwrap())), "{text}");
        }
        assert_eq!(parsed("never"), Ok(Expires::Never));
    }

    #[test]
    fn what_is_no_time_to_come_is_refused() {
        for text in ["", "7", "soon", "tomorrow", "2027-13-01", "2027-1-1", "1.1.2027", "d7", "Never", "7d\u{1b}[31m"] {
            assert_eq!(parsed(text), Err(ExpiryError::Form(text.into())), "{text}");
        }
        for text in ["2026-11-25", "2020-01-01T00:00:00Z", "-7d", "7d ago", "0s", "400ms"] {
            assert_eq!(parsed(text), Err(ExpiryError::Past(text.into())), "{text}");
        }
        assert_eq!(parsed("2027-01-01T18:00"), Err(ExpiryError::NoOffset("2027-01-01T18:00".into())));
        assert_eq!(parsed("19000y"), Err(ExpiryError::TooFar("19000y".into())));
        assert_eq!(parsed("9999-01-01T00:00:00Z"), Err(ExpiryError::TooFar("9999-01-01T00:00:00Z".into())));
        assert!(parsed("9998-12-31T23:59:59Z").is_ok());
    }
}
