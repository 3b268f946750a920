//! Reads the TLS identities of a spec: PEM text in, what rustls takes out.

use broker_api::spec::TlsIdentity;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Why an identity cannot be used; `field` is where it stands in the spec. Never quotes a key.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {why}")]
pub struct IdentityError {
    field: &'static str,
    why: String,
}

impl IdentityError {
    pub fn new(field: &'static str, why: String) -> Self {
        Self { field, why }
    }
}

/// Certificate chain and key of an identity, as rustls wants them.
pub fn certified(
    field: &'static str,
    identity: &TlsIdentity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), IdentityError> {
    let error = |why: &str| IdentityError { field, why: why.to_owned() };
    let certificates = certificates(&identity.certificate_pem)
        .ok_or_else(|| error("certificate_pem must hold a certificate in PEM, leaf first"))?;
    // The parser's own text could quote the input.
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes())
        .map_err(|_| error("key_pem must hold a private key in PEM"))?;
    Ok((certificates, key))
}

/// The CA bundle of an identity.
pub fn roots(field: &'static str, identity: &TlsIdentity) -> Result<RootCertStore, IdentityError> {
    let error = |why: String| IdentityError { field, why };
    let mut roots = RootCertStore::empty();
    let bundle =
        certificates(&identity.ca_pem).ok_or_else(|| error("ca_pem must hold a certificate in PEM".to_owned()))?;
    for certificate in bundle {
        roots.add(certificate).map_err(|fault| error(format!("ca_pem: {fault}")))?;
    }
    Ok(roots)
}

/// Whether a running Kafka would take `new` in place of `old`: it wants the same subject, and every name
/// and address that the old one had. What cannot be read would not be taken.
pub fn can_replace(old: &TlsIdentity, new: &TlsIdentity) -> bool {
    let same = || {
        let (old, new) = (certificates(&old.certificate_pem)?, certificates(&new.certificate_pem)?);
        let (_, old) = X509Certificate::from_der(old.first()?).ok()?;
        let (_, new) = X509Certificate::from_der(new.first()?).ok()?;
        let (old_names, new_names) = (names(&old), names(&new));
        Some(old.subject() == new.subject() && old_names.iter().all(|name| new_names.contains(name)))
    };
    same().unwrap_or(false)
}

fn names<'a>(certificate: &X509Certificate<'a>) -> Vec<GeneralName<'a>> {
    let names = certificate.subject_alternative_name().ok().flatten();
    names.map(|names| names.value.general_names.clone()).unwrap_or_default()
}

/// At least one certificate, and nothing broken among them.
fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()?;
    (!found.is_empty()).then_some(found)
}
