//! What is to be done next about certificates, from what there is and the time. Pure.
//!
//! The order keeps every admission alive: a new authority is in caBundle, beside the old one, before a certificate that it has signed is
//! served; and the old one stays there until the last certificate that it has signed has ended.

use std::time::{Duration, SystemTime};

use super::bundle::{Bundle, Which};
use super::certificate::Certificate;
use super::issue::AUTHORITY;
use super::terms::Terms;

/// How long nothing is looked at when nothing is told: what a watch has missed is found then.
const LOOK: Duration = Duration::from_secs(30);

/// What is in a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// There is no such Secret.
    Missing,
    /// It cannot be used, and why.
    Unusable(&'static str),
    /// What it holds.
    There(T),
}

/// What the Secret of the authority holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Its certificate.
    pub certificate: Certificate,
    /// That of the one before it.
    pub previous: Option<Certificate>,
}

/// What there is.
#[derive(Debug)]
pub struct Seen {
    /// The authority.
    pub authority: Found<Authority>,
    /// The serving certificate.
    pub serving: Found<Certificate>,
    /// The caBundles of the webhook configurations that are there.
    pub bundles: Vec<Bundle>,
    /// For how long the authority has been in all of them, as far as is known.
    pub heard: Option<Duration>,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A new authority is to be made.
    Authority {
        /// The one before it, whose certificates may still be served.
        previous: Option<Certificate>,
        /// Why.
        why: &'static str,
    },
    /// This is to stand in each caBundle of a webhook configuration.
    Trust {
        /// Of which.
        which: Which,
        /// The text, PEM.
        bundle: String,
    },
    /// What we own of a webhook configuration is to be owned no more.
    Disown(Which),
    /// A new serving certificate is to be signed.
    Serving {
        /// Why.
        why: &'static str,
    },
    /// Nothing, until then.
    Wait(SystemTime),
}

/// Why something is made where nothing was wrong.
pub const FIRST: &str = "there is none";
/// The same.
pub const RENEWED: &str = "the one before comes to its end";
/// The same.
pub const FOLLOWS: &str = "the authority is a new one";

/// Why one is made in the place of what somebody has deleted: its key is lost.
pub const GONE: &str = "the one before is gone";

/// What is to be done next.
#[must_use]
pub fn next(seen: &Seen, terms: &Terms, now: SystemTime) -> Step {
    let authority = match &seen.authority {
        Found::There(authority) if authority.certificate.is_valid(now) => authority,
        Found::There(_) => return anew(seen, terms, now, "the one before has ended"),
        Found::Unusable(why) => return anew(seen, terms, now, why),
        Found::Missing => return anew(seen, terms, now, if is_trusted(seen) { GONE } else { FIRST }),
    };
    let previous = previous(authority, seen, terms, now);
    let due = authority.certificate.to - terms.authority_rest();
    if due <= now && is_followed(authority, previous, seen, terms, now) {
        return Step::Authority { previous: Some(authority.certificate.clone()), why: RENEWED };
    }
    let other = if previous.is_none() { other(authority, seen, terms, now) } else { None };
    let trusted = [Some(&authority.certificate), previous, other];
    let trusted: String = trusted.into_iter().flatten().map(Certificate::pem).collect();
    if let Some(bundle) = seen.bundles.iter().find(|bundle| !bundle.is(&trusted)) {
        return Step::Trust { which: bundle.which, bundle: trusted };
    }
    if let Some(bundle) = seen.bundles.iter().find(|bundle| bundle.disowned().is_some()) {
        return Step::Disown(bundle.which);
    }
    let end = previous.map(|previous| previous_end(authority, previous, seen, terms).min(previous.to));
    let end = end.or_else(|| other.map(|_| now + terms.handed_over().saturating_sub(seen.heard.unwrap_or_default())));
    match serving(authority, previous, seen, terms, now) {
        Ok(until) => Step::Wait(
            [Some(until), Some(due.max(now + Duration::from_secs(1))), end]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(until)
                .min(now + LOOK),
        ),
        Err(why) => {
            let is_first = previous.is_none() && other.is_none() && seen.serving == Found::Missing;
            match terms.heard().checked_sub(seen.heard.unwrap_or_default()) {
                Some(rest) if !is_first && !rest.is_zero() => Step::Wait(now + rest),
                _ => Step::Serving { why },
            }
        }
    }
}

/// Whether the API server was told of an authority of ours.
fn is_trusted(seen: &Seen) -> bool {
    seen.bundles.iter().flat_map(Bundle::certificates).any(|certificate| certificate.is_ours(AUTHORITY))
}

/// The authority before this one, while what it has signed may be served.
fn previous<'a>(authority: &'a Authority, seen: &Seen, terms: &Terms, now: SystemTime) -> Option<&'a Certificate> {
    let previous = authority.previous.as_ref().filter(|it| **it != authority.certificate && it.is_valid(now))?;
    (now < previous_end(authority, previous, seen, terms)).then_some(previous)
}

/// What somebody else has made and webhooks serve until each has ours: it is in caBundle when we begin, and for a while beside ours. Of
/// several what was made last; it may be no authority, but what they serve. What is written into one caBundle later is none.
fn other<'a>(authority: &Authority, seen: &'a Seen, terms: &Terms, now: SystemTime) -> Option<&'a Certificate> {
    if seen.heard.is_some_and(|heard| heard >= terms.handed_over()) {
        return None;
    }
    let ours = &authority.certificate;
    let others = seen.bundles.iter().flat_map(Bundle::certificates).filter(|it| *it != ours && it.is_valid(now));
    others.max_by_key(|it| it.from).filter(|other| seen.bundles.iter().all(|bundle| bundle.has_beside(ours, other)))
}

/// When the last certificate that it has signed has ended. Its key was there no more when the next authority was made.
fn previous_end(authority: &Authority, previous: &Certificate, seen: &Seen, terms: &Terms) -> SystemTime {
    let last = authority.certificate.made() + terms.life;
    match &seen.serving {
        Found::There(serving) if serving.is_signed_by(previous) => last.max(serving.to),
        _ => last,
    }
}

/// Whether another authority may follow this one: never are three needed. At its end it is followed whatever is needed.
fn is_followed(
    authority: &Authority,
    previous: Option<&Certificate>,
    seen: &Seen,
    terms: &Terms,
    now: SystemTime,
) -> bool {
    let is_loaded = match &seen.serving {
        Found::There(serving) => serving.is_signed_by(&authority.certificate) && serving.made() + terms.loaded() <= now,
        _ => false,
    };
    previous.is_none() || is_loaded || authority.certificate.to - terms.life <= now
}

/// A new authority in the place of one that cannot be had any more. What is served was signed by one that is in caBundle.
fn anew(seen: &Seen, terms: &Terms, now: SystemTime, why: &'static str) -> Step {
    let mut trusted: Vec<&Certificate> = Vec::new();
    for certificate in seen.bundles.iter().flat_map(Bundle::certificates) {
        if certificate.is_authority && certificate.is_valid(now) && !trusted.contains(&certificate) {
            trusted.push(certificate);
        }
    }
    let previous = match &seen.serving {
        Found::There(serving) => {
            let signer = trusted.iter().find(|authority| serving.is_signed_by(authority));
            // A webhook may still serve what the other one has signed.
            let loaded = serving.made() + terms.loaded();
            if signer.is_some() && trusted.len() > 1 && now < loaded && serving.is_valid(now) {
                return Step::Wait(loaded.min(now + LOOK));
            }
            signer
        }
        _ => trusted.iter().find(|authority| authority.is_ours(AUTHORITY)),
    };
    Step::Authority { previous: previous.map(|it| (*it).clone()), why }
}

/// Until when the serving certificate serves.
///
/// # Errors
/// Why another is to be made.
fn serving(
    authority: &Authority,
    previous: Option<&Certificate>,
    seen: &Seen,
    terms: &Terms,
    now: SystemTime,
) -> Result<SystemTime, &'static str> {
    let serving = match &seen.serving {
        Found::There(serving) => serving,
        Found::Unusable(why) => return Err(why),
        Found::Missing => return Err(FIRST),
    };
    if !serving.is_valid(now) {
        return Err("the one before is not valid now");
    }
    if serving.names != terms.names {
        return Err("the one before is for other names");
    }
    if !serving.is_signed_by(&authority.certificate) {
        let is_by_previous = previous.is_some_and(|previous| serving.is_signed_by(previous));
        return Err(if is_by_previous { FOLLOWS } else { "the one before was signed by another authority" });
    }
    let due = serving.made() + serving.life().min(terms.life) * 2 / 3;
    if due <= now { Err(RENEWED) } else { Ok(due) }
}

#[cfg(test)]
mod tests;
