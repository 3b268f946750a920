//! What a certificate says of itself.

use super::PkiError;
use chrono::{DateTime, TimeZone, Utc};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};
use std::{fmt, net::IpAddr};
use x509_parser::{
    extensions::{GeneralName, ParsedExtension},
    prelude::{FromDer, X509Certificate},
    public_key::PublicKey,
};

/// A public key, as far as it decides who can verify it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyKind {
    /// With its length in bits.
    Rsa(usize),
    EcdsaP256,
    EcdsaP384,
    /// Anything that not every Kafka client verifies: its algorithm's object identifier.
    Other(String),
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::EcdsaP256 => f.write_str("ECDSA P-256"),
            Self::EcdsaP384 => f.write_str("ECDSA P-384"),
            Self::Other(algorithm) => write!(f, "algorithm {algorithm}"),
        }
    }
}

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub subject: String,
    pub issuer: String,
    /// Lower-case hexadecimal, without the zero byte that DER puts before a high bit.
    pub serial: String,
    /// Lower-case hexadecimal.
    pub fingerprint_sha256: String,
    /// Host names and addresses among its subject alternative names, in their order.
    pub names: Vec<String>,
    pub not_before: DateTime<Utc>,
    pub not_after: DateTime<Utc>,
    pub key: KeyKind,
    /// As its key algorithm writes it.
    pub(super) public_key: Vec<u8>,
    /// Of the issuer's key, and of its own, where it says so.
    pub(super) authority_key_id: Option<Vec<u8>>,
    pub(super) subject_key_id: Option<Vec<u8>>,
}

impl Facts {
    pub fn of(der: &CertificateDer<'_>) -> Result<Self, PkiError> {
        let invalid = |reason: String| PkiError::Invalid { what: "certificate", reason };
        let (_, x509) = X509Certificate::from_der(der).map_err(|error| invalid(error.to_string()))?;
        let time = |seconds: i64| {
            Utc.timestamp_opt(seconds, 0).single().ok_or_else(|| invalid("its validity is out of range".to_owned()))
        };
        let (mut names, mut authority_key_id, mut subject_key_id) = (Vec::new(), None, None);
        for extension in x509.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(of) => {
                    names.extend(of.general_names.iter().filter_map(name));
                }
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    authority_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
                }
                ParsedExtension::SubjectKeyIdentifier(id) => subject_key_id = Some(id.0.to_vec()),
                _ => {}
            }
        }
        Ok(Self {
            subject: x509.subject().to_string(),
            issuer: x509.issuer().to_string(),
            serial: serial(x509.raw_serial()),
            fingerprint_sha256: hex(&Sha256::digest(der)),
            names,
            not_before: time(x509.validity().not_before.timestamp())?,
            not_after: time(x509.validity().not_after.timestamp())?,
            key: key_kind(&x509),
            public_key: x509.public_key().subject_public_key.data.to_vec(),
            authority_key_id,
            subject_key_id,
        })
    }

    /// Of the first certificate of a PEM text.
    pub fn of_pem(pem: &str) -> Result<Self, PkiError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| PkiError::Invalid { what: "certificate", reason: error.to_string() })?;
        Self::of(&der)
    }

    /// Whether it names itself as its issuer: a root, or a leaf that nobody else vouches for.
    pub fn self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether `issuer` may have issued it, by what both say: the signature is another question.
    pub(super) fn issued_by(&self, issuer: &Self) -> bool {
        let ids = (&self.authority_key_id, &issuer.subject_key_id);
        self.issuer == issuer.subject && !matches!(ids, (Some(wanted), Some(own)) if wanted != own)
    }
}

/// Every certificate of a PEM text, in order; at least one.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let invalid = |reason: String| PkiError::Invalid { what: "list of certificates", reason };
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| invalid(error.to_string()))?;
    if certificates.is_empty() {
        return Err(invalid("no PEM block of type CERTIFICATE".to_owned()));
    }
    Ok(certificates)
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let address: Option<IpAddr> = match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes).ok().map(IpAddr::from),
                16 => <[u8; 16]>::try_from(*bytes).ok().map(IpAddr::from),
                _ => None,
            };
            address.map(|address| address.to_string())
        }
        _ => None,
    }
}

fn key_kind(x509: &X509Certificate<'_>) -> KeyKind {
    let key = x509.public_key();
    let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok()).map(|oid| oid.to_id_string());
    match (key.parsed(), curve.as_deref()) {
        (Ok(PublicKey::RSA(rsa)), _) => KeyKind::Rsa(rsa.key_size()),
        // RFC 5480 §2.1.1.1: secp256r1, secp384r1.
        (Ok(PublicKey::EC(_)), Some("1.2.840.10045.3.1.7")) => KeyKind::EcdsaP256,
        (Ok(PublicKey::EC(_)), Some("1.3.132.0.34")) => KeyKind::EcdsaP384,
        _ => KeyKind::Other(curve.unwrap_or_else(|| key.algorithm.algorithm.to_id_string())),
    }
}

fn serial(raw: &[u8]) -> String {
    match raw {
        [0, rest @ ..] if !rest.is_empty() => hex(rest),
        _ => hex(raw),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
