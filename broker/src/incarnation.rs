//! Which gateway processes of a node live: each holds a lock on a file of its own for its whole life, which the kernel takes
//! back the moment it ends, whatever way it ends.
//!
//! Owns `run/permits-….lock` of the node directory. A process that stands still lives; one on another machine that had the
//! same node before does not.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// This process, as one gateway of its node.
#[derive(Debug)]
pub struct Incarnation {
    id: u128,
    directory: PathBuf,
    /// Held until the process ends.
    _lock: File,
}

impl Incarnation {
    /// Begins a life of which a successor will know when it is over. `directory` is the node's own.
    pub fn begin(directory: &Path) -> io::Result<Self> {
        let id = rand::random();
        // Locked before anybody can find it.
        let unseen = directory.join(format!("permits-{id:032x}.new"));
        let lock = File::create_new(&unseen)?;
        lock.lock()?;
        fs::rename(unseen, file(directory, id))?;
        Ok(Self { id, directory: directory.to_owned(), _lock: lock })
    }

    /// Never given twice.
    pub fn id(&self) -> u128 {
        self.id
    }

    /// Whether another gateway of this node lives. What can't be told lives.
    pub fn lives(&self, other: u128) -> bool {
        let path = file(&self.directory, other);
        let lock = match File::open(&path) {
            Ok(lock) => lock,
            Err(error) => return error.kind() != io::ErrorKind::NotFound,
        };
        match lock.try_lock() {
            Ok(()) => {
                // Nobody begins with this id again; a file that can't be removed says the same the next time.
                let _ = fs::remove_file(path);
                false
            }
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
        }
    }
}

impl Drop for Incarnation {
    fn drop(&mut self) {
        // One that is left says the same: nobody holds it.
        let _ = fs::remove_file(file(&self.directory, self.id));
    }
}

fn file(directory: &Path, id: u128) -> PathBuf {
    directory.join(format!("permits-{id:032x}.lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_lives_until_its_lock_is_gone_and_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let old = Incarnation::begin(directory.path()).unwrap();
        let new = Incarnation::begin(directory.path()).unwrap();
        assert!(new.lives(old.id()) && old.lives(new.id()));
        let id = old.id();
        drop(old);
        assert!(!new.lives(id));
        // One that was killed removes nothing.
        fs::write(file(directory.path(), 7), "").unwrap();
        assert!(!new.lives(7) && !new.lives(8));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "only the living one's");
    }
}
