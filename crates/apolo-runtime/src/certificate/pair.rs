//! A certificate with its key: PEM text in, a pair that rustls can answer with out. Pure.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Files;
use crate::timestamp::{Timestamp, from_unix};

/// What the two files hold.
pub(super) struct Pems {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
}

/// A certificate and key that belong together.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) not_after: SystemTime,
}

/// Why a certificate is not taken into use.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("reading {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file is not PEM, or not of the right kind.
    #[error("{path} holds no {expected} in PEM")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What the parser says.
        #[source]
        source: pem::Error,
    },
    /// The first certificate is not X.509.
    #[error("{path} does not begin with an X.509 certificate")]
    Certificate {
        /// The file.
        path: PathBuf,
    },
    /// The certificate is of yesterday or of tomorrow.
    #[error("the certificate in {path} is valid from {from} to {to} only", from = Timestamp::new(*from), to = Timestamp::new(*to))]
    Validity {
        /// The file.
        path: PathBuf,
        /// The beginning of its validity.
        from: SystemTime,
        /// The end of its validity.
        to: SystemTime,
    },
    /// The two files are not a pair; also if only one of them has been replaced yet.
    #[error("the key in {key} does not belong to the certificate in {certificate}")]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The key is of a kind that cannot be used.
    #[error("the key in {path} cannot be used")]
    Key {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        #[source]
        source: Error,
    },
}

impl Pair {
    /// Parses what was read from `files`, and checks it as it stands at `now`.
    pub(super) fn new(
        pems: &Pems,
        files: &Files,
        provider: &CryptoProvider,
        now: SystemTime,
    ) -> Result<Self, CertificateError> {
        let chain = chain(pems, files)?;
        let (from, to) = validity(&chain, files)?;
        if now < from || now >= to {
            return Err(CertificateError::Validity { path: files.certificate.clone(), from, to });
        }
        let key = PrivateKeyDer::from_pem_slice(&pems.key).map_err(|source| CertificateError::Pem {
            path: files.key.clone(),
            expected: "key",
            source,
        })?;
        let certified = CertifiedKey::from_der(chain, key, provider).map_err(|source| match source {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                CertificateError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() }
            }
            source => CertificateError::Key { path: files.key.clone(), source },
        })?;
        Ok(Self { certified: Arc::new(certified), not_after: to })
    }

    /// Whether `other` is the same certificate with the same intermediates.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }
}

/// The certificates of the file, at least one.
fn chain(pems: &Pems, files: &Files) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let pem = |source| CertificateError::Pem { path: files.certificate.clone(), expected: "certificate", source };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pems.certificate).collect::<Result<_, _>>().map_err(pem)?;
    if chain.is_empty() { Err(pem(pem::Error::NoItemsFound)) } else { Ok(chain) }
}

/// From when until when the first certificate is valid.
fn validity(chain: &[CertificateDer<'_>], files: &Files) -> Result<(SystemTime, SystemTime), CertificateError> {
    let (_, leaf) = chain
        .first()
        .and_then(|leaf| X509Certificate::from_der(leaf).ok())
        .ok_or_else(|| CertificateError::Certificate { path: files.certificate.clone() })?;
    let validity = leaf.validity();
    Ok((from_unix(validity.not_before.timestamp()), from_unix(validity.not_after.timestamp())))
}
