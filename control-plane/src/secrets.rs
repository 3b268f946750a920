//! Secrets at rest: envelope encryption with AES-256-GCM.
//!
//! ```text
//! master key (file or environment, never stored) ──wraps──► data key (table data_keys) ──seals──► a secret (bytea columns)
//! ```
//! Turning the master key rewraps a few data keys; turning a data key re-encrypts the secrets. A sealed value names its data
//! key, and is bound to a context (`table:row:column`), so that it cannot be moved to another row. Owns the
//! cryptography; knows no database.

use arc_swap::ArcSwap;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use std::{collections::BTreeMap, fmt, sync::Arc};

const KEY_BYTES: usize = 32;
/// First byte of everything sealed, so that the format can change.
const FORMAT: u8 = 1;
const WRAP_CONTEXT: &str = "data-key";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("a master key has {0} bytes after base64 decoding, 32 are needed")]
    MasterKeyLength(usize),
    #[error("master key {0} is not valid base64")]
    MasterKeyEncoding(String),
    #[error("master key {0} is not configured; add it, or restore the file that holds it")]
    UnknownMasterKey(String),
    #[error("data key {0} is not loaded")]
    UnknownDataKey(i32),
    #[error("there is no active data key")]
    NoActiveDataKey,
    #[error("sealed data is damaged, belongs elsewhere, or was sealed under another key ({context})")]
    Open { context: String },
    #[error("the system gave no random bytes")]
    Random,
}

fn random<const N: usize>() -> Result<[u8; N], SecretError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SecretError::Random)?;
    Ok(bytes)
}

fn aead(key: &[u8]) -> Result<LessSafeKey, SecretError> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| SecretError::MasterKeyLength(key.len()))?;
    Ok(LessSafeKey::new(key))
}

/// nonce ‖ ciphertext ‖ tag. Nonces are random: a data key is good for 2^32 values (NIST SP 800-38D §8.3).
fn encrypt(key: &LessSafeKey, context: &str, plaintext: &[u8]) -> Result<Vec<u8>, SecretError> {
    let nonce = random::<NONCE_LEN>()?;
    let mut text = plaintext.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context.as_bytes()), &mut text)
        .map_err(|_| SecretError::Random)?;
    Ok([nonce.as_slice(), &text].concat())
}

fn decrypt(key: &LessSafeKey, context: &str, sealed: &[u8]) -> Result<Vec<u8>, SecretError> {
    let fault = || SecretError::Open { context: context.to_owned() };
    let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or_else(fault)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| fault())?;
    let mut text = text.to_vec();
    let length = key.open_in_place(nonce, Aad::from(context.as_bytes()), &mut text).map_err(|_| fault())?.len();
    text.truncate(length);
    Ok(text)
}

/// The keys that wrap data keys, by name; one of them wraps new ones.
#[derive(Clone)]
pub struct MasterKeys {
    active: String,
    keys: BTreeMap<String, Arc<LessSafeKey>>,
}

impl MasterKeys {
    /// `keys`: name → 32 bytes in base64. `active` must be among them.
    pub fn new<'a>(active: &str, keys: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, SecretError> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let mut known = BTreeMap::new();
        for (name, text) in keys {
            let bytes = STANDARD.decode(text.trim()).map_err(|_| SecretError::MasterKeyEncoding(name.to_owned()))?;
            if bytes.len() != KEY_BYTES {
                return Err(SecretError::MasterKeyLength(bytes.len()));
            }
            known.insert(name.to_owned(), Arc::new(aead(&bytes)?));
        }
        if !known.contains_key(active) {
            return Err(SecretError::UnknownMasterKey(active.to_owned()));
        }
        Ok(Self { active: active.to_owned(), keys: known })
    }

    /// A key for a new installation, in base64.
    pub fn generate() -> Result<String, SecretError> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        Ok(STANDARD.encode(random::<KEY_BYTES>()?))
    }

    pub fn active(&self) -> &str {
        &self.active
    }

    /// A new data key, wrapped by the active master key: what to store.
    pub fn new_data_key(&self) -> Result<(String, Vec<u8>), SecretError> {
        Ok((self.active.clone(), self.wrap(&random::<KEY_BYTES>()?)?))
    }

    /// The same data key under the active master key.
    pub fn rewrap(&self, master_key: &str, wrapped: &[u8]) -> Result<(String, Vec<u8>), SecretError> {
        Ok((self.active.clone(), self.wrap(&self.unwrap(master_key, wrapped)?)?))
    }

    fn wrap(&self, data_key: &[u8]) -> Result<Vec<u8>, SecretError> {
        encrypt(self.key(&self.active)?, WRAP_CONTEXT, data_key)
    }

    fn unwrap(&self, master_key: &str, wrapped: &[u8]) -> Result<Vec<u8>, SecretError> {
        decrypt(self.key(master_key)?, WRAP_CONTEXT, wrapped)
    }

    fn key(&self, name: &str) -> Result<&LessSafeKey, SecretError> {
        self.keys.get(name).map(Arc::as_ref).ok_or_else(|| SecretError::UnknownMasterKey(name.to_owned()))
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKeys").field("active", &self.active).field("known", &self.keys.keys()).finish()
    }
}

/// A data key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedDataKey {
    pub id: i32,
    pub master_key_id: String,
    pub wrapped: Vec<u8>,
    pub active: bool,
}

/// Seals and opens secrets. Cheap to clone; all clones see a [`Keyring::reload`].
#[derive(Clone)]
pub struct Keyring {
    master: MasterKeys,
    data: Arc<ArcSwap<DataKeys>>,
}

#[derive(Default)]
struct DataKeys {
    active: Option<i32>,
    keys: BTreeMap<i32, LessSafeKey>,
}

impl Keyring {
    pub fn new(master: MasterKeys, stored: &[WrappedDataKey]) -> Result<Self, SecretError> {
        let keyring = Self { master, data: Arc::new(ArcSwap::from_pointee(DataKeys::default())) };
        keyring.reload(stored)?;
        Ok(keyring)
    }

    /// A keyring that lives and dies with the process, for tests and simulations.
    pub fn ephemeral() -> Result<Self, SecretError> {
        let key = MasterKeys::generate()?;
        let master = MasterKeys::new("ephemeral", [("ephemeral", key.as_str())])?;
        let (master_key_id, wrapped) = master.new_data_key()?;
        Self::new(master, &[WrappedDataKey { id: 1, master_key_id, wrapped, active: true }])
    }

    /// Takes the data keys as they are stored now.
    pub fn reload(&self, stored: &[WrappedDataKey]) -> Result<(), SecretError> {
        let mut data = DataKeys::default();
        for key in stored {
            data.keys.insert(key.id, aead(&self.master.unwrap(&key.master_key_id, &key.wrapped)?)?);
            if key.active {
                data.active = Some(key.id);
            }
        }
        self.data.store(Arc::new(data));
        Ok(())
    }

    pub fn master(&self) -> &MasterKeys {
        &self.master
    }

    /// Encrypts for storage. `context` names the place, `instance_secrets:ins_…:tls-key`; opening needs the same.
    pub fn seal(&self, context: &str, plaintext: &[u8]) -> Result<Vec<u8>, SecretError> {
        let data = self.data.load();
        let id = data.active.ok_or(SecretError::NoActiveDataKey)?;
        let key = data.keys.get(&id).ok_or(SecretError::UnknownDataKey(id))?;
        let mut sealed = vec![FORMAT];
        sealed.extend(id.to_be_bytes());
        sealed.extend(encrypt(key, context, plaintext)?);
        Ok(sealed)
    }

    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, SecretError> {
        let (id, text) = split(sealed).ok_or_else(|| SecretError::Open { context: context.to_owned() })?;
        let data = self.data.load();
        decrypt(data.keys.get(&id).ok_or(SecretError::UnknownDataKey(id))?, context, text)
    }

    /// Sealed under a data key that is no longer the active one: to be sealed again.
    pub fn outdated(&self, sealed: &[u8]) -> bool {
        split(sealed).map(|(id, _)| id) != self.data.load().active
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = self.data.load();
        f.debug_struct("Keyring").field("active", &data.active).field("data_keys", &data.keys.keys()).finish()
    }
}

fn split(sealed: &[u8]) -> Option<(i32, &[u8])> {
    let (format, rest) = sealed.split_first()?;
    let (id, text) = rest.split_first_chunk::<4>()?;
    (*format == FORMAT).then_some((i32::from_be_bytes(*id), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(id: i32, (master_key_id, wrapped): (String, Vec<u8>), active: bool) -> WrappedDataKey {
        WrappedDataKey { id, master_key_id, wrapped, active }
    }

    #[test]
    fn a_secret_opens_only_in_the_place_it_was_sealed_for() {
        let keyring = Keyring::ephemeral().unwrap();
        let sealed = keyring.seal("instance_secrets:a", b"Quartz-91").unwrap();
        assert_eq!(keyring.open("instance_secrets:a", &sealed).unwrap(), b"Quartz-91");
        assert!(keyring.open("instance_secrets:b", &sealed).is_err());
        assert!(!sealed.windows(9).any(|part| part == b"Quartz-91"));
    }

    #[test]
    fn a_damaged_or_short_secret_is_refused() {
        let keyring = Keyring::ephemeral().unwrap();
        let sealed = keyring.seal("here", b"text").unwrap();
        for place in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[place] ^= 1;
            assert!(keyring.open("here", &damaged).is_err(), "byte {place}");
            assert!(keyring.open("here", &sealed[..place]).is_err(), "{place} bytes");
        }
    }

    #[test]
    fn after_the_master_key_is_turned_the_old_one_is_not_needed() {
        let (old, new) = (MasterKeys::generate().unwrap(), MasterKeys::generate().unwrap());
        let before = MasterKeys::new("2025", [("2025", old.as_str())]).unwrap();
        let key = before.new_data_key().unwrap();
        let sealed = Keyring::new(before, &[stored(1, key.clone(), true)]).unwrap().seal("x", b"kept").unwrap();

        let both = MasterKeys::new("2026", [("2025", old.as_str()), ("2026", new.as_str())]).unwrap();
        let rewrapped = both.rewrap(&key.0, &key.1).unwrap();
        let after = MasterKeys::new("2026", [("2026", new.as_str())]).unwrap();
        assert_eq!(
            Keyring::new(after.clone(), &[stored(1, key, true)]).err(),
            Some(SecretError::UnknownMasterKey("2025".into()))
        );
        assert_eq!(Keyring::new(after, &[stored(1, rewrapped, true)]).unwrap().open("x", &sealed).unwrap(), b"kept");
    }

    #[test]
    fn a_new_data_key_makes_older_secrets_outdated_but_readable() {
        let text = MasterKeys::generate().unwrap();
        let master = MasterKeys::new("m", [("m", text.as_str())]).unwrap();
        let (first, second) = (master.new_data_key().unwrap(), master.new_data_key().unwrap());
        let keyring = Keyring::new(master, &[stored(1, first.clone(), true)]).unwrap();
        let sealed = keyring.seal("x", b"kept").unwrap();
        assert!(!keyring.outdated(&sealed));
        keyring.reload(&[stored(1, first, false), stored(2, second, true)]).unwrap();
        assert!(keyring.outdated(&sealed));
        assert_eq!(keyring.open("x", &sealed).unwrap(), b"kept");
    }

    #[test]
    fn a_master_key_of_the_wrong_length_is_refused() {
        assert_eq!(MasterKeys::new("m", [("m", "c2hvcnQ=")]).err(), Some(SecretError::MasterKeyLength(5)));
    }

    #[test]
    fn no_key_shows_in_debug_output() {
        let text = MasterKeys::generate().unwrap();
        let master = MasterKeys::new("m", [("m", text.as_str())]).unwrap();
        assert!(!format!("{master:?}").contains(&text));
    }
}
