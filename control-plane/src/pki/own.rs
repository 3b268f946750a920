//! Judges a certificate that a tenant brings: whether the brokers can serve it, and clients that verify all there is to
//! verify will accept it. All faults together, each with its place.
//!
//! ```text
//! leaf ──issued by──► intermediate … ──issued by──► root          served: all but the root
//!                                                    └─ what clients must trust
//! ```

use super::{
    PkiError, ec_key,
    facts::{Facts, KeyKind},
    keystore::Opened,
    pem,
};
use broker_api::spec::TlsIdentity;
use chrono::{DateTime, Utc};
use control_plane_api::problem::FieldError;
use rustls::{
    CertificateError, RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    crypto::ring::default_provider,
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::time::Duration;

/// Below this anybody with patience can make a key's signatures (NIST SP 800-57 part 1: 112 bits, RSA 2048).
const RSA_BITS_MIN: usize = 2048;
/// More than any chain has: ends a search that goes round.
const LONGEST_PATH: usize = 8;

/// Where in the request the parts stand.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    pub chain: &'static str,
    pub key: &'static str,
    pub trust: &'static str,
}

/// A certificate that may be served.
#[derive(Debug, Clone)]
pub struct OwnCertificate {
    /// `ca_pem` is the root that clients must trust.
    pub identity: TlsIdentity,
    pub facts: Facts,
}

struct Certificate {
    der: CertificateDer<'static>,
    facts: Facts,
}

/// What `opened` is worth for brokers of these `names`, with the help of `trust`: more certificates, roots among them.
pub fn examine(
    opened: &Opened,
    trust: &[CertificateDer<'static>],
    names: &[String],
    places: Places,
    now: DateTime<Utc>,
) -> Result<OwnCertificate, Vec<FieldError>> {
    let mut faults = Vec::new();
    let chain = parsed(&opened.chain, places.chain, &mut faults);
    let trust = parsed(trust, places.trust, &mut faults);
    let Some((leaf, rest)) = chain.split_first() else {
        if faults.is_empty() {
            faults.push(FieldError::new(places.chain, "missing-chain", "it holds no certificate for the key"));
        }
        return Err(faults);
    };
    let key = fitting_key(leaf, &opened.key, places, &mut faults);
    let mut path = vec![leaf];
    if let Some(orphan) = lead_to_root(&mut path, rest, &trust) {
        faults.push(missing_chain(orphan, places));
    }
    check_path(&path, places, now, &mut faults);
    check_names(leaf, names, places, &mut faults);
    if faults.is_empty() {
        check_signatures(&path, places, &mut faults);
    }
    match (path.split_last(), key) {
        (Some((root, below)), Some(key)) if faults.is_empty() => {
            let served = if below.is_empty() { &path } else { below };
            Ok(OwnCertificate {
                identity: TlsIdentity {
                    certificate_pem: pem::certificates(served.iter().map(|one| &one.der)),
                    key_pem: pem::private_key(&key),
                    ca_pem: pem::certificates([&root.der]),
                },
                facts: leaf.facts.clone(),
            })
        }
        _ => Err(faults),
    }
}

/// The key, in a form that the gateway takes, if the certificate is for it.
pub(super) fn fitting(
    certificate: &CertificateDer<'static>,
    key: &PrivateKeyDer<'static>,
) -> Option<PrivateKeyDer<'static>> {
    let fits = |key: &PrivateKeyDer<'static>| {
        CertifiedKey::from_der(vec![certificate.clone()], key.clone_key(), &default_provider()).is_ok()
    };
    if fits(key) {
        return Some(key.clone_key());
    }
    let facts = Facts::of(certificate).ok()?;
    ec_key::complete(key, &facts.key, &facts.public_key).filter(fits)
}

/// Those of `names` that the certificate of this PEM text does not cover.
pub fn uncovered(certificate_pem: &str, names: &[String]) -> Result<Vec<String>, PkiError> {
    let leaf = super::facts::certificates(certificate_pem)?.swap_remove(0);
    Ok(names_not_covered(&leaf, names)?)
}

fn names_not_covered(leaf: &CertificateDer<'_>, names: &[String]) -> Result<Vec<String>, rustls::Error> {
    let parsed = ParsedCertificate::try_from(leaf)?;
    let covered = |name: &String| {
        ServerName::try_from(name.as_str()).is_ok_and(|server| verify_server_name(&parsed, &server).is_ok())
    };
    Ok(names.iter().filter(|name| !covered(name)).cloned().collect())
}

fn parsed(ders: &[CertificateDer<'static>], place: &str, faults: &mut Vec<FieldError>) -> Vec<Certificate> {
    let mut certificates = Vec::with_capacity(ders.len());
    for (number, der) in ders.iter().enumerate() {
        match Facts::of(der) {
            Ok(facts) => certificates.push(Certificate { der: der.clone(), facts }),
            Err(error) => {
                let detail = format!("certificate {} of it cannot be read: {error}", number + 1);
                faults.push(FieldError::new(place, "unreadable-certificate", detail));
            }
        }
    }
    certificates
}

fn fitting_key(
    leaf: &Certificate,
    key: &PrivateKeyDer<'static>,
    places: Places,
    faults: &mut Vec<FieldError>,
) -> Option<PrivateKeyDer<'static>> {
    if let KeyKind::Other(algorithm) = &leaf.facts.key {
        let detail =
            format!("the key is of algorithm {algorithm}; RSA from 2048 bits, ECDSA P-256 and P-384 are accepted");
        faults.push(FieldError::new(places.key, "key-kind", detail));
        return None;
    }
    // A weak key is a fault of the path; whether it is the right one cannot be asked of a library that refuses it.
    if too_weak(&leaf.facts).is_some() {
        return None;
    }
    let fitting = fitting(&leaf.der, key);
    if fitting.is_none() {
        let detail = format!("the private key is not that of the certificate {}", leaf.facts.subject);
        faults.push(FieldError::new(places.key, "key-mismatch", detail));
    }
    fitting
}

fn too_weak(facts: &Facts) -> Option<usize> {
    match facts.key {
        KeyKind::Rsa(bits) if bits < RSA_BITS_MIN => Some(bits),
        _ => None,
    }
}

/// Goes from the leaf to a root. What could not be led further, if no root was reached.
fn lead_to_root<'a>(
    path: &mut Vec<&'a Certificate>,
    chain: &'a [Certificate],
    trust: &'a [Certificate],
) -> Option<&'a Certificate> {
    while let Some(&last) = path.last() {
        if last.facts.self_issued() {
            return None;
        }
        let issuer = chain.iter().chain(trust).find(|other| last.facts.issued_by(&other.facts));
        match issuer {
            Some(issuer) if path.len() < LONGEST_PATH => path.push(issuer),
            _ => return Some(last),
        }
    }
    None
}

fn missing_chain(orphan: &Certificate, places: Places) -> FieldError {
    let Facts { subject, issuer, .. } = &orphan.facts;
    let detail = format!(
        "the chain ends at {subject}; the certificate of its issuer, {issuer}, is neither in {} nor in {}",
        &places.chain[1..],
        &places.trust[1..]
    );
    FieldError::new(places.chain, "missing-chain", detail).with("issuer", issuer.as_str())
}

fn check_path(path: &[&Certificate], places: Places, now: DateTime<Utc>, faults: &mut Vec<FieldError>) {
    for Certificate { facts, .. } in path {
        let Facts { subject, not_before, not_after, .. } = facts;
        let day = |time: &DateTime<Utc>| time.format("%Y-%m-%d %H:%M UTC").to_string();
        if *not_after <= now {
            let detail = format!("the certificate {subject} expired on {}", day(not_after));
            faults.push(FieldError::new(places.chain, "certificate-expired", detail).with("at", day(not_after)));
        }
        if *not_before > now {
            let detail = format!("the certificate {subject} is valid from {} only", day(not_before));
            faults.push(FieldError::new(places.chain, "certificate-not-yet-valid", detail).with("at", day(not_before)));
        }
        if let Some(bits) = too_weak(facts) {
            let detail = format!("the key of {subject} has {bits} bits; RSA needs {RSA_BITS_MIN} at least");
            let fault = FieldError::new(places.key, "key-too-weak", detail);
            faults.push(fault.with("bits", bits).with("min", RSA_BITS_MIN));
        }
    }
}

fn check_names(leaf: &Certificate, names: &[String], places: Places, faults: &mut Vec<FieldError>) {
    match names_not_covered(&leaf.der, names) {
        Ok(uncovered) if uncovered.is_empty() => {}
        Ok(uncovered) => {
            let covered = if leaf.facts.names.is_empty() { "none".to_owned() } else { leaf.facts.names.join(", ") };
            let detail = format!(
                "it does not cover {}, which clients connect to; its subject alternative names are: {covered}",
                uncovered.join(", ")
            );
            let fault = FieldError::new(places.chain, "uncovered-address", detail);
            faults.push(fault.with("uncovered", uncovered).with("covered", leaf.facts.names.clone()));
        }
        Err(error) => faults.push(refused(&error, places)),
    }
}

/// As a client verifies: signatures, constraints and what the certificate is for.
fn check_signatures(path: &[&Certificate], places: Places, faults: &mut Vec<FieldError>) {
    let (Some((leaf, above)), Some(root)) = (path.split_first(), path.last()) else { return };
    // When all of them are valid, which check_path has seen to.
    let Some(at) = path.iter().map(|one| one.facts.not_before).max() else { return };
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at.timestamp().max(0).unsigned_abs()));
    let verified = || {
        let mut roots = RootCertStore::empty();
        roots.add(root.der.clone())?;
        let intermediates: Vec<CertificateDer<'_>> = above.iter().map(|one| one.der.clone()).collect();
        let algorithms = default_provider().signature_verification_algorithms;
        let leaf = ParsedCertificate::try_from(&leaf.der)?;
        verify_server_cert_signed_by_trust_anchor(&leaf, &roots, &intermediates, at, algorithms.all)
    };
    if let Err(error) = verified() {
        faults.push(refused(&error, places));
    }
}

fn refused(error: &rustls::Error, places: Places) -> FieldError {
    let (code, detail) = match error {
        rustls::Error::InvalidCertificate(CertificateError::InvalidPurpose)
        | rustls::Error::InvalidCertificate(CertificateError::InvalidPurposeContext { .. }) => {
            ("not-for-servers", "its extended key usage does not include servers (serverAuth)".to_owned())
        }
        rustls::Error::InvalidCertificate(CertificateError::BadSignature | CertificateError::UnknownIssuer) => {
            ("chain-broken", "a certificate of the chain is not signed by the next one".to_owned())
        }
        other => ("certificate-refused", format!("clients that verify it would refuse it: {other}")),
    };
    FieldError::new(places.chain, code, detail)
}
