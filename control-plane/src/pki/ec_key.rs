//! Private keys of elliptic curves, made whole.
//!
//! Java writes them without their public half, which RFC 5915 §3 allows and the crypto library of the gateway does not.
//! The certificate has that half; whether the two belong together the library checks when it loads the key.

use super::{
    der::{BIT_STRING, INTEGER, OCTETS, Reader, SEQUENCE, write},
    facts::KeyKind,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// DER of `ecPublicKey` (RFC 5480 §2.1.1) and of the curve.
const ALGORITHM_P256: &[u8] = &[
    0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, // 1.2.840.10045.2.1
    0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, // 1.2.840.10045.3.1.7
];
const ALGORITHM_P384: &[u8] = &[
    0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, // 1.2.840.10045.2.1
    0x06, 5, 0x2b, 0x81, 0x04, 0, 0x22, // 1.3.132.0.34
];
/// `publicKey [1]` of an ECPrivateKey.
const PUBLIC_KEY: u8 = 0xa1;

/// The same private key in PKCS#8 with this public half. `None` for a key of another kind than `kind`.
pub(super) fn complete(key: &PrivateKeyDer<'_>, kind: &KeyKind, public_key: &[u8]) -> Option<PrivateKeyDer<'static>> {
    let (algorithm, size) = match kind {
        KeyKind::EcdsaP256 => (ALGORITHM_P256, 32),
        KeyKind::EcdsaP384 => (ALGORITHM_P384, 48),
        _ => return None,
    };
    let scalar = match key {
        PrivateKeyDer::Pkcs8(pkcs8) => {
            let mut info = Reader(Reader(pkcs8.secret_pkcs8_der()).value(SEQUENCE)?);
            info.value(INTEGER)?;
            if info.value(SEQUENCE)? != algorithm {
                return None;
            }
            scalar(info.value(OCTETS)?)?
        }
        PrivateKeyDer::Sec1(sec1) => scalar(sec1.secret_sec1_der())?,
        _ => return None,
    };
    // Some writers leave out leading zeros, and some put one more.
    let digits = scalar.strip_prefix(&[0]).filter(|_| scalar.len() > size).unwrap_or(scalar);
    let padding = vec![0; size.checked_sub(digits.len())?];
    let public = write(PUBLIC_KEY, &[&write(BIT_STRING, &[&[0], public_key])?])?;
    let private = write(OCTETS, &[&padding, digits])?;
    let ec = write(SEQUENCE, &[&[INTEGER, 1, 1], &private, &public])?;
    let info = write(SEQUENCE, &[&[INTEGER, 1, 0], &write(SEQUENCE, &[algorithm])?, &write(OCTETS, &[&ec])?])?;
    Some(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(info)))
}

/// `privateKey` of an ECPrivateKey (RFC 5915 §3).
fn scalar(ec: &[u8]) -> Option<&[u8]> {
    let mut ec = Reader(Reader(ec).value(SEQUENCE)?);
    ec.value(INTEGER)?;
    ec.value(OCTETS)
}
