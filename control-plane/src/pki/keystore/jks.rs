//! Java's own key store format, versions 1 and 2.
//!
//! ```text
//! feedfeed │ version │ count │ entries … │ SHA-1(password ‖ "Mighty Aphrodite" ‖ all before)
//! key:         1 │ alias │ time │ EncryptedPrivateKeyInfo │ count │ (type │ certificate) …
//! certificate: 2 │ alias │ time │ type │ certificate
//! ```
//! Numbers are big-endian, texts carry 16-bit and files 32-bit lengths; passwords are UTF-16. A key is XORed with a chain of
//! SHA-1 and proved by one (sun.security.provider.KeyProtector): weak, and what the format is. Lengths are compared with what
//! is there before anything is copied.

use super::{KeystoreError, MAX_CERTIFICATES, Opened};
use crate::pki::der::{OCTETS, OID, Reader, SEQUENCE};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

const WHITENER: &[u8] = b"Mighty Aphrodite";
const DIGEST: usize = 20;
/// 1.3.6.1.4.1.42.2.17.1.1: the only protection that the format knows.
const KEY_PROTECTOR: &[u8] = &[0x2b, 6, 1, 4, 1, 42, 2, 17, 1, 1];

struct Key {
    alias: String,
    protected: Vec<u8>,
    chain: Vec<CertificateDer<'static>>,
}

#[derive(Default)]
struct Entries {
    keys: Vec<Key>,
    trusted: Vec<CertificateDer<'static>>,
}

pub(super) fn open(
    file: &[u8],
    password: &str,
    key_password: &str,
    alias: Option<&str>,
) -> Result<Opened, KeystoreError> {
    let mut keys = read(file, password)?.keys;
    let aliases = || keys.iter().map(|key| key.alias.clone()).collect::<Vec<_>>();
    // Java compares aliases without case.
    let place = match (alias, keys.len()) {
        (_, 0) => return Err(KeystoreError::NoKey),
        (None, 1) => 0,
        (None, _) => return Err(KeystoreError::SeveralKeys(aliases())),
        (Some(alias), _) => keys
            .iter()
            .position(|key| key.alias.eq_ignore_ascii_case(alias))
            .ok_or_else(|| KeystoreError::UnknownAlias(aliases()))?,
    };
    let key = keys.swap_remove(place);
    let plain = unprotect(&key.protected, key_password)?;
    Ok(Opened { chain: key.chain, key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(plain)) })
}

/// Trusted certificates; where there are none, those of keys, as a keystore given as truststore has them.
pub(super) fn trusted(file: &[u8], password: &str) -> Result<Vec<CertificateDer<'static>>, KeystoreError> {
    let Entries { keys, trusted } = read(file, password)?;
    if !trusted.is_empty() {
        return Ok(trusted);
    }
    Ok(keys.into_iter().flat_map(|key| key.chain).collect())
}

fn read(file: &[u8], password: &str) -> Result<Entries, KeystoreError> {
    let broken = || KeystoreError::Unreadable("it breaks off, or is no JKS keystore".to_owned());
    let (content, digest) = file.split_last_chunk::<DIGEST>().ok_or_else(broken)?;
    if sha1(&[&utf16(password), WHITENER, content]) != *digest {
        return Err(KeystoreError::WrongPassword);
    }
    entries(content).ok_or_else(broken)
}

fn entries(content: &[u8]) -> Option<Entries> {
    let mut reader = Reader(content);
    let _magic = reader.u32()?;
    let version = reader.u32()?;
    if !matches!(version, 1 | 2) {
        return None;
    }
    let mut entries = Entries::default();
    for _ in 0..reader.u32()? {
        let tag = reader.u32()?;
        let alias = String::from_utf8_lossy(reader.text()?).into_owned();
        let _created = reader.take(8)?;
        match tag {
            1 => {
                let protected = reader.file()?.to_vec();
                let mut chain = Vec::new();
                for _ in 0..reader.u32()? {
                    chain.push(reader.certificate(version)?);
                }
                entries.keys.push(Key { alias, protected, chain });
            }
            2 => entries.trusted.push(reader.certificate(version)?),
            _ => return None,
        }
        let held = entries.trusted.len() + entries.keys.iter().map(|key| key.chain.len().max(1)).sum::<usize>();
        if held > MAX_CERTIFICATES {
            return None;
        }
    }
    Some(entries)
}

/// The numbers, texts and files of the format.
trait Fields<'a> {
    fn u32(&mut self) -> Option<u32>;
    fn text(&mut self) -> Option<&'a [u8]>;
    fn file(&mut self) -> Option<&'a [u8]>;
    fn certificate(&mut self, version: u32) -> Option<CertificateDer<'static>>;
}

impl<'a> Fields<'a> for Reader<'a> {
    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        self.take(length.into())
    }

    fn file(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?.try_into().ok()?;
        self.take(length)
    }

    fn certificate(&mut self, version: u32) -> Option<CertificateDer<'static>> {
        if version == 2 {
            let _type = self.text()?;
        }
        Some(CertificateDer::from(self.file()?.to_vec()))
    }
}

/// PKCS#8 in clear.
fn unprotect(protected: &[u8], password: &str) -> Result<Vec<u8>, KeystoreError> {
    let unknown = || KeystoreError::Unreadable("its key is protected in an unknown way".to_owned());
    let data = protected_data(protected).ok_or_else(unknown)?;
    let (salt, rest) = data.split_first_chunk::<DIGEST>().ok_or_else(unknown)?;
    let (hidden, proof) = rest.split_last_chunk::<DIGEST>().ok_or_else(unknown)?;
    let password = utf16(password);
    let mut plain = hidden.to_vec();
    let mut stream = *salt;
    for block in plain.chunks_mut(DIGEST) {
        stream = sha1(&[&password, &stream]);
        block.iter_mut().zip(stream).for_each(|(byte, mask)| *byte ^= mask);
    }
    if sha1(&[&password, &plain]) == *proof { Ok(plain) } else { Err(KeystoreError::WrongKeyPassword) }
}

/// The octets of an EncryptedPrivateKeyInfo (RFC 5208 §6) of Java's protector.
fn protected_data(info: &[u8]) -> Option<&[u8]> {
    let mut info = Reader(Reader(info).value(SEQUENCE)?);
    let mut algorithm = Reader(info.value(SEQUENCE)?);
    (algorithm.value(OID)? == KEY_PROTECTOR).then(|| info.value(OCTETS))?
}

fn utf16(password: &str) -> Vec<u8> {
    password.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

fn sha1(parts: &[&[u8]]) -> [u8; DIGEST] {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    parts.iter().for_each(|part| context.update(part));
    let mut digest = [0; DIGEST];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A store with this content and a good digest.
    fn sealed(content: &[u8], password: &str) -> Vec<u8> {
        let digest = sha1(&[&utf16(password), WHITENER, content]);
        [content, &digest].concat()
    }

    #[test]
    fn lengths_that_no_file_has_are_refused_without_making_room_for_them() {
        for count in [1_u32, u32::MAX] {
            let mut content = [[0xfe, 0xed, 0xfe, 0xed], [0, 0, 0, 2], [0, 0, 0, 1], [0, 0, 0, 1]].concat();
            content.extend([0, 1, b'a']);
            content.extend([0; 8]);
            content.extend(count.to_be_bytes());
            content.extend(u32::MAX.to_be_bytes());
            let refusal = read(&sealed(&content, "word"), "word").err();
            assert!(matches!(refusal, Some(KeystoreError::Unreadable(_))), "{refusal:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_behind_a_good_digest_is_read_or_refused(content in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut whole = [[0xfe, 0xed, 0xfe, 0xed], [0, 0, 0, 2]].concat();
            whole.extend(content);
            let file = sealed(&whole, "word");
            let _ = open(&file, "word", "word", None);
            let _ = trusted(&file, "word");
        }

        #[test]
        fn whatever_protects_a_key_is_undone_or_refused(info in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = unprotect(&info, "word");
        }
    }
}
