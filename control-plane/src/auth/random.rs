//! Tokens that are random bytes: refresh tokens and API keys. Only their hashes are stored; 256 random bits need no salt
//! and no slow hash.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use std::fmt;

/// What an API key begins with, so that secret scanners know it.
pub const API_KEY_PREFIX: &str = "slk_";
/// What a refresh token begins with.
pub const REFRESH_TOKEN_PREFIX: &str = "slr_";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct NoRandom;

/// Bytes that nobody can guess.
pub fn bytes() -> Result<[u8; 32], NoRandom> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

/// A new random token, in clear text for its holder.
#[derive(Clone, PartialEq, Eq)]
pub struct RandomToken(String);

impl RandomToken {
    pub fn generate(prefix: &'static str) -> Result<Self, NoRandom> {
        Ok(Self(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes()?))))
    }

    pub fn hash(&self) -> [u8; 32] {
        hash(&self.0)
    }

    /// First characters, to tell a key by; 24 of its 256 bits.
    pub fn hint(&self) -> String {
        format!("{}…", &self.0[..8])
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RandomToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What is stored of a token.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
