//! The bounds within which a server answers: arguments of the command line, defaults for the webhook.

use std::time::Duration;

use clap::Args;

pub mod quantity;

use quantity::{bytes, duration};

/// Bounds on what a client may cost. Together they bound memory: about 45 KB a connection, the buffered bodies, a third as
/// much for answers that are not taken, 10 KB for each of four times `max_requests`, and what handlers use at once.
#[derive(Args, Clone, Debug)]
pub struct Limits {
    /// Largest request body; an AdmissionReview carries two objects, each below the API server's limit of 3 MiB.
    #[arg(long, env = "APOLO_MAX_BODY_BYTES", default_value = "7Mi", value_parser = bytes, value_name = "SIZE")]
    pub max_body_bytes: usize,

    /// Request bodies held in memory at once, all together; a quarter is kept for the first 64 KiB of each.
    #[arg(long, env = "APOLO_MAX_BUFFERED_BYTES", default_value = "24Mi", value_parser = bytes, value_name = "SIZE")]
    pub max_buffered_bytes: usize,

    /// Requests worked on at once; four times as many may wait for a place, until half of their time is up.
    #[arg(long, env = "APOLO_MAX_REQUESTS", default_value_t = 256, value_name = "COUNT")]
    pub max_requests: usize,

    /// Open connections; for one more, the one that has been useless longest is closed.
    #[arg(long, env = "APOLO_MAX_CONNECTIONS", default_value_t = 256, value_name = "COUNT")]
    pub max_connections: usize,

    /// Time for the TLS handshake, and again for the header of the first request.
    #[arg(long, env = "APOLO_HEADER_TIMEOUT", default_value = "5s", value_parser = duration, value_name = "DURATION")]
    pub header_timeout: Duration,

    /// Time for a request from its header to its answer; less than the timeoutSeconds of the webhook, so that the
    /// reason arrives.
    #[arg(long, env = "APOLO_REQUEST_TIMEOUT", default_value = "4500ms", value_parser = duration, value_name = "DURATION")]
    pub request_timeout: Duration,

    /// Time after which a connection without a request is closed; more than the 90 s after which the API server closes
    /// it itself, so that no request crosses our closing.
    #[arg(long, env = "APOLO_IDLE_TIMEOUT", default_value = "2m", value_parser = duration, value_name = "DURATION")]
    pub idle_timeout: Duration,

    /// Time for which connections are still accepted after the wish to stop, until nobody is sent here any more.
    #[arg(long, env = "APOLO_DRAIN_DELAY", default_value = "5s", value_parser = duration, value_name = "DURATION")]
    pub drain_delay: Duration,

    /// Time for requests in flight to be answered after that.
    #[arg(long, env = "APOLO_GRACE", default_value = "20s", value_parser = duration, value_name = "DURATION")]
    pub grace: Duration,
}

impl Limits {
    /// How much of answers may lie here that clients do not take.
    pub(crate) fn max_untaken_bytes(&self) -> usize {
        self.max_buffered_bytes / 3
    }

    /// How many requests may wait for their body, and as many for a place.
    pub(crate) fn max_queued_requests(&self) -> usize {
        self.max_requests.saturating_mul(4)
    }
}

impl Default for Limits {
    /// What the flags say when none is given.
    fn default() -> Self {
        Self {
            max_body_bytes: 7 << 20,
            max_buffered_bytes: 24 << 20,
            max_requests: 256,
            max_connections: 256,
            header_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_millis(4500),
            idle_timeout: Duration::from_secs(120),
            drain_delay: Duration::from_secs(5),
            grace: Duration::from_secs(20),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        limits: Limits,
    }

    #[test]
    fn defaults_are_those_of_the_flags() {
        Command::command().debug_assert();
        let flags = Command::parse_from(["test"]).limits;
        assert_eq!(format!("{flags:?}"), format!("{:?}", Limits::default()));
    }
}
