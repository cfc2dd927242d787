//! A certificate: PEM in, what decides about it out. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pem::{EncodeConfig, LineEnding, Pem};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// How long before it is made a certificate is valid already, for clocks that are behind.
pub const BACKDATED: Duration = Duration::from_secs(5 * 60);
/// The type of a PEM block that holds one.
const TAG: &str = "CERTIFICATE";

/// An X.509 certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    /// From when on it is valid.
    pub from: SystemTime,
    /// From when on it is not valid any more.
    pub to: SystemTime,
    /// The DNS names and addresses that it is for.
    pub names: BTreeSet<String>,
    /// Whether it may sign others.
    pub is_authority: bool,
    /// Its public key.
    pub key: Vec<u8>,
}

impl Certificate {
    /// The first certificate of a PEM text, if there is one that can be read.
    #[must_use]
    pub fn read(pem: &[u8]) -> Option<Self> {
        Self::read_all(pem).into_iter().next()
    }

    /// All certificates of a PEM text that can be read.
    #[must_use]
    pub fn read_all(pem: &[u8]) -> Vec<Self> {
        let blocks = pem::parse_many(pem).unwrap_or_default();
        blocks.iter().filter(|block| block.tag() == TAG).filter_map(|block| Self::of(block.contents())).collect()
    }

    fn of(der: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let alternative = parsed.subject_alternative_name().ok()?;
        let names = alternative.iter().flat_map(|it| &it.value.general_names).filter_map(shown).collect();
        let instant = |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        Some(Self {
            der: der.to_vec(),
            from: instant(parsed.validity().not_before.timestamp()),
            to: instant(parsed.validity().not_after.timestamp()),
            names,
            is_authority: parsed.is_ca(),
            key: parsed.public_key().subject_public_key.data.to_vec(),
        })
    }

    /// As PEM; the same text for the same certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        let block = Pem::new(TAG, self.der.clone());
        pem::encode_config(&block, EncodeConfig::new().set_line_ending(LineEnding::LF))
    }

    /// When it was made, if we made it.
    #[must_use]
    pub fn made(&self) -> SystemTime {
        self.from + BACKDATED
    }

    /// How long it lives from when it was made.
    #[must_use]
    pub fn life(&self) -> Duration {
        self.to.duration_since(self.made()).unwrap_or_default()
    }

    /// Whether it is valid at `now`.
    #[must_use]
    pub fn is_valid(&self, now: SystemTime) -> bool {
        self.from <= now && now < self.to
    }

    /// Whether `authority` has signed it.
    #[must_use]
    pub fn is_signed_by(&self, authority: &Self) -> bool {
        let (Ok((_, this)), Ok((_, other))) =
            (X509Certificate::from_der(&self.der), X509Certificate::from_der(&authority.der))
        else {
            return false;
        };
        authority.is_authority
            && this.issuer().as_raw() == other.subject().as_raw()
            && this.verify_signature(Some(other.public_key())).is_ok()
    }

    /// Whether it bears the common name of our authorities, and has signed itself.
    #[must_use]
    pub fn is_ours(&self, common_name: &str) -> bool {
        let Ok((_, parsed)) = X509Certificate::from_der(&self.der) else { return false };
        let mut names = parsed.subject().iter_common_name();
        names.next().and_then(|name| name.as_str().ok()) == Some(common_name) && self.is_signed_by(self)
    }
}

/// A name as it is written: a DNS name or an address; none for names of other kinds.
fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}
