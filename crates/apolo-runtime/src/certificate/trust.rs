//! Whether a client that trusts some authorities, and no others, believes a certificate: what the API server asks of a webhook.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::timestamp::from_unix;

/// Whether a client that trusts the authorities in `bundle` (PEM), and reaches the server by the name `host`, believes it at `now`.
///
/// # Errors
/// Why not, in words.
pub(super) fn trusts(
    bundle: &[u8],
    host: &str,
    certified: &CertifiedKey,
    provider: &Arc<CryptoProvider>,
    now: SystemTime,
) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(bundle).flatten().filter(|der| is_valid(der, now)) {
        let _unusable = roots.add(authority);
    }
    if roots.is_empty() {
        return Err("it holds no certificate authority that is valid now".to_owned());
    }
    let name = ServerName::try_from(host).map_err(|_| format!("{host:?} is no host"))?;
    let (leaf, others) = certified.cert.split_first().ok_or("there is no certificate")?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    let verifier = verifier.map_err(|error| error.to_string())?;
    let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let verified = verifier.verify_server_cert(leaf, others, &name, &[], now);
    verified.map(drop).map_err(|error| format!("as {host}: {error}"))
}

/// Nothing else looks whether an authority has ended.
fn is_valid(authority: &CertificateDer<'_>, now: SystemTime) -> bool {
    X509Certificate::from_der(authority).is_ok_and(|(_, parsed)| {
        let validity = parsed.validity();
        from_unix(validity.not_before.timestamp()) <= now && now < from_unix(validity.not_after.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::crypto::ring;
    use rustls::pki_types::PrivateKeyDer;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn authority(to: SystemTime) -> (String, Issuer<'static, KeyPair>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = to.into();
        (params.self_signed(&key).unwrap().pem(), Issuer::new(params, key))
    }

    fn served(issuer: &Issuer<'static, KeyPair>, to: SystemTime, provider: &CryptoProvider) -> CertifiedKey {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["hook.ours.svc".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.not_after = to.into();
        let leaf = params.signed_by(&key, issuer).unwrap().der().clone();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        CertifiedKey::from_der(vec![leaf], key, provider).unwrap()
    }

    #[test]
    fn is_trusted_by_its_authority_among_others_under_its_names_while_both_are_valid() {
        let (provider, now) = (Arc::new(ring::default_provider()), SystemTime::now());
        let (ours, issuer) = authority(now + 2 * HOUR);
        let (other, _) = authority(now + 9 * HOUR);
        let served = served(&issuer, now + HOUR, &provider);
        let trusts = |bundle: &str, host: &str, at| trusts(bundle.as_bytes(), host, &served, &provider, at);
        assert_eq!(trusts(&ours, "hook.ours.svc", now), Ok(()));
        assert_eq!(trusts(&format!("{other}{ours}"), "127.0.0.1", now), Ok(()));
        for (bundle, host, at) in [
            (other.as_str(), "hook.ours.svc", now),
            ("", "hook.ours.svc", now),
            ("garbage", "hook.ours.svc", now),
            (ours.as_str(), "hook.others.svc", now),
            (ours.as_str(), "127.0.0.2", now),
            (ours.as_str(), "hook.ours.svc", now + HOUR + Duration::from_secs(1)),
            (ours.as_str(), "hook.ours.svc", now + 2 * HOUR),
        ] {
            assert!(trusts(bundle, host, at).is_err(), "{bundle:?} {host}");
        }
    }
}
