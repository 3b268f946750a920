//! The node directory: where its files are, and how they are written.
//!
//! Owns paths, modes and atomic replacement. May use the file system. Knows nothing of what the
//! files mean; [`broker_api::paths::files`] names the ones that others read too.

use broker_api::paths::files;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Root of one node's files; nobody but the node's user may enter it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDirectory {
    root: PathBuf,
}

impl NodeDirectory {
    /// Opens the directory, making it and its private parts where they are missing.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = std::path::absolute(root.into())?;
        let directory = Self { root };
        for path in [directory.root(), &directory.logs(), &directory.kafka(), &directory.run()] {
            create_private(path)?;
        }
        Ok(directory)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn boot_spec(&self) -> PathBuf {
        self.root.join(files::BOOT_SPEC)
    }

    pub fn last_good_spec(&self) -> PathBuf {
        self.root.join(files::LAST_GOOD_SPEC)
    }

    pub fn supervisor_socket(&self) -> PathBuf {
        self.root.join(files::SUPERVISOR_SOCKET)
    }

    pub fn supervisor_lock(&self) -> PathBuf {
        self.root.join(files::SUPERVISOR_LOCK)
    }

    pub fn data(&self) -> PathBuf {
        self.root.join(files::DATA)
    }

    pub fn logs(&self) -> PathBuf {
        self.root.join(files::LOGS)
    }

    pub fn kafka(&self) -> PathBuf {
        self.root.join(files::KAFKA)
    }

    pub fn run(&self) -> PathBuf {
        self.root.join(files::RUN)
    }
}

fn create_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

/// Replaces the content of `path` so that a reader, or a crash at any instant, sees all of the old
/// or all of the new; mode 0600. Durable when it returns.
pub fn write_atomic(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or_else(|| io::Error::other("a file needs a directory"))?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    // A leftover of a crash may carry another mode.
    if let Err(error) = fs::remove_file(&temporary)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_directory(directory)
}

/// A path of any length as one that fits a socket address (108 bytes on Linux); good while the
/// descriptor beside it is open.
pub fn short_path(path: &Path) -> io::Result<(File, PathBuf)> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = File::open(directory)?;
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    Ok((directory, short))
}

/// Makes renames and new names in a directory durable.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_is_private_and_replaces_the_old_one_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        fs::write(&path, "old and longer").unwrap();
        fs::write(dir.path().join("x.json.new"), "half of a cra").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_node_directory_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let node = NodeDirectory::open(dir.path().join("node")).unwrap();
        for path in [node.root().to_owned(), node.logs(), node.kafka(), node.run()] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
