//! What clients trust, in the three forms that they take.

use super::{PkiError, facts, pem};
use chrono::{DateTime, Utc};
use p12_keystore::{KeyStore as Pkcs12, KeyStoreEntry};
use rustls_pki_types::CertificateDer;
use std::time::{Duration, SystemTime};

/// Password of truststores (product.md §5). No secret: a truststore holds only public certificates, and Java wants one.
pub const TRUSTSTORE_PASSWORD: &str = "dms@kafka";

/// A PKCS#12 truststore with every certificate of `ca_pem`, for Java 8u301 and newer, .NET, and OpenSSL.
pub fn truststore_pkcs12(ca_pem: &str) -> Result<Vec<u8>, PkiError> {
    let mut store = Pkcs12::new();
    for (alias, der) in certificates(ca_pem)? {
        let certificate = p12_keystore::Certificate::from_der(&der).map_err(failed)?;
        store.add_entry(&alias, KeyStoreEntry::Certificate(certificate));
    }
    store.writer(TRUSTSTORE_PASSWORD).write().map_err(failed)
}

/// A JKS truststore with every certificate of `ca_pem`, for any Java. `created` shows in keytool's listing.
pub fn truststore_jks(ca_pem: &str, created: DateTime<Utc>) -> Result<Vec<u8>, PkiError> {
    let mut store =
        jks::KeyStore::with_options(jks::KeyStoreOptions { ordered_aliases: true, ..jks::KeyStoreOptions::default() });
    let creation_time = SystemTime::UNIX_EPOCH + Duration::from_secs(created.timestamp().max(0).unsigned_abs());
    for (alias, der) in certificates(ca_pem)? {
        let certificate = jks::Certificate { cert_type: "X.509".to_owned(), content: der.to_vec() };
        store
            .set_trusted_certificate_entry(&alias, jks::TrustedCertificateEntry { creation_time, certificate })
            .map_err(failed)?;
    }
    let mut bytes = Vec::new();
    store.store(&mut bytes, TRUSTSTORE_PASSWORD.as_bytes()).map_err(failed)?;
    Ok(bytes)
}

/// The certificates of all these PEM texts, each once, in their order.
pub fn bundle<'a>(pems: impl IntoIterator<Item = &'a str>) -> Result<String, PkiError> {
    let mut bundle: Vec<CertificateDer<'static>> = Vec::new();
    for text in pems {
        for certificate in facts::certificates(text)? {
            if !bundle.contains(&certificate) {
                bundle.push(certificate);
            }
        }
    }
    Ok(pem::certificates(&bundle))
}

/// With an alias each: while one certificate takes over from another there may be two.
fn certificates(pem: &str) -> Result<Vec<(String, CertificateDer<'static>)>, PkiError> {
    let certificates = facts::certificates(pem)?;
    Ok(certificates.into_iter().enumerate().map(|(i, der)| (format!("sluice-ca-{}", i + 1), der)).collect())
}

fn failed(error: impl std::fmt::Display) -> PkiError {
    PkiError::Truststore { reason: error.to_string() }
}
