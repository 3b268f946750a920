//! Judges what tenants trust their clients' certificates by: authorities, and lists of what these took back. All faults
//! together, each with its place and reason.
//!
//! The gateways go by what passes here without looking again, so that whatever they would stumble over is refused: a list that
//! nobody signed would keep out all clients of its issuer.

use super::{
    PkiError,
    facts::{Facts, KeyKind},
    pem,
};
use chrono::{DateTime, TimeZone, Utc};
use control_plane_api::{
    access::{ClientAuthority, RevocationList},
    problem::FieldError,
};
use rustls::{RootCertStore, crypto::ring::default_provider, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject};
use std::sync::Arc;
use x509_parser::{
    prelude::{FromDer, X509Certificate},
    revocation_list::CertificateRevocationList,
};

/// Authorities of an instance: an organisation has a few, twice as many while they change.
pub const MAX_AUTHORITIES: usize = 20;
/// Below this anybody with patience can make a key's signatures (NIST SP 800-57 part 1); the gateways verify none of it.
const RSA_BITS_MIN: usize = 2048;

/// The authorities, each once. `place`: where they stand in the request.
pub fn authorities(
    ders: &[CertificateDer<'static>],
    place: &str,
    now: DateTime<Utc>,
    faults: &mut Vec<FieldError>,
) -> Vec<ClientAuthority> {
    let mut found: Vec<ClientAuthority> = Vec::new();
    for (number, der) in ders.iter().enumerate() {
        let facts = match Facts::of(der).and_then(|facts| anchor(der).map(|()| facts)) {
            Ok(facts) => facts,
            Err(error) => {
                let detail = format!("certificate {} cannot be read: {error}", number + 1);
                faults.push(FieldError::new(place, "unreadable-certificate", detail));
                continue;
            }
        };
        if let Some(fault) = authority_fault(der, &facts, place, now) {
            faults.push(fault);
        } else if found.iter().all(|known| known.fingerprint_sha256 != facts.fingerprint_sha256) {
            found.push(ClientAuthority {
                subject: facts.subject,
                fingerprint_sha256: facts.fingerprint_sha256,
                valid_until: facts.not_after,
                pem: pem::certificates([der]),
            });
        }
    }
    if found.len() > MAX_AUTHORITIES {
        let detail = format!("{} authorities are given; {MAX_AUTHORITIES} at most are accepted", found.len());
        faults.push(FieldError::new(place, "too-many-authorities", detail).with("limit", MAX_AUTHORITIES));
    }
    found
}

/// All of them in one text.
pub fn as_pem(certificates: &[CertificateDer<'static>]) -> String {
    pem::certificates(certificates)
}

/// Whether gateways can take it for one.
fn anchor(der: &CertificateDer<'static>) -> Result<(), PkiError> {
    Ok(RootCertStore::empty().add(der.clone())?)
}

fn authority_fault(der: &CertificateDer<'_>, facts: &Facts, place: &str, now: DateTime<Utc>) -> Option<FieldError> {
    let subject = &facts.subject;
    if !may_sign(der) {
        let detail = format!(
            "{subject} is no authority: its basic constraints or key usage do not let it sign certificates; give the CA's certificate, not a client's"
        );
        return Some(FieldError::new(place, "not-an-authority", detail).with("subject", subject.as_str()));
    }
    if facts.not_after <= now {
        let at = facts.not_after.format("%Y-%m-%d %H:%M UTC").to_string();
        let detail = format!("the certificate {subject} expired on {at}");
        return Some(FieldError::new(place, "certificate-expired", detail).with("at", at));
    }
    match facts.key {
        KeyKind::Rsa(bits) if bits < RSA_BITS_MIN => {
            let detail = format!("the key of {subject} has {bits} bits; RSA needs {RSA_BITS_MIN} at least");
            Some(FieldError::new(place, "key-too-weak", detail).with("bits", bits).with("min", RSA_BITS_MIN))
        }
        _ => None,
    }
}

fn may_sign(der: &CertificateDer<'_>) -> bool {
    let Ok((_, x509)) = X509Certificate::from_der(der) else { return false };
    let constraints = x509.basic_constraints().ok().flatten().is_some_and(|constraints| constraints.value.ca);
    // Without the extension a key may be used for everything (RFC 5280 §4.2.1.3).
    let usage = x509.key_usage().ok().is_some_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()));
    constraints && usage
}

/// The lists of a PEM text, at most one of each of `authorities`.
pub fn revocation_lists(
    text: &str,
    authorities: &[ClientAuthority],
    place: &str,
    faults: &mut Vec<FieldError>,
) -> Vec<RevocationList> {
    let ders: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(text.as_bytes()).collect();
    let ders = match ders {
        Ok(ders) if !ders.is_empty() => ders,
        Ok(_) => {
            let detail = "it is not PEM with a block of type X509 CRL; convert DER: openssl crl -inform der -in list.crl -out list.pem";
            faults.push(FieldError::new(place, "not-a-crl", detail));
            return Vec::new();
        }
        Err(error) => {
            faults.push(FieldError::new(place, "not-a-crl", format!("it is not PEM: {error}")));
            return Vec::new();
        }
    };
    let mut found: Vec<RevocationList> = Vec::new();
    for (number, der) in ders.iter().enumerate() {
        match list(der, authorities) {
            Ok(list) if found.iter().any(|known| known.issuer == list.issuer) => {
                let detail = format!("two lists of {} are given; give the newer one alone", list.issuer);
                faults.push(FieldError::new(place, "crl-twice", detail).with("issuer", list.issuer));
            }
            Ok(list) => found.push(list),
            Err((code, why)) => {
                faults.push(FieldError::new(place, code, format!("list {} cannot be used: {why}", number + 1)));
            }
        }
    }
    found
}

type Fault = (&'static str, String);

/// RFC 5280 §5.2.5.
const ISSUING_DISTRIBUTION_POINT: &str = "2.5.29.28";

fn list(der: &CertificateRevocationListDer<'static>, authorities: &[ClientAuthority]) -> Result<RevocationList, Fault> {
    let unreadable = |why: String| ("not-a-crl", why);
    let (_, list) = CertificateRevocationList::from_der(der).map_err(|error| unreadable(error.to_string()))?;
    // What `openssl ca` makes unless it is told otherwise.
    if list.version().is_none() {
        let why =
            "it is of version 1; version 2 is accepted: name crl_extensions in the section of openssl ca".to_owned();
        return Err(unreadable(why));
    }
    // Of a certificate that names another place such a list says nothing, and who is not spoken of gets in.
    if list.extensions().iter().any(|extension| extension.oid.to_id_string() == ISSUING_DISTRIBUTION_POINT) {
        let why =
            "it is of a part of the certificates (issuingDistributionPoint); give the authority's full list".to_owned();
        return Err(("crl-partial", why));
    }
    let issuer = list.issuer().to_string();
    let ders: Vec<CertificateDer<'static>> = authorities
        .iter()
        .filter_map(|authority| CertificateDer::from_pem_slice(authority.pem.as_bytes()).ok())
        .collect();
    let named: Vec<X509Certificate<'_>> = ders
        .iter()
        .filter_map(|der| X509Certificate::from_der(der).ok())
        .map(|(_, x509)| x509)
        .filter(|x509| x509.subject().as_raw() == list.issuer().as_raw())
        .collect();
    let signed = |x509: &X509Certificate<'_>| list.verify_signature(x509.public_key()).is_ok();
    match named.as_slice() {
        [] => return Err(("crl-of-stranger", format!("its issuer, {issuer}, is none of the authorities"))),
        all if all.iter().all(signed) => {}
        // Lists are found by the issuer's name alone: clients of the other key could not be told from revoked ones.
        all if all.iter().any(signed) => {
            let why = format!("two authorities with different keys are called {issuer}; a list is of one of them only");
            return Err(("crl-ambiguous", why));
        }
        _ => return Err(("crl-of-stranger", format!("it is not signed by the key of {issuer}"))),
    }
    usable(der, &ders).map_err(unreadable)?;
    let time = |seconds: i64| Utc.timestamp_opt(seconds, 0).single();
    let issued_at =
        time(list.last_update().timestamp()).ok_or_else(|| unreadable("its date is out of range".to_owned()))?;
    Ok(RevocationList {
        issuer,
        revoked: list.iter_revoked_certificates().count() as u64,
        issued_at,
        next_at: list.next_update().and_then(|next| time(next.timestamp())),
        pem: pem::revocation_list(der),
    })
}

/// Whether gateways read it: version 2, whole, without extensions that they must know and do not.
fn usable(der: &CertificateRevocationListDer<'static>, authorities: &[CertificateDer<'static>]) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.iter().cloned());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), default_provider().into());
    builder.with_crls([der.clone()]).build().map(drop).map_err(|error| error.to_string())
}
