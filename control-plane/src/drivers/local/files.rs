//! Directories and files of nodes on this machine.
//!
//! ```text
//! SLUICE_HOME/nodes/ins_…/          0700
//!   1.lock                          flock: one replica at a time works on node 1
//!   1/                              the node directory, see broker_api::paths::files
//!     driver.json                   what the driver must know to find the node's processes again
//!     spec.json                     boot copy of the spec
//!   1.removed/                      on its way out: renamed first, so that it never starts with half its data
//! ```

use crate::drivers::NodeRef;
use broker_api::{paths::files, spec::NodeSpec};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const RECORD: &str = "driver.json";
const REMOVED: &str = ".removed";

/// Written before anything of the node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Every process of the node carries it in its environment: 128 random bits, in hex.
    pub(super) nonce: String,
}

/// Where a node lives.
#[derive(Debug, Clone)]
pub(super) struct NodeHome {
    instance: PathBuf,
    node_id: String,
}

impl NodeHome {
    pub(super) fn new(nodes: &Path, node: NodeRef) -> Self {
        Self { instance: nodes.join(node.instance.to_string()), node_id: node.node_id.to_string() }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.instance.join(&self.node_id)
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.root().join(files::SUPERVISOR_SOCKET)
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.root().join(files::LOGS)
    }

    fn removed(&self) -> PathBuf {
        self.instance.join(format!("{}{REMOVED}", self.node_id))
    }

    /// The right to work on this node, or none while somebody else has it.
    pub(super) fn try_lock(&self) -> io::Result<Option<NodeLock>> {
        create_private(&self.instance)?;
        let path = self.instance.join(format!("{}.lock", self.node_id));
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // Whoever had it before may have removed the name: then this lock is on nothing.
        match fs::metadata(&path) {
            Ok(named) if named.ino() == file.metadata()?.ino() => Ok(Some(NodeLock { path, _file: file })),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the directory where it is missing.
    pub(super) fn create(&self) -> io::Result<()> {
        create_private(&self.root())?;
        create_private(&self.logs())
    }

    /// None when nothing was started here yet; a file that is cut off was never followed by a start either.
    pub(super) fn record(&self) -> io::Result<Option<Record>> {
        read_json(&self.root().join(RECORD))
    }

    pub(super) fn write_record(&self, record: &Record) -> io::Result<()> {
        write_atomic(&self.root().join(RECORD), &serde_json::to_vec(record)?)
    }

    /// Writes the boot copy unless there is one of this generation or a newer one.
    pub(super) fn write_spec(&self, spec: &NodeSpec) -> io::Result<()> {
        let path = self.root().join(files::BOOT_SPEC);
        let there: Option<NodeSpec> = read_json(&path)?;
        if there.is_some_and(|there| there.identity == spec.identity && there.generation >= spec.generation) {
            return Ok(());
        }
        write_atomic(&path, &serde_json::to_vec_pretty(spec)?)
    }

    /// Whether the supervisor lives: it holds this lock from its first to its last instant.
    pub(super) fn supervisor_lives(&self) -> io::Result<bool> {
        let file = match File::open(self.root().join(files::SUPERVISOR_LOCK)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes everything. The node's processes must be gone.
    pub(super) fn remove(&self, lock: NodeLock) -> io::Result<()> {
        absent_is_fine(fs::remove_dir_all(self.removed()))?;
        absent_is_fine(fs::rename(self.root(), self.removed()))?;
        absent_is_fine(fs::remove_dir_all(self.removed()))?;
        absent_is_fine(fs::remove_file(&lock.path))?;
        match fs::remove_dir(&self.instance) {
            // The instance's other nodes.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            other => absent_is_fine(other),
        }
    }

    /// The node that a path under the nodes' directory belongs to.
    pub(super) fn node_of(path: &Path) -> Option<NodeRef> {
        let instance = path.parent()?.file_name()?.to_str()?.parse().ok()?;
        let name = path.file_name()?.to_str()?;
        let node_id = name.strip_suffix(REMOVED).unwrap_or(name).parse().ok()?;
        Some(NodeRef { instance, node_id })
    }
}

/// Held by whoever changes a node; the kernel lets go when its process ends.
#[derive(Debug)]
pub(super) struct NodeLock {
    path: PathBuf,
    _file: File,
}

/// Nodes that have a directory, whole or half-made or half-removed.
pub(super) fn nodes_in(nodes: &Path) -> io::Result<Vec<NodeRef>> {
    let mut found = Vec::new();
    for instance in entries(nodes)? {
        if instance.is_dir() {
            found.extend(entries(&instance)?.iter().filter(|path| path.is_dir()).filter_map(|p| NodeHome::node_of(p)));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

pub(super) fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

pub(super) fn create_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// None for a file that is absent, cut off or of another shape.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a file so that a crash at any instant leaves all of the old or all of the new; mode 0600.
pub(super) fn write_atomic(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(OsStr::new(".new"));
    let temporary = PathBuf::from(temporary);
    absent_is_fine(fs::remove_file(&temporary))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

pub(super) fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
