//! The TLS handshake: a socket in, an encrypted stream out, or one of a few reasons why not.

use std::io;
use std::time::Duration;

use rustls::AlertDescription::{BadCertificate, CertificateExpired, CertificateUnknown, DecryptError, UnknownCA};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Why there was no TLS connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Refusal {
    /// The client took too long.
    Timeout,
    /// The client went away.
    Closed,
    /// The client speaks something else, such as HTTP in plain text.
    NotTls,
    /// The client speaks no version, cipher or protocol that is spoken here.
    Incompatible,
    /// The client does not trust the certificate.
    Distrust,
    /// There is no certificate yet.
    NoCertificate,
    /// Anything else.
    Other,
}

/// The TLS connection that the client of `stream` wants.
///
/// # Errors
/// The reason, and for the log what rustls says.
pub(super) async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    deadline: Duration,
) -> Result<TlsStream<TcpStream>, (Refusal, io::Error)> {
    match timeout(deadline, acceptor.accept(stream)).await {
        Ok(accepted) => accepted.map_err(|error| (Refusal::of(&error), error)),
        Err(elapsed) => Err((Refusal::Timeout, elapsed.into())),
    }
}

impl Refusal {
    /// The word for it in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::NotTls => "not_tls",
            Self::Incompatible => "incompatible",
            Self::Distrust => "distrust",
            Self::NoCertificate => "no_certificate",
            Self::Other => "other",
        }
    }

    fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls,
            Some(rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol) => Self::Incompatible,
            Some(rustls::Error::AlertReceived(
                UnknownCA | BadCertificate | CertificateExpired | CertificateUnknown | DecryptError,
            )) => Self::Distrust,
            // What rustls says if the resolver has no certificate to offer.
            Some(rustls::Error::General(message)) if message.contains("no server certificate") => Self::NoCertificate,
            Some(_) => Self::Other,
            None => Self::Closed,
        }
    }
}
