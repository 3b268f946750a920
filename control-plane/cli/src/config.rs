//! The profiles file: addresses and defaults by name, no secrets.
//!
//! Owns `config.toml` in the configuration directory: `$SLUICE_CONFIG_DIR`, else `$XDG_CONFIG_HOME/sluice`,
//! else `~/.config/sluice`. Credentials live beside it, in a file of their own ([`crate::credentials`]).

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

/// Name of the profile that is used when none is named.
pub const DEFAULT_PROFILE: &str = "default";

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The profile in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    pub profiles: BTreeMap<String, Profile>,
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Name or id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// `zh` or `en`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// PEM file of the authority that signs the API's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// Where the configuration lives.
#[derive(Debug, Clone)]
pub struct ConfigDir(PathBuf);

impl ConfigDir {
    pub fn from_environment() -> Result<Self> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        set("SLUICE_CONFIG_DIR")
            .or_else(|| set("XDG_CONFIG_HOME").map(|base| base.join("sluice")))
            .or_else(|| set("HOME").map(|home| home.join(".config/sluice")))
            .map(Self)
            .ok_or_else(|| Error::Usage("no place for the configuration: set SLUICE_CONFIG_DIR or HOME".to_owned()))
    }

    pub fn config_file(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    pub fn credentials_file(&self) -> PathBuf {
        self.0.join("credentials.toml")
    }

    pub fn lock_file(&self) -> PathBuf {
        self.0.join("credentials.lock")
    }

    /// Makes the directory, readable by its owner only.
    pub fn ensure(&self) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        made.map_err(Error::file(&self.0, "cannot be made"))
    }
}

impl Config {
    pub fn load(dir: &ConfigDir) -> Result<Self> {
        let path = dir.config_file();
        read_toml(&path)
    }

    pub fn save(&self, dir: &ConfigDir) -> Result<()> {
        dir.ensure()?;
        write_toml(&dir.config_file(), self, 0o600)
    }

    /// The profile to use when no flag and no variable names one.
    pub fn current_name(&self) -> &str {
        self.current.as_deref().unwrap_or(DEFAULT_PROFILE)
    }
}

/// A file that does not exist reads as the default.
pub fn read_toml<T: Default + serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
        Err(error) => return Err(Error::file(path, "cannot be read")(error)),
    };
    toml::from_str(&text).map_err(|error| Error::Config { path: path.to_owned(), reason: error.to_string() })
}

/// Replaces the file at once: a reader sees the old text or the new one, a crash leaves one of them.
pub fn write_toml<T: Serialize>(path: &Path, value: &T, mode: u32) -> Result<()> {
    use io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let text = toml::to_string_pretty(value)
        .map_err(|error| Error::Config { path: path.to_owned(), reason: error.to_string() })?;
    let scratch = path.with_extension(format!("tmp-{}", std::process::id()));
    let write = || {
        let _ = fs::remove_file(&scratch);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&scratch)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&scratch, path)
    };
    write().map_err(Error::file(path, "cannot be written"))
}
