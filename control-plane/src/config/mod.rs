//! Configuration: compiled defaults < file < environment < flags.
//!
//! One struct a section; every key is documented here and listed by `sluice-control-plane config` with its origin. Unknown keys are refused,
//! so that a misspelt one is not silently the default. Read once, at start; knows no other module but `secrets`.

mod load;
mod secret;

pub use load::{ConfigError, Loaded, Origin, load};
pub use secret::Redacted;

use crate::secrets::{MasterKeys, SecretError};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

/// Everything that can be set. In the environment a key is `SLUICE_` and its path in upper case, joined by `__`:
/// `SLUICE_DATABASE__APP_URL`. Other programs have variables with this prefix too: one without `__` counts only if it is a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address of the API.
    pub listen: SocketAddr,
    /// Address of `/metrics`; a private one.
    pub metrics_listen: SocketAddr,
    /// How clients reach the API; issuer of access tokens. Default: `http://` and `listen`.
    pub public_url: Option<String>,
    /// Directory of everything that the local driver keeps.
    pub home: PathBuf,
    /// Directory of Kafka distributions and other tools, for the local driver.
    pub tools: PathBuf,
    pub database: DatabaseConfig,
    pub secrets: SecretsConfig,
    pub sign_in: SignInConfig,
    pub limits: LimitsConfig,
    pub log: LogConfig,
    pub traces: TracesConfig,
    pub driver: DriverConfig,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// URL of `sluice_owner`: `migrate` needs it; `serve` migrates first when it has it.
    pub owner_url: Option<Redacted>,
    /// URL of `sluice_app`.
    pub app_url: Option<Redacted>,
    /// URL of `sluice_system`; direct, not through a pooler in transaction mode.
    pub system_url: Option<Redacted>,
    /// Connections of each of the two pools, at most.
    pub max_connections: u32,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsConfig {
    /// Name of the master key that wraps new data keys.
    pub active_master_key: Option<String>,
    /// Master keys by name: 32 bytes in base64.
    pub master_keys: BTreeMap<String, Redacted>,
    /// Files that hold a master key each, by name.
    pub master_key_files: BTreeMap<String, PathBuf>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignInConfig {
    /// Failures in a row before an address is locked.
    pub failures_allowed: u32,
    /// Length of the first lock; each further failure doubles it.
    pub first_lock_seconds: u32,
    pub longest_lock_seconds: u32,
    /// A session ends after this, however often it was refreshed.
    pub session_hours: u32,
    /// Passwords checked at once. Default: the number of processors.
    pub password_checks: Option<usize>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Requests of one caller (user or service account) a minute, and at once. 0: no limit.
    pub requests_per_minute: u32,
    pub request_burst: u32,
    /// Sign-ins from one address a minute, and at once. 0: no limit.
    pub sign_ins_per_minute: u32,
    pub sign_in_burst: u32,
    /// Requests that are worked on at once; more are answered 503.
    pub concurrent_requests: usize,
    /// Connections at once; more wait until one ends.
    pub connections: usize,
    /// A connection that takes longer to begin its next request, or to send its head, is closed.
    pub connection_silence_seconds: u64,
    /// A request that takes longer is answered 504.
    pub request_timeout_seconds: u64,
    /// How long requests in flight may take when the process stops.
    pub stop_grace_seconds: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// A JSON object a line.
    Json,
    /// For people.
    Human,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    pub format: LogFormat,
    /// As of `tracing_subscriber::EnvFilter`: `info,control_plane=debug`.
    pub filter: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracesConfig {
    /// Where spans go, OTLP over HTTP: `http://127.0.0.1:4318/v1/traces`. Not set: no traces.
    pub otlp_endpoint: Option<String>,
    /// Share of the traces that begin here and are kept, 0 to 1; a caller's own choice is followed.
    pub sample_ratio: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriverKind {
    /// Processes on this machine.
    Local,
    /// In memory: for development of clients and for load tests.
    Simulation,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DriverConfig {
    pub kind: DriverKind,
    /// The program that runs a broker. Default: `sluice-node` beside this program.
    pub node_program: Option<PathBuf>,
    /// Heap of every broker's JVM in MiB, for machines smaller than what is sold on them. Default: by the spec.
    pub heap_mb: Option<u64>,
    /// Room of each zone of the first region, in brokers of the smallest spec. An operator may change it later.
    pub brokers_per_zone: u32,
    /// Brokers that start sooner and have a lower peak.
    pub fast_start: bool,
    /// Networks of balancers in front of brokers, `10.0.0.0/8`: their connections begin with a header of the PROXY protocol,
    /// version 2, and count by the client's address that it tells. An instance follows a change with its next own change.
    pub balancers: Vec<IpNet>,
    /// Brokers of one machine copy records from each other by TLS too, where others have accounts on it and no firewall keeps them
    /// from the brokers' ports. Holds for instances that are ordered from then on (docs/adr/0003).
    pub replication_tls: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            metrics_listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            public_url: None,
            home: PathBuf::from(".sluice"),
            tools: PathBuf::from(".tools"),
            database: DatabaseConfig::default(),
            secrets: SecretsConfig::default(),
            sign_in: SignInConfig::default(),
            limits: LimitsConfig::default(),
            log: LogConfig::default(),
            traces: TracesConfig::default(),
            driver: DriverConfig::default(),
        }
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { owner_url: None, app_url: None, system_url: None, max_connections: 20 }
    }
}

impl Default for SignInConfig {
    fn default() -> Self {
        Self {
            failures_allowed: 5,
            first_lock_seconds: 60,
            longest_lock_seconds: 3600,
            session_hours: 720,
            password_checks: None,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            requests_per_minute: 1200,
            request_burst: 200,
            sign_ins_per_minute: 30,
            sign_in_burst: 20,
            concurrent_requests: 512,
            connections: 4096,
            connection_silence_seconds: 60,
            request_timeout_seconds: 60,
            stop_grace_seconds: 20,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Human, filter: "info,krafka=warn".to_owned() }
    }
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample_ratio: 1.0 }
    }
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            kind: DriverKind::Local,
            node_program: None,
            heap_mb: None,
            brokers_per_zone: 8,
            fast_start: false,
            balancers: Vec::new(),
            replication_tls: false,
        }
    }
}

impl Config {
    /// Issuer of access tokens.
    pub fn issuer(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| format!("http://{}", self.listen))
    }
}

impl SecretsConfig {
    /// Reads the files and checks the keys.
    pub fn master_keys(&self) -> Result<MasterKeys, ConfigError> {
        let mut keys: BTreeMap<&str, String> =
            self.master_keys.iter().map(|(name, key)| (name.as_str(), key.expose().to_owned())).collect();
        for (name, path) in &self.master_key_files {
            let key =
                std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.clone(), source })?;
            keys.insert(name, key);
        }
        let active = match (&self.active_master_key, keys.keys().next()) {
            (Some(active), _) => active.clone(),
            (None, Some(only)) if keys.len() == 1 => (*only).to_owned(),
            (None, _) => return Err(ConfigError::Missing { key: "secrets.active_master_key" }),
        };
        let keys = keys.iter().map(|(name, key)| (*name, key.as_str()));
        MasterKeys::new(&active, keys).map_err(|error: SecretError| ConfigError::Invalid {
            key: "secrets.master_keys",
            reason: error.to_string(),
        })
    }
}
