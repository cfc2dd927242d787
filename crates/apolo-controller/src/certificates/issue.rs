//! New keys, and certificates for them: ECDSA P-256, X.509 version 3.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use secrecy::{ExposeSecret, SecretString};

use super::certificate::BACKDATED;
use super::terms::Terms;

/// The common name of our authorities.
pub const AUTHORITY: &str = "apolo-secrets";

/// A certificate, and its key: both PEM.
#[derive(Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its key, PKCS#8.
    pub key: SecretString,
}

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make {what}")]
pub struct IssueError {
    what: &'static str,
    source: rcgen::Error,
}

/// A certificate authority, from `now` on.
///
/// # Errors
/// If the certificate library refuses.
pub fn authority(terms: &Terms, now: SystemTime) -> Result<Issued, IssueError> {
    let issue = || {
        let key = KeyPair::generate()?;
        let mut params = valid(CertificateParams::default(), now, terms.authority_life());
        params.distinguished_name.push(DnType::CommonName, AUTHORITY);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Issued { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem().into() })
    };
    issue().map_err(|source| IssueError { what: "a certificate authority", source })
}

/// A serving certificate, from `now` on, signed by the authority whose certificate (PEM) and key these are.
///
/// # Errors
/// If the certificate library refuses, such as a name that can stand in no certificate.
pub fn serving(terms: &Terms, authority: &str, key: &SecretString, now: SystemTime) -> Result<Issued, IssueError> {
    let issue = || {
        let issuer = Issuer::from_ca_cert_pem(authority, KeyPair::from_pem(key.expose_secret())?)?;
        let key = KeyPair::generate()?;
        let names: Vec<String> = terms.names.iter().cloned().collect();
        let mut params = valid(CertificateParams::new(names)?, now, terms.life);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok(Issued { certificate: params.signed_by(&key, &issuer)?.pem(), key: key.serialize_pem().into() })
    };
    issue().map_err(|source| IssueError { what: "a serving certificate", source })
}

/// Whether a private key (PEM) is that of a public key.
#[must_use]
pub fn is_key_of(key: &SecretString, public: &[u8]) -> bool {
    KeyPair::from_pem(key.expose_secret()).is_ok_and(|pair| pair.public_key_raw() == public)
}

fn valid(mut params: CertificateParams, now: SystemTime, life: Duration) -> CertificateParams {
    params.distinguished_name = DistinguishedName::new();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + life).into();
    params
}
