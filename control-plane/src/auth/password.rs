//! Passwords: Argon2id on blocking threads, a few at a time.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use std::{fmt, sync::Arc};
use tokio::sync::Semaphore;

#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("password hashing failed: {0}")]
    Hash(argon2::password_hash::Error),
    #[error("the stored hash is not one: {0}")]
    Stored(argon2::password_hash::phc::Error),
    #[error("the hashing thread ended: {0}")]
    Thread(#[from] tokio::task::JoinError),
    #[error("hashing has been shut down")]
    Closed,
    #[error("argon2 parameters: {0}")]
    Params(argon2::Error),
}

/// Cost of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    pub memory_kib: u32,
    pub iterations: u32,
}

impl Cost {
    /// OWASP Password Storage Cheat Sheet, first choice of Argon2id.
    pub const DEFAULT: Self = Self { memory_kib: 19_456, iterations: 2 };
    /// As little as Argon2 allows: for tests, where hundreds of accounts are made.
    pub const LEAST: Self = Self { memory_kib: 8, iterations: 1 };
}

/// Hashes and checks passwords. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    /// Each check takes tens of milliseconds and of MiB: more at once than cores would only queue in the kernel.
    slots: Arc<Semaphore>,
    /// Checked for unknown accounts, so that they take as long as known ones.
    decoy: Arc<str>,
}

impl Passwords {
    pub fn new(cost: Cost, at_once: usize) -> Result<Self, PasswordError> {
        let params = Params::new(cost.memory_kib, cost.iterations, 1, None).map_err(PasswordError::Params)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = argon2.hash_password(b"nobody's password").map_err(PasswordError::Hash)?.to_string();
        Ok(Self { argon2, slots: Arc::new(Semaphore::new(at_once.max(1))), decoy: decoy.into() })
    }

    /// A PHC string (`$argon2id$v=19$…`) with a random salt.
    pub async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let password = password.to_owned();
        self.blocking(move |argon2| {
            Ok(argon2.hash_password(password.as_bytes()).map_err(PasswordError::Hash)?.to_string())
        })
        .await
    }

    /// Whether `password` is that of `stored`; without a stored hash the answer is no, after as much work.
    pub async fn verify(&self, password: &str, stored: Option<&str>) -> Result<bool, PasswordError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.decoy).to_owned();
        let password = password.to_owned();
        self.blocking(move |argon2| {
            let stored = PasswordHash::new(&stored).map_err(PasswordError::Stored)?;
            Ok(argon2.verify_password(password.as_bytes(), &stored).is_ok() && known)
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| PasswordError::Closed)?;
        let argon2 = self.argon2.clone();
        tokio::task::spawn_blocking(move || {
            let outcome = work(&argon2);
            drop(slot);
            outcome
        })
        .await?
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("free_slots", &self.slots.available_permits()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_account_passes() {
        let passwords = Passwords::new(Cost::LEAST, 2).unwrap();
        let stored = passwords.hash("correct horse battery").await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$"));
        assert!(passwords.verify("correct horse battery", Some(&stored)).await.unwrap());
        assert!(!passwords.verify("incorrect horse", Some(&stored)).await.unwrap());
        assert!(!passwords.verify("nobody's password", None).await.unwrap());
    }

    #[tokio::test]
    async fn two_hashes_of_one_password_differ() {
        let passwords = Passwords::new(Cost::LEAST, 2).unwrap();
        assert_ne!(passwords.hash("same").await.unwrap(), passwords.hash("same").await.unwrap());
    }
}
