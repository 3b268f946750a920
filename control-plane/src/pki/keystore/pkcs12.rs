//! PKCS#12 (RFC 7292), as keytool, OpenSSL and Windows write it.

use super::{KeystoreError, MAX_CERTIFICATES, Opened};
use crate::pki::own::fitting;
use p12_keystore::{CertificateBag, Pkcs12Archive, PrivateKeyBag, error::Error};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

pub(super) fn open(file: &[u8], password: &str, alias: Option<&str>) -> Result<Opened, KeystoreError> {
    let Pkcs12Archive { keys, certs, .. } = read(file, password)?;
    let key = choose(keys, alias)?;
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.key.as_der().to_vec()));
    let mut chain: Vec<CertificateDer<'static>> = certs.iter().map(certificate).collect();
    // The key's own certificate by its mark; where there is none, the one that the key belongs to.
    let marked =
        |bag: &CertificateBag| bag.local_key_id.as_deref() == key.local_key_id.as_ref().map(|id| id.0.as_slice());
    let own = match &key.local_key_id {
        Some(_) => certs.iter().position(marked),
        None => None,
    };
    if let Some(own) = own.or_else(|| chain.iter().position(|one| fitting(one, &der).is_some())) {
        chain[..=own].rotate_right(1);
    }
    Ok(Opened { chain, key: der })
}

pub(super) fn certificates(file: &[u8], password: &str) -> Result<Vec<CertificateDer<'static>>, KeystoreError> {
    Ok(read(file, password)?.certs.iter().map(certificate).collect())
}

fn choose(mut keys: Vec<PrivateKeyBag>, alias: Option<&str>) -> Result<PrivateKeyBag, KeystoreError> {
    let name = |key: &PrivateKeyBag| key.friendly_name.clone().unwrap_or_default();
    let aliases = || keys.iter().map(name).collect::<Vec<_>>();
    let place = match (alias, keys.len()) {
        (_, 0) => return Err(KeystoreError::NoKey),
        (None, 1) => 0,
        (None, _) => return Err(KeystoreError::SeveralKeys(aliases())),
        (Some(alias), _) => keys
            .iter()
            .position(|key| name(key).eq_ignore_ascii_case(alias))
            .ok_or_else(|| KeystoreError::UnknownAlias(aliases()))?,
    };
    Ok(keys.swap_remove(place))
}

fn certificate(bag: &CertificateBag) -> CertificateDer<'static> {
    CertificateDer::from(bag.cert.as_der().to_vec())
}

fn read(file: &[u8], password: &str) -> Result<Pkcs12Archive, KeystoreError> {
    let archive = Pkcs12Archive::from_pkcs12(file, password).map_err(|error| match error {
        // The MAC; and where a file has none, what decryption with a wrong key comes to.
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => KeystoreError::WrongPassword,
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm => {
            let modern = "keytool -importkeystore -deststoretype PKCS12 with Java 17 or newer";
            KeystoreError::Unreadable(format!(
                "it is encrypted in a way that is not supported; write it anew: {modern}"
            ))
        }
        other => KeystoreError::Unreadable(format!("it is not PKCS#12: {other}")),
    })?;
    if archive.certs.len() > MAX_CERTIFICATES {
        let detail = format!("it holds {} certificates; {MAX_CERTIFICATES} at most are accepted", archive.certs.len());
        return Err(KeystoreError::Unreadable(detail));
    }
    Ok(archive)
}
