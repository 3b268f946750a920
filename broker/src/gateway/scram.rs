//! The client's side of SCRAM (RFC 5802) as Kafka speaks it (KIP-84), and a cache of what is slow.
//!
//! A client that speaks PLAIN shows its password; the gateway proves it to Kafka with this, so that
//! Kafka's authorizer, quotas and logs see the true user and there is one user store.

pub(super) use crate::scram::Hash;
use crate::scram::Keys;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{hmac, rand::SecureRandom, rand::SystemRandom};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// More than Kafka allows (16 384, `ScramMechanism`): a guard, not a policy.
const MAX_ITERATIONS: u32 = 1 << 20;
/// Users whose keys are remembered: more than any instance's clients.
const CACHED: usize = 4096;
/// Keys of passwords that Kafka has not accepted: for a client that keeps trying a wrong one.
const TRIED: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScramError {
    #[error("Kafka's SCRAM message is malformed")]
    Malformed,
    #[error("Kafka's nonce does not extend ours")]
    Nonce,
    #[error("Kafka does not know the password that it checked")]
    ServerSignature,
    #[error("the random source failed")]
    Random,
}

/// An exchange after its first message.
pub(super) struct Exchange {
    hash: Hash,
    nonce: String,
    first_bare: String,
}

/// An exchange that proved the password and waits for Kafka's own proof.
pub(super) struct Proved {
    signature: hmac::Tag,
    label: Label,
    keys: Arc<Keys>,
}

/// What keys are found by: a keyed hash of all that they depend on.
type Label = [u8; 32];

/// What Kafka answered to the first message.
struct Challenge<'a> {
    text: &'a str,
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

impl Exchange {
    /// Also gives the client-first-message.
    pub(super) fn start(hash: Hash, user: &str) -> Result<(Self, String), ScramError> {
        let mut random = [0; 18];
        SystemRandom::new().fill(&mut random).map_err(|_| ScramError::Random)?;
        let nonce = BASE64.encode(random);
        let name = user.replace('=', "=3D").replace(',', "=2C");
        let first_bare = format!("n={name},r={nonce}");
        let first = format!("n,,{first_bare}");
        Ok((Self { hash, nonce, first_bare }, first))
    }

    /// Answers the server-first-message with the client-final-message.
    pub(super) async fn prove(
        self,
        keys: &KeyCache,
        user: &str,
        password: &str,
        server_first: &[u8],
    ) -> Result<(Proved, String), ScramError> {
        let challenge = Challenge::parse(server_first)?;
        // Kafka's nonce is ours and more of its own.
        if challenge.nonce.len() <= self.nonce.len() || !challenge.nonce.starts_with(&self.nonce) {
            return Err(ScramError::Nonce);
        }
        let (label, user_keys) = keys.derive(self.hash, user, password, &challenge).await?;
        let without_proof = format!("c=biws,r={}", challenge.nonce);
        let message = format!("{},{},{without_proof}", self.first_bare, challenge.text);
        let stored = user_keys.stored(self.hash);
        let client_signature = hmac::sign(&hmac::Key::new(self.hash.hmac(), stored.as_ref()), message.as_bytes());
        let proof: Vec<u8> = user_keys
            .client
            .as_ref()
            .iter()
            .zip(client_signature.as_ref())
            .map(|(key, signature)| key ^ signature)
            .collect();
        let signature = hmac::sign(&hmac::Key::new(self.hash.hmac(), user_keys.server.as_ref()), message.as_bytes());
        let proved = Proved { signature, label, keys: user_keys };
        Ok((proved, format!("{without_proof},p={}", BASE64.encode(proof))))
    }
}

impl Proved {
    /// Checks the server-final-message.
    pub(super) fn check(&self, server_final: &[u8]) -> Result<(), ScramError> {
        let text = std::str::from_utf8(server_final).map_err(|_| ScramError::Malformed)?;
        let encoded = text.strip_prefix("v=").ok_or(ScramError::Malformed)?;
        let signature =
            BASE64.decode(encoded.split(',').next().unwrap_or_default()).map_err(|_| ScramError::Malformed)?;
        // Kafka is on loopback: nobody could time this comparison who could not read the password.
        if signature == self.signature.as_ref() { Ok(()) } else { Err(ScramError::ServerSignature) }
    }
}

impl<'a> Challenge<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, ScramError> {
        let text = std::str::from_utf8(message).map_err(|_| ScramError::Malformed)?;
        let mut fields = text.split(',');
        let mut field =
            |name: &str| fields.next().and_then(|field| field.strip_prefix(name)).ok_or(ScramError::Malformed);
        let (nonce, salt, iterations) = (field("r=")?, field("s=")?, field("i=")?);
        let salt = BASE64.decode(salt).map_err(|_| ScramError::Malformed)?;
        let iterations: NonZeroU32 = iterations.parse().map_err(|_| ScramError::Malformed)?;
        if iterations.get() > MAX_ITERATIONS {
            return Err(ScramError::Malformed);
        }
        Ok(Self { text, nonce, salt, iterations })
    }
}

/// The user of a client-first-message; `None` when it is none (RFC 5802 §7).
pub(super) fn user_of_first_message(message: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(message).ok()?;
    // gs2-cbind-flag, then an authorisation id or nothing, then the bare message.
    let mut fields = text.splitn(3, ',');
    let flag = fields.next()?;
    let authorization = fields.next()?;
    if !matches!(flag, "n" | "y") || !(authorization.is_empty() || authorization.starts_with("a=")) {
        return None;
    }
    let name = fields.next()?.split(',').next()?.strip_prefix("n=")?;
    Some(name.replace("=2C", ",").replace("=3D", "="))
}

/// Keys that were derived before, under a keyed hash of the password, so that a storm of
/// reconnecting clients costs one PBKDF2 a user (kafka.md finding 14). Guesses have a place of their own,
/// so that no stranger can push out what users proved.
pub(super) struct KeyCache {
    secret: hmac::Key,
    proved: Mutex<HashMap<Label, Arc<Keys>>>,
    tried: Mutex<HashMap<Label, Arc<Keys>>>,
    /// Derivations at once: one leaves the other cores to traffic.
    derivations: Semaphore,
    /// The hash that a user logged in with last, to be tried first.
    preferred: Mutex<HashMap<String, Hash>>,
}

impl std::fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyCache")
    }
}

impl KeyCache {
    pub(super) fn new() -> Result<Self, ScramError> {
        let secret = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| ScramError::Random)?;
        Ok(Self {
            secret,
            proved: Mutex::default(),
            tried: Mutex::default(),
            derivations: Semaphore::new(1),
            preferred: Mutex::default(),
        })
    }

    /// The hash to try first for `user`.
    pub(super) fn preferred(&self, user: &str) -> Hash {
        *self.preferred.lock().unwrap_or_else(PoisonError::into_inner).get(user).unwrap_or(&Hash::Sha512)
    }

    pub(super) fn prefer(&self, user: &str, hash: Hash) {
        remember(&self.preferred, CACHED, user.to_owned(), hash);
    }

    /// Kafka accepted the password: its keys stay.
    pub(super) fn accept(&self, proved: &Proved) {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).remove(&proved.label);
        remember(&self.proved, CACHED, proved.label, proved.keys.clone());
    }

    async fn derive(
        &self,
        hash: Hash,
        user: &str,
        password: &str,
        challenge: &Challenge<'_>,
    ) -> Result<(Label, Arc<Keys>), ScramError> {
        let label = self.label(hash, user, password, challenge);
        if let Some(keys) = self.lookup(&label) {
            return Ok((label, keys));
        }
        let _one_at_a_time = self.derivations.acquire().await.map_err(|_| ScramError::Random)?;
        if let Some(keys) = self.lookup(&label) {
            return Ok((label, keys));
        }
        let (password, salt, iterations) = (password.to_owned(), challenge.salt.clone(), challenge.iterations);
        let derived = tokio::task::spawn_blocking(move || Keys::derive(hash, &password, &salt, iterations));
        let keys = Arc::new(derived.await.map_err(|_| ScramError::Random)?);
        remember(&self.tried, TRIED, label, keys.clone());
        Ok((label, keys))
    }

    fn lookup(&self, label: &Label) -> Option<Arc<Keys>> {
        let find = |keys: &Mutex<HashMap<Label, Arc<Keys>>>| {
            keys.lock().unwrap_or_else(PoisonError::into_inner).get(label).cloned()
        };
        find(&self.proved).or_else(|| find(&self.tried))
    }

    fn label(&self, hash: Hash, user: &str, password: &str, challenge: &Challenge<'_>) -> Label {
        let mut context = hmac::Context::with_key(&self.secret);
        let iterations = challenge.iterations.get().to_be_bytes();
        for part in [hash.mechanism().as_bytes(), user.as_bytes(), password.as_bytes(), &challenge.salt, &iterations] {
            // The length first, so that no two lists of parts look alike.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut label = [0; 32];
        label.copy_from_slice(context.sign().as_ref());
        label
    }
}

/// Forgets any one entry of a full map: what is dropped is only slower next time.
fn remember<K: Clone + Eq + std::hash::Hash, V>(map: &Mutex<HashMap<K, V>>, most: usize, key: K, value: V) {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    if map.len() >= most
        && !map.contains_key(&key)
        && let Some(any) = map.keys().next().cloned()
    {
        map.remove(&any);
    }
    map.insert(key, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677 §3.
    #[tokio::test]
    async fn the_published_exchange_is_reproduced() {
        let exchange = Exchange {
            hash: Hash::Sha256,
            nonce: "rOprNGfwEbeRWgbNEkqO".into(),
            first_bare: "n=user,r=rOprNGfwEbeRWgbNEkqO".into(),
        };
        let keys = KeyCache::new().unwrap();
        let server_first = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (proved, last) = exchange.prove(&keys, "user", "pencil", server_first).await.unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(proved.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        assert_eq!(proved.check(b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Err(ScramError::ServerSignature));
    }

    #[tokio::test]
    async fn guesses_do_not_push_out_what_a_user_proved() {
        let keys = KeyCache::new().unwrap();
        let challenge = Challenge::parse(b"r=x,s=c2FsdA==,i=1").unwrap();
        let (label, derived) = keys.derive(Hash::Sha256, "alice", "right", &challenge).await.unwrap();
        let signature = hmac::sign(&keys.secret, b"");
        keys.accept(&Proved { signature, label, keys: derived });
        for guess in 0..CACHED + TRIED {
            keys.derive(Hash::Sha256, "alice", &guess.to_string(), &challenge).await.unwrap();
        }
        assert!(keys.lookup(&label).is_some());
        assert_eq!(keys.tried.lock().unwrap().len(), TRIED);
    }

    #[test]
    fn the_user_of_a_first_message_is_found_whatever_its_name() {
        assert_eq!(user_of_first_message(b"n,,n=alice,r=abc").as_deref(), Some("alice"));
        assert_eq!(user_of_first_message(b"n,a=alice,n=alice,r=abc,tokenauth=true").as_deref(), Some("alice"));
        assert_eq!(user_of_first_message(b"n,,n=a=2Cb=3D2C,r=abc").as_deref(), Some("a,b=2C"));
        for hostile in [&b""[..], b"n", b"n,", b"n,,", b"p=tls,,n=a,r=b", b"n,x,n=a,r=b", b"n,,r=b", b"\xff,,n=a"] {
            assert_eq!(user_of_first_message(hostile), None, "{hostile:?}");
        }
    }
}
