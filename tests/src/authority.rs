//! The certificate authority of a cluster: whom the API server believes, and how the API server is believed.
//!
//! Keys are ECDSA P-256 and certificates X.509 version 3; both travel as PEM.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Issues certificates for people and for servers.
#[derive(Debug, Clone)]
pub struct Authority {
    own: CertificatePair,
}

/// A certificate and the key that goes with it, both PEM.
#[derive(Debug, Clone)]
pub struct CertificatePair {
    /// The certificate.
    pub certificate: String,
    /// Its private key, PKCS#8.
    pub key: String,
}

/// Why a certificate could not be issued.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificate could not be made or signed.
    #[error("cannot issue a certificate for {subject}")]
    Issue {
        /// Whose certificate it was to be.
        subject: String,
        /// What the certificate library says.
        source: rcgen::Error,
    },
    /// A certificate of ours holds no more than two groups.
    #[error("cannot issue a certificate for {user}: two groups at most, not {groups}; impersonate for more")]
    Groups {
        /// Whose certificate it was to be.
        user: String,
        /// How many groups were asked for.
        groups: usize,
    },
}

impl Authority {
    /// An authority with a new key.
    ///
    /// # Errors
    /// When the certificate library refuses.
    pub fn new() -> Result<Self, Error> {
        let issue = || {
            let key = KeyPair::generate()?;
            let certificate = authority_params().self_signed(&key)?.pem();
            Ok(CertificatePair { certificate, key: key.serialize_pem() })
        };
        issue().map(|own| Self { own }).map_err(|source| Error::Issue { subject: "the authority".into(), source })
    }

    /// The authority whose certificate and key these are.
    pub fn from_pair(own: CertificatePair) -> Self {
        Self { own }
    }

    /// The certificate to trust, and its key.
    pub fn pair(&self) -> &CertificatePair {
        &self.own
    }

    /// A certificate with which `user`, a member of `groups`, reaches the API server.
    ///
    /// # Errors
    /// For more than two groups: the certificate library keeps one attribute of a type, and knows this one by two names.
    pub fn client(&self, user: &str, groups: &[&str]) -> Result<CertificatePair, Error> {
        let organization = DnType::CustomDnType(vec![2, 5, 4, 10]);
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, user);
        for (group, attribute) in groups.iter().zip([DnType::OrganizationName, organization]) {
            params.distinguished_name.push(attribute, *group);
        }
        if groups.len() > 2 {
            return Err(Error::Groups { user: user.into(), groups: groups.len() });
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(user, params, SystemTime::now() + 10 * DAY)
    }

    /// A certificate with which a server shows itself under `names` (host names and IP addresses) until `expires`,
    /// which may have passed.
    ///
    /// # Errors
    /// When a name can stand in no certificate.
    pub fn server(&self, names: &[&str], expires: SystemTime) -> Result<CertificatePair, Error> {
        let subject = names.join(", ");
        let mut params = CertificateParams::new(names.iter().copied().map(String::from).collect::<Vec<_>>())
            .map_err(|source| Error::Issue { subject: subject.clone(), source })?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&subject, params, expires)
    }

    fn issue(
        &self,
        subject: &str,
        mut params: CertificateParams,
        expires: SystemTime,
    ) -> Result<CertificatePair, Error> {
        params.not_before = (expires.min(SystemTime::now()) - DAY).into();
        params.not_after = expires.into();
        let issue = || {
            let issuer = Issuer::new(authority_params(), KeyPair::from_pem(&self.own.key)?);
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &issuer)?.pem();
            Ok(CertificatePair { certificate, key: key.serialize_pem() })
        };
        issue().map_err(|source| Error::Issue { subject: subject.into(), source })
    }
}

/// What all certificates of an authority say of their issuer; the key alone tells one authority from another.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "apolo-tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}
