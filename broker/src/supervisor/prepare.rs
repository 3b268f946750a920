//! Brings the node's files to what a spec says, and tells how to start the JVM on them.
//!
//! Owns `kafka/` of the node directory. Idempotent: running it again with the same spec changes
//! nothing that Kafka could notice.

use super::hosts;
use super::jvm::{JvmError, JvmPlan, OUTPUT_LOG, Tools, arguments};
use super::logging::log_config;
use super::process::Launch;
use super::properties::{KafkaPaths, server_properties};
use super::release::{Line, UnknownVersion};
use super::rotate;
use super::storage::{Formatted, StorageError, ensure_formatted};
use super::tokens;
use crate::directory::{NodeDirectory, write_atomic};
use crate::{clock, spec};
use broker_api::spec::NodeSpec;
use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error(transparent)]
    Version(#[from] UnknownVersion),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Jvm(#[from] JvmError),
    #[error("cannot make the keys that tokens of the gateway are signed with: {0}")]
    Tokens(String),
    #[error("cannot write the broker's files under {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Formats the storage of a new node; a formatted one is checked.
pub fn format(directory: &NodeDirectory, spec: &NodeSpec) -> Result<Formatted, PrepareError> {
    Ok(ensure_formatted(&directory.data(), spec, Line::of(&spec.kafka.version)?, clock::unix_ms())?)
}

/// Writes every file that Kafka is told of.
pub fn prepare(directory: &NodeDirectory, tools: &Tools, spec: &NodeSpec) -> Result<Launch, PrepareError> {
    let line = Line::of(&spec.kafka.version)?;
    let paths = KafkaPaths::new(&directory.kafka(), directory.data());
    let properties = directory.kafka().join("server.properties");
    let logging = log_config(line, &directory.logs());
    let class_path = tools.class_path(&spec.kafka.version)?;
    let class_archive = tools.class_archive(&spec.kafka.version);
    let io_error = |source| PrepareError::Io { path: directory.kafka(), source };

    write_internal_tls(directory, spec).map_err(io_error)?;
    tokens::ensure(directory).map_err(PrepareError::Tokens)?;
    write_atomic(&directory.kafka().join(logging.file), logging.text.as_bytes()).map_err(io_error)?;
    let hosts = hosts::file(&spec.kafka).map(|text| (directory.kafka().join("hosts"), text));
    if let Some((path, text)) = &hosts {
        write_atomic(path, text.as_bytes()).map_err(io_error)?;
    }
    write_atomic(&properties, server_properties(spec, line, &paths).render().as_bytes()).map_err(io_error)?;
    let output = directory.logs().join(OUTPUT_LOG);
    rotate::on_start(&output).map_err(io_error)?;

    let plan = JvmPlan {
        jvm: &spec.kafka.jvm,
        class_path: &class_path,
        class_archive: class_archive.as_deref(),
        directory,
        kafka: &paths,
        logging: &logging,
        properties: &properties,
        hosts: hosts.as_ref().map(|(path, _)| path.as_path()),
    };
    Ok(Launch { program: tools.java(), arguments: arguments(&plan), directory: directory.root().to_owned(), output })
}

/// The PEM files of INT and CTL, at the paths that they always have.
pub fn write_internal_tls(directory: &NodeDirectory, spec: &NodeSpec) -> io::Result<()> {
    let paths = KafkaPaths::new(&directory.kafka(), directory.data());
    let tls = &spec.kafka.internal_tls;
    // Kafka wants key and chain in one file.
    let keystore = format!("{}\n{}", tls.key_pem.expose().trim_end(), tls.certificate_pem);
    write_atomic(&paths.keystore, keystore.as_bytes())?;
    write_atomic(&paths.truststore, tls.ca_pem.as_bytes())
}

/// Remembers the spec that the running broker follows whole, for whoever tells it of the next.
pub fn write_in_force(directory: &NodeDirectory, spec: &NodeSpec) -> io::Result<()> {
    write_atomic(&in_force_path(directory), &serde_json::to_vec(spec)?)
}

/// The spec that the running broker was last known to follow whole.
pub fn in_force(directory: &NodeDirectory) -> Option<NodeSpec> {
    spec::parse(&std::fs::read(in_force_path(directory)).ok()?).ok()
}

fn in_force_path(directory: &NodeDirectory) -> PathBuf {
    directory.kafka().join("in-force.json")
}
