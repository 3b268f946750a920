//! Formats Kafka's log directory, once in a node's life, and refuses one that is another node's.
//!
//! Owns `meta.properties`, `bootstrap.checkpoint` and the first checkpoint of the metadata log, byte
//! for byte what `kafka-storage format` writes (a test runs both and compares): a JVM less, which is
//! a second of CPU for every node of every purchase. May use the file system and the release table.
//!
//! A crash at any instant is safe: files are written beside the log directory and appear in it by one
//! rename; a directory with `meta.properties` is never written again.

use super::checkpoint::{self, FirstUser};
use super::properties::NODE_USER;
use super::release::Line;
use crate::directory::sync_directory;
use broker_api::spec::NodeSpec;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const META_PROPERTIES: &str = "meta.properties";
const BOOTSTRAP_CHECKPOINT: &str = "bootstrap.checkpoint";
const METADATA_LOG: &str = "__cluster_metadata-0";
const FIRST_CHECKPOINT: &str = "00000000000000000000-0000000000.checkpoint";

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("{} belongs to another node: {key} is {found:?} and should be {expected:?}", path.display())]
    Foreign { path: PathBuf, key: &'static str, found: String, expected: String },
    #[error("{} is not a log directory of Kafka, and is not empty: it holds {entry:?}", path.display())]
    Occupied { path: PathBuf, entry: String },
    #[error("id {id:?} is not 22 characters of URL-safe base64")]
    Id { id: String },
    #[error("cannot format {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Formatted {
    Now,
    Before,
}

/// Formats `data` for this node, or proves that it is this node's already.
///
/// `now_ms` is the time in the records, milliseconds since 1970.
pub fn ensure_formatted(data: &Path, spec: &NodeSpec, line: Line, now_ms: i64) -> Result<Formatted, StorageError> {
    let io_error = |source| StorageError::Io { path: data.to_owned(), source };
    match fs::read_to_string(data.join(META_PROPERTIES)) {
        Ok(meta) => return verify(data, &meta, spec).map(|()| Formatted::Before),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io_error(error)),
    }
    refuse_occupied(data)?;
    let files = files(spec, line, now_ms)?;
    write_all(data, &files).map_err(io_error)?;
    Ok(Formatted::Now)
}

fn verify(data: &Path, meta: &str, spec: &NodeSpec) -> Result<(), StorageError> {
    let known: BTreeMap<_, _> =
        meta.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect();
    for (key, expected) in identity(spec) {
        let found = known.get(key).copied().unwrap_or_default();
        if found != expected {
            let path = data.join(META_PROPERTIES);
            return Err(StorageError::Foreign { path, key, found: found.to_owned(), expected });
        }
    }
    Ok(())
}

fn identity(spec: &NodeSpec) -> [(&'static str, String); 4] {
    [
        ("version", "1".to_owned()),
        ("cluster.id", spec.identity.cluster_id.clone()),
        ("node.id", spec.identity.node_id.to_string()),
        ("directory.id", spec.identity.directory_id.clone()),
    ]
}

/// Whatever is there without `meta.properties` is not ours to delete.
fn refuse_occupied(data: &Path) -> Result<(), StorageError> {
    match fs::read_dir(data).and_then(|mut entries| entries.next().transpose()) {
        Ok(None) => Ok(()),
        Ok(Some(entry)) => Err(StorageError::Occupied {
            path: data.to_owned(),
            entry: entry.file_name().to_string_lossy().into_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StorageError::Io { path: data.to_owned(), source }),
    }
}

/// Name under the log directory, and content.
type Files = Vec<(PathBuf, Vec<u8>)>;

fn files(spec: &NodeSpec, line: Line, now_ms: i64) -> Result<Files, StorageError> {
    let mut meta = String::new();
    for (key, value) in identity(spec) {
        meta.push_str(&format!("{key}={value}\n"));
    }
    let cluster = &spec.identity.cluster_id;
    let salt = checkpoint::uuid(cluster).ok_or_else(|| StorageError::Id { id: cluster.clone() })?;
    let password = spec.kafka.replication_password.as_ref();
    let user = password.map(|password| FirstUser { name: NODE_USER, password, salt });
    let mut files = vec![
        (META_PROPERTIES.into(), meta.into_bytes()),
        (BOOTSTRAP_CHECKPOINT.into(), checkpoint::bootstrap(line.features(), user.as_ref(), now_ms)),
    ];
    let voters = &spec.kafka.initial_controllers;
    // A node outside the list starts as an observer: it has no voters to tell of (finding 5).
    if voters.iter().any(|voter| voter.node_id == spec.identity.node_id) {
        let bytes = checkpoint::voters(voters, now_ms).map_err(|id| StorageError::Id { id })?;
        files.push((Path::new(METADATA_LOG).join(FIRST_CHECKPOINT), bytes));
    }
    Ok(files)
}

fn write_all(data: &Path, files: &Files) -> io::Result<()> {
    let parent = data.parent().ok_or_else(|| io::Error::other("a log directory needs a parent"))?;
    let mut unfinished = data.as_os_str().to_owned();
    unfinished.push(".formatting");
    let unfinished = PathBuf::from(unfinished);
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut private = DirBuilder::new();
    private.mode(0o700).recursive(true).create(&unfinished)?;
    for (name, content) in files {
        let path = unfinished.join(name);
        let directory = path.parent().unwrap_or(&unfinished);
        private.create(directory)?;
        let mut file = File::create_new(&path)?;
        file.write_all(content)?;
        file.sync_all()?;
        sync_directory(directory)?;
    }
    sync_directory(&unfinished)?;
    // Takes the place of an empty directory too, not of one with anything in it.
    fs::rename(&unfinished, data)?;
    sync_directory(parent)
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
