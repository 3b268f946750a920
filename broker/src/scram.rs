//! What SCRAM keeps of a password (RFC 5802 §3), as Kafka does (KIP-84).

use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    pub(crate) fn mechanism(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    pub(crate) fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// Keys of one user. Never printed.
pub(crate) struct Keys {
    pub(crate) client: hmac::Tag,
    pub(crate) server: hmac::Tag,
}

impl Keys {
    /// Takes milliseconds and more, by the iterations.
    pub(crate) fn derive(hash: Hash, password: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        let mut salted = vec![0; hash.digest().output_len()];
        pbkdf2::derive(hash.pbkdf2(), iterations, salt, password.as_bytes(), &mut salted);
        let key = hmac::Key::new(hash.hmac(), &salted);
        Self { client: hmac::sign(&key, b"Client Key"), server: hmac::sign(&key, b"Server Key") }
    }

    /// What a server keeps to check a client's proof with.
    pub(crate) fn stored(&self, hash: Hash) -> digest::Digest {
        digest::digest(hash.digest(), self.client.as_ref())
    }
}
