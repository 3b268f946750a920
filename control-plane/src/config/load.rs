//! Reading the layers, and telling where each value came from.

use super::Config;
use figment::{
    Figment, Metadata, Source,
    providers::{Env, Format, Serialized, Toml},
};
use serde_json::Value;
use std::path::{Path, PathBuf};

const PREFIX: &str = "SLUICE_";

/// Keys of [`Config`] that are no sections.
const TOP: &[&str] = &["listen", "metrics_listen", "public_url", "home", "tools"];

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("configuration: {0}")]
    Layers(#[from] Box<figment::Error>),
    #[error("cannot read {path}")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("configuration: {key} is not set; set it in the file, or as SLUICE_{} in the environment", key.to_uppercase().replace('.', "__"))]
    Missing { key: &'static str },
    #[error("configuration: {key}: {reason}")]
    Invalid { key: &'static str, reason: String },
    #[error("configuration: --set takes key=value, got {0:?}")]
    Flag(String),
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `listen`, `database.app_url`.
    pub key: String,
    /// As TOML would have it; `[redacted]` for secrets.
    pub value: String,
    /// `default`, `environment SLUICE_LISTEN`, `file /etc/sluice.toml`, `flag`.
    pub origin: String,
}

/// The effective configuration and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub origins: Vec<Origin>,
}

/// `file`: must exist when given. `flags`: `key=value`, the value as in TOML or a bare text.
pub fn load(file: Option<&Path>, flags: &[String]) -> Result<Loaded, ConfigError> {
    let mut layers = Figment::from(Serialized::defaults(Config::default()));
    if let Some(path) = file {
        layers = layers.merge(Toml::file_exact(path));
    }
    layers = layers.merge(environment());
    for flag in flags {
        let (key, value) = flag.split_once('=').ok_or_else(|| ConfigError::Flag(flag.clone()))?;
        let parsed: figment::value::Value =
            value.parse().unwrap_or_else(|_| figment::value::Value::from(value.to_owned()));
        layers = layers.merge(Serialized::global(key, parsed));
    }
    let config: Config = layers.extract().map_err(Box::new)?;
    let shown = serde_json::to_value(&config)
        .map_err(|error| ConfigError::Invalid { key: "config", reason: error.to_string() })?;
    let mut origins = Vec::new();
    list(&layers, "", &shown, &mut origins);
    Ok(Loaded { config, origins })
}

fn environment() -> Env {
    let ours = |key: &str| key.contains("__") || TOP.iter().any(|top| key.eq_ignore_ascii_case(top));
    Env::prefixed(PREFIX).filter(move |key| ours(key.as_str())).split("__")
}

fn list(layers: &Figment, path: &str, value: &Value, origins: &mut Vec<Origin>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                list(layers, &key, value, origins);
            }
        }
        value => {
            let origin = layers.find_metadata(path).map_or_else(|| "default".to_owned(), |found| describe(found, path));
            let value = if value.is_null() { "(not set)".to_owned() } else { value.to_string() };
            origins.push(Origin { key: path.to_owned(), value, origin });
        }
    }
}

fn describe(metadata: &Metadata, key: &str) -> String {
    match &metadata.source {
        Some(Source::File(path)) => format!("file {}", path.display()),
        _ if metadata.name.contains("environment") => {
            format!("environment {PREFIX}{}", key.to_uppercase().replace('.', "__"))
        }
        _ if metadata.source.as_ref().is_some_and(|source| source.code_location().is_some())
            && metadata.name.contains("Config") =>
        {
            "default".to_owned()
        }
        _ => "flag".to_owned(),
    }
}
