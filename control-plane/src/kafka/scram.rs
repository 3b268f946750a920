//! SCRAM credentials as Kafka keeps them: a salt and a salted password, never the password (RFC 5802 §3, KIP-554).

use super::Credentials;
use krafka::{admin::ScramCredentialUpsertion, auth::ScramMechanism};
use ring::{
    pbkdf2,
    rand::{SecureRandom, SystemRandom},
};
use std::num::NonZeroU32;

/// Kafka's own default and least; every login of a client that speaks PLAIN costs the gateway as many rounds.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("not zero");
const SALT_BYTES: usize = 32;

/// One for each mechanism that clients may choose, so that the one password serves both.
pub(super) fn upsertions(credentials: &Credentials) -> Result<Vec<ScramCredentialUpsertion>, ring::error::Unspecified> {
    let mechanisms = [
        (ScramMechanism::Sha256, pbkdf2::PBKDF2_HMAC_SHA256, 32),
        (ScramMechanism::Sha512, pbkdf2::PBKDF2_HMAC_SHA512, 64),
    ];
    let random = SystemRandom::new();
    mechanisms
        .into_iter()
        .map(|(mechanism, algorithm, length)| {
            let mut salt = vec![0; SALT_BYTES];
            random.fill(&mut salt)?;
            let mut salted = vec![0; length];
            pbkdf2::derive(algorithm, ITERATIONS, &salt, credentials.password.expose().as_bytes(), &mut salted);
            Ok(ScramCredentialUpsertion {
                name: credentials.user.clone(),
                mechanism,
                iterations: ITERATIONS.get().cast_signed(),
                salt: salt.into(),
                salted_password: salted.into(),
            })
        })
        .collect()
}
