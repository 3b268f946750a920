//! Key stores that tenants upload: JKS, PKCS#12, and PEM files.
//!
//! What is read here was written by strangers. The JKS reader is our own, because the library that writes our truststores
//! allocates what lengths in the file ask for; PKCS#12 is the library's, which bounds its work. Reading is slow on
//! purpose (key derivation): call it off the async threads.

mod jks;
mod pkcs12;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// Largest file; a key with its chain takes a few KiB.
pub const MAX_FILE_BYTES: usize = 256 << 10;
/// Most certificates of a file: more is no chain.
const MAX_CERTIFICATES: usize = 64;

/// Why a key store cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    #[error("the password is wrong, or the file is damaged")]
    WrongPassword,
    #[error("the key has another password than this one")]
    WrongKeyPassword,
    #[error("{0}")]
    Unreadable(String),
    #[error("it holds no private key")]
    NoKey,
    #[error("it holds several keys: {}; name one of them as alias", .0.join(", "))]
    SeveralKeys(Vec<String>),
    #[error("it holds no key of this alias; its keys are {}", .0.join(", "))]
    UnknownAlias(Vec<String>),
}

/// A key and the certificates beside it, the one that belongs to the key first.
#[derive(Debug)]
pub struct Opened {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// A file by what it begins with.
enum Kind {
    Jks,
    Pkcs12,
}

fn kind(file: &[u8]) -> Result<Kind, KeystoreError> {
    match file {
        [0xfe, 0xed, 0xfe, 0xed, ..] => Ok(Kind::Jks),
        [0xce, 0xce, 0xce, 0xce, ..] => Err(KeystoreError::Unreadable(
            "it is a JCEKS keystore; convert it: keytool -importkeystore -deststoretype PKCS12".to_owned(),
        )),
        [0x30, ..] => Ok(Kind::Pkcs12),
        _ => Err(KeystoreError::Unreadable("it is neither a JKS nor a PKCS#12 file".to_owned())),
    }
}

/// The key of a JKS keystore. `key_password`: where it is another one than the file's.
pub fn open_jks(
    file: &[u8],
    password: &str,
    key_password: Option<&str>,
    alias: Option<&str>,
) -> Result<Opened, KeystoreError> {
    match kind(file)? {
        Kind::Jks => jks::open(file, password, key_password.unwrap_or(password), alias),
        Kind::Pkcs12 => Err(KeystoreError::Unreadable("it is a PKCS#12 file: give the format pkcs12".to_owned())),
    }
}

/// The key of a PKCS#12 keystore.
pub fn open_pkcs12(file: &[u8], password: &str, alias: Option<&str>) -> Result<Opened, KeystoreError> {
    match kind(file)? {
        Kind::Jks => Err(KeystoreError::Unreadable("it is a JKS keystore: give the format jks".to_owned())),
        Kind::Pkcs12 => pkcs12::open(file, password, alias),
    }
}

/// The certificates of a truststore of either kind.
pub fn trusted(file: &[u8], password: &str) -> Result<Vec<CertificateDer<'static>>, KeystoreError> {
    let certificates = match kind(file)? {
        Kind::Jks => jks::trusted(file, password)?,
        Kind::Pkcs12 => pkcs12::certificates(file, password)?,
    };
    match certificates.len() {
        0 => Err(KeystoreError::Unreadable("it holds no certificate".to_owned())),
        _ => Ok(certificates),
    }
}

/// Every certificate of a PEM file; at least one.
pub fn pem_certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, KeystoreError> {
    let unreadable = |reason: &dyn std::fmt::Display| KeystoreError::Unreadable(format!("it is not PEM: {reason}"));
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes())
        .take(MAX_CERTIFICATES)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(&error))?;
    if certificates.is_empty() {
        return Err(unreadable(&"no block of type CERTIFICATE"));
    }
    Ok(certificates)
}

/// The key of a PEM file: PKCS#8, PKCS#1 or SEC 1.
pub fn pem_key(text: &str) -> Result<PrivateKeyDer<'static>, KeystoreError> {
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(KeystoreError::Unreadable(
            "it is encrypted; upload it within a PKCS#12 file, or decrypt it: openssl pkey -in key.pem -out plain.pem"
                .to_owned(),
        ));
    }
    // The reason is left out: a parser's text may quote what it read.
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| KeystoreError::Unreadable("it holds no private key in PEM (PKCS#8, PKCS#1 or SEC 1)".to_owned()))
}
