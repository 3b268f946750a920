//! What the caller signs in with, by profile: a session of rotating tokens, or an API key.
//!
//! Owns `credentials.toml` (mode 0600) and the lock beside it. A refresh token is good once (RFC 9700 §4.14), so
//! that two processes must never spend the same one: whoever refreshes holds the lock from reading the file to
//! writing it. Each entry names the address that it was issued by and is sent nowhere else.

use crate::{
    config::{ConfigDir, read_toml, write_toml},
    error::{Error, Result},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt, fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long another process may hold the lock: a refresh takes one round trip.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct CredentialsFile {
    profiles: BTreeMap<String, Credentials>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Credentials {
    /// Origin that they are for.
    pub url: String,
    #[serde(flatten)]
    pub secret: Secret,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Secret {
    Session {
        access_token: String,
        refresh_token: String,
        /// By this machine's clock.
        expires_at: DateTime<Utc>,
    },
    ApiKey {
        api_key: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The entry of one profile.
#[derive(Debug, Clone)]
pub struct CredentialStore {
    dir: ConfigDir,
    profile: String,
}

/// Held while tokens are exchanged; released when dropped, or by the kernel when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: fs::File,
}

impl CredentialStore {
    pub fn new(dir: ConfigDir, profile: String) -> Self {
        Self { dir, profile }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.credentials_file()
    }

    pub fn load(&self) -> Result<Option<Credentials>> {
        let mut file: CredentialsFile = read_toml(&self.path())?;
        Ok(file.profiles.remove(&self.profile))
    }

    /// The caller holds the lock, as this reads, changes and writes the file of all profiles.
    pub fn save(&self, _lock: &Lock, credentials: Option<Credentials>) -> Result<()> {
        let mut file: CredentialsFile = read_toml(&self.path())?;
        match credentials {
            Some(credentials) => file.profiles.insert(self.profile.clone(), credentials),
            None => file.profiles.remove(&self.profile),
        };
        write_toml(&self.path(), &file, 0o600)
    }

    pub async fn lock(&self) -> Result<Lock> {
        self.dir.ensure()?;
        let path = self.dir.lock_file();
        let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(Error::file(&path, "cannot be opened"))?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(Error::file(&path, "is held by another process")(error.into())),
            }
        }
    }
}
