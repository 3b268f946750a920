//! Node specs: reading the newest one, refusing bad and old ones, and what a change asks for.
//!
//! Owns the rules between two specs. [`change`], [`fence`] and [`check`] are pure; [`newest`] reads
//! the node directory. Knows nothing of how a change is carried out.

use crate::directory::NodeDirectory;
use crate::identity::can_replace;
use crate::supervisor::properties::{KafkaPaths, Properties, server_properties};
use crate::supervisor::release::Line;
use broker_api::refusal::RefusalCode;
use broker_api::spec::{NodeIdentity, NodeSpec, Role};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Settings of Kafka that a running broker takes (kafka.md §B). Every other one needs a restart.
const DYNAMIC: [&str; 3] = ["message.max.bytes", "log.segment.bytes", "log.cleaner.dedupe.buffer.size"];

/// The least heap that a broker starts with, measured; below it Kafka ends in out of memory.
const MIN_HEAP_BYTES: u64 = 128 << 20;

#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    #[error("there is no usable node spec: {}: {boot}; {}: {last_good}", boot_path.display(), last_good_path.display())]
    None { boot_path: PathBuf, boot: String, last_good_path: PathBuf, last_good: String },
    #[error("not a node spec: {0}")]
    Malformed(String),
    #[error("{0}")]
    Unservable(String),
    #[error("this is node {} of instance {}, and the spec is for node {} of instance {}", .ours.node_id, .ours.instance, .theirs.node_id, .theirs.instance)]
    ForeignIdentity { ours: Box<NodeIdentity>, theirs: Box<NodeIdentity> },
    #[error(
        "kafka.replication_password is for life: brokers of one instance that replicate by other ways can't reach each other"
    )]
    Replication,
    #[error("generation {offered} is older than {in_force}, which is in force")]
    Stale { offered: u64, in_force: u64 },
    #[error("generation {0} is in force with other content; a change needs a higher generation")]
    Reused(u64),
}

impl SpecError {
    pub fn code(&self) -> RefusalCode {
        match self {
            Self::None { .. } => RefusalCode::Unavailable,
            Self::Malformed(_) => RefusalCode::Malformed,
            Self::Unservable(_) | Self::Replication => RefusalCode::Unservable,
            Self::ForeignIdentity { .. } => RefusalCode::ForeignIdentity,
            Self::Stale { .. } => RefusalCode::StaleGeneration,
            Self::Reused(_) => RefusalCode::GenerationReused,
        }
    }

    /// Generation in force, where the spec lost against it.
    pub fn generation(&self) -> Option<u64> {
        match self {
            Self::Stale { in_force, .. } | Self::Reused(in_force) => Some(*in_force),
            _ => None,
        }
    }
}

/// Reads a spec and checks what can be checked without serving it.
pub fn parse(json: &[u8]) -> Result<NodeSpec, SpecError> {
    let spec: NodeSpec = serde_json::from_slice(json).map_err(|error| SpecError::Malformed(error.to_string()))?;
    check(&spec)?;
    Ok(spec)
}

/// The boot copy, where it may follow the last good one, else that. A file that is missing, cut off or garbage counts for
/// nothing, as long as the other is good.
pub fn newest(directory: &NodeDirectory) -> Result<NodeSpec, SpecError> {
    let (boot_path, last_good_path) = (directory.boot_spec(), directory.last_good_spec());
    match (read(&boot_path), read(&last_good_path)) {
        (Ok(boot), Ok(last_good)) if matches!(fence(&last_good, &boot), Ok(true)) => Ok(boot),
        (_, Ok(last_good)) => Ok(last_good),
        (Ok(boot), Err(_)) => Ok(boot),
        (Err(boot), Err(last_good)) => Err(SpecError::None { boot_path, boot, last_good_path, last_good }),
    }
}

fn read(path: &Path) -> Result<NodeSpec, String> {
    let json = fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "missing".to_owned(),
        _ => error.to_string(),
    })?;
    parse(&json).map_err(|error| error.to_string())
}

/// Refuses what could not work, naming the field and what would be accepted.
pub fn check(spec: &NodeSpec) -> Result<(), SpecError> {
    let kafka = &spec.kafka;
    Line::of(&kafka.version).map_err(|error| SpecError::Unservable(format!("kafka.version: {error}")))?;
    let rules = [
        (spec.generation >= 1, "generation must be at least 1"),
        (spec.identity.node_id >= 0, "identity.node_id must be at least 0"),
        (is_kafka_id(&spec.identity.cluster_id), "identity.cluster_id must be 22 characters of URL-safe base64"),
        (is_kafka_id(&spec.identity.directory_id), "identity.directory_id must be 22 characters of URL-safe base64"),
        (
            kafka.initial_controllers.iter().all(|voter| is_kafka_id(&voter.directory_id)),
            "kafka.initial_controllers: directory_id must be 22 characters of URL-safe base64",
        ),
        (!kafka.initial_controllers.is_empty(), "kafka.initial_controllers must name at least one voter"),
        (
            own_voter_agrees(spec),
            "kafka.initial_controllers must name this node with its identity.directory_id, or not at all",
        ),
        (!kafka.quorum_bootstrap.is_empty(), "kafka.quorum_bootstrap must name at least one host:port"),
        (kafka.roles.contains(&Role::Broker), "kafka.roles must hold broker: a gateway needs one behind it"),
        (kafka.brokers >= 1, "kafka.brokers must be at least 1"),
        (kafka.jvm.heap_bytes >= MIN_HEAP_BYTES, "kafka.jvm.heap_bytes must be at least 134217728"),
        ((1024..=15 << 20).contains(&kafka.max_message_bytes), "kafka.max_message_bytes must be from 1024 to 15728640"),
        (
            (1..=98).contains(&spec.gateway.capacity.threshold_percent),
            "gateway.capacity.threshold_percent must be from 1 to 98",
        ),
        (!kafka.bind.is_unspecified(), "kafka.bind must be one address: PLN has no login"),
        (!kafka.internal_host.is_empty(), "kafka.internal_host must not be empty"),
        (!kafka.delegation_token_key.expose().is_empty(), "kafka.delegation_token_key must not be empty"),
        (
            kafka.replication_password.is_none()
                || kafka.bind.is_loopback() && kafka.internal_host.parse() == Ok(kafka.bind),
            "kafka.replication_password is for kafka.bind and kafka.internal_host at one loopback address: what replicates by it is not encrypted",
        ),
        (
            kafka.replication_password.as_ref().is_none_or(|password| is_plain_word(password.expose())),
            "kafka.replication_password must be 32 to 128 letters, digits, '-' and '_'",
        ),
    ];
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(SpecError::Unservable((*rule).to_owned())),
        None => Ok(()),
    }
}

fn own_voter_agrees(spec: &NodeSpec) -> bool {
    let mut own = spec.kafka.initial_controllers.iter().filter(|voter| voter.node_id == spec.identity.node_id);
    own.all(|voter| voter.directory_id == spec.identity.directory_id)
}

/// What needs no escape where Kafka's login modules are configured.
fn is_plain_word(text: &str) -> bool {
    (32..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn is_kafka_id(text: &str) -> bool {
    crate::supervisor::checkpoint::uuid(text).is_some()
}

/// Whether a spec may follow the one in force; `Ok(false)` for a repeat.
pub fn fence(in_force: &NodeSpec, offered: &NodeSpec) -> Result<bool, SpecError> {
    if in_force.identity != offered.identity {
        return Err(SpecError::ForeignIdentity {
            ours: Box::new(in_force.identity.clone()),
            theirs: Box::new(offered.identity.clone()),
        });
    }
    match offered.generation.cmp(&in_force.generation) {
        std::cmp::Ordering::Less => {
            Err(SpecError::Stale { offered: offered.generation, in_force: in_force.generation })
        }
        std::cmp::Ordering::Equal if in_force == offered => Ok(false),
        std::cmp::Ordering::Equal => Err(SpecError::Reused(in_force.generation)),
        std::cmp::Ordering::Greater if in_force.kafka.replication_password != offered.kafka.replication_password => {
            Err(SpecError::Replication)
        }
        std::cmp::Ordering::Greater => Ok(true),
    }
}

/// What it takes to get from one spec to another, the least that does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// The gateway serves something else: swapped while it runs.
    pub hot: bool,
    /// Settings that the running broker takes.
    pub dynamic: Vec<(String, String)>,
    /// The certificates of INT and CTL changed: the running broker reads the files again. Its raft
    /// client keeps the old certificate for what it opens, until the next restart (kafka.md finding 6).
    pub internal_tls: bool,
    /// Why the JVM must start again; empty when it need not.
    pub restart: Vec<String>,
}

impl Change {
    /// Whether the supervisor has anything to do.
    pub fn concerns_kafka(&self) -> bool {
        !self.dynamic.is_empty() || self.internal_tls || !self.restart.is_empty()
    }
}

/// Compares what would be told to Kafka, not how the specs put it: a field without an effect on a
/// running broker (the initial voters, once formatted) is no change.
pub fn change(old: &NodeSpec, new: &NodeSpec) -> Result<Change, SpecError> {
    let mut change = Change {
        hot: old.gateway != new.gateway,
        internal_tls: old.kafka.internal_tls != new.kafka.internal_tls,
        ..Change::default()
    };
    let (before, after) = (properties(old)?, properties(new)?);
    for (key, value) in after.iter().filter(|(key, value)| before.get(key) != Some(*value)) {
        if DYNAMIC.contains(&key) {
            change.dynamic.push((key.to_owned(), value.to_owned()));
        } else {
            change.restart.push(key.to_owned());
        }
    }
    change.restart.extend(before.iter().filter(|(key, _)| after.get(key).is_none()).map(|(key, _)| key.to_owned()));
    if change.internal_tls && !can_replace(&old.kafka.internal_tls, &new.kafka.internal_tls) {
        change.restart.push("internal_tls".to_owned());
    }
    if old.kafka.version != new.kafka.version {
        change.restart.push("version".to_owned());
    }
    if old.kafka.jvm != new.kafka.jvm {
        change.restart.push("jvm".to_owned());
    }
    Ok(change)
}

/// The paths are the same on both sides of a comparison, so any will do.
fn properties(spec: &NodeSpec) -> Result<Properties, SpecError> {
    let line = Line::of(&spec.kafka.version).map_err(|error| SpecError::Unservable(error.to_string()))?;
    Ok(server_properties(spec, line, &KafkaPaths::new(Path::new("/"), PathBuf::from("/"))))
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
