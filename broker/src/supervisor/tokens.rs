//! The key that this node's gateway signs tokens with, for Kafka's OAUTHBEARER on SAS.
//!
//! Owns two files under `kafka/`: the private key (for the gateway, 0600) and the key set that Kafka
//! reads (RFC 7517). Made once in a node's life: Kafka 3.9 reads the set only when it starts
//! (kafka.md finding 15), and a token lives for a minute.

use super::properties::KafkaPaths;
use crate::assertion::KEY_ID;
use crate::directory::{NodeDirectory, write_atomic};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use std::path::PathBuf;
use std::{fs, io};

/// Uncompressed point of P-256: a tag and two coordinates.
const COORDINATE_BYTES: usize = 32;

/// PKCS#8 (DER) of the signing key.
pub fn private_key_path(directory: &NodeDirectory) -> PathBuf {
    directory.kafka().join("token-key.der")
}

/// Makes the key where there is none, and writes the key set. An error is a text without secrets.
pub fn ensure(directory: &NodeDirectory) -> Result<(), String> {
    let path = private_key_path(directory);
    let random = SystemRandom::new();
    let pkcs8 = match fs::read(&path) {
        Ok(pkcs8) => pkcs8,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                .map_err(|_| "no random numbers".to_owned())?;
            write_atomic(&path, made.as_ref()).map_err(|error| format!("{}: {error}", path.display()))?;
            made.as_ref().to_vec()
        }
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &random)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let keys = KafkaPaths::new(&directory.kafka(), directory.data()).token_keys;
    let set = key_set(pair.public_key().as_ref()).ok_or("the key is not of P-256")?;
    write_atomic(&keys, set.as_bytes()).map_err(|error| format!("{}: {error}", keys.display()))
}

fn key_set(point: &[u8]) -> Option<String> {
    let coordinates = point.strip_prefix(&[4])?;
    let (x, y) = coordinates.split_at_checked(COORDINATE_BYTES)?;
    let set = serde_json::json!({ "keys": [{
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID,
        "x": URL_SAFE_NO_PAD.encode(x),
        "y": URL_SAFE_NO_PAD.encode(y),
    }]});
    Some(set.to_string())
}
