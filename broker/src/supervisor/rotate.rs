//! Keeps log files of a bound size and number.
//!
//! For files that we write, or that a child writes through a descriptor of its own and only with
//! `O_APPEND`. Kafka rotates its own (see `logging`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file of this size is closed.
const FILE_BYTES: u64 = 8 << 20;
/// This many closed files are kept beside the open one.
const CLOSED_FILES: u32 = 4;

/// Starts a new file when the last one is full. For use before a child opens it.
pub fn on_start(path: &Path) -> io::Result<()> {
    if size(path)? >= FILE_BYTES { shift(path) } else { Ok(()) }
}

/// Makes room in a file that a child holds open: its end moves to a closed file and it is cut to
/// nothing, since the child goes on appending to the same one. Of a child that wrote much more since the
/// last look, only as much is kept as a file may hold.
pub fn while_open(path: &Path) -> io::Result<()> {
    let size = size(path)?;
    if size < FILE_BYTES {
        return Ok(());
    }
    shift_closed(path)?;
    let mut open = OpenOptions::new().read(true).write(true).open(path)?;
    open.seek(SeekFrom::Start(size - FILE_BYTES))?;
    io::copy(&mut (&open).take(FILE_BYTES), &mut append(&closed(path, 1))?)?;
    open.set_len(0)
}

fn size(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn closed(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn shift(path: &Path) -> io::Result<()> {
    shift_closed(path)?;
    rename(path, &closed(path, 1))
}

fn shift_closed(path: &Path) -> io::Result<()> {
    (1..CLOSED_FILES).rev().try_for_each(|number| rename(&closed(path, number), &closed(path, number + 1)))
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A log file of our own.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    file: File,
    written: u64,
}

impl RotatingFile {
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let file = append(&path)?;
        let written = file.metadata()?.len();
        Ok(Self { path, file, written })
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

impl Write for RotatingFile {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if self.written >= FILE_BYTES {
            shift(&self.path)?;
            self.file = append(&self.path)?;
            self.written = 0;
        }
        let written = self.file.write(text)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_bound_in_size_and_number() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = RotatingFile::open(dir.path().join("x.log")).unwrap();
        let line = vec![b'x'; 1 << 20];
        for _ in 0..100 {
            log.write_all(&line).unwrap();
        }
        let sizes: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).collect();
        assert_eq!(sizes.len(), 5);
        assert!(sizes.iter().all(|size| *size <= FILE_BYTES + (1 << 20)), "{sizes:?}");
    }

    #[test]
    fn a_file_that_a_child_holds_open_is_cut_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let mut child = append(&path).unwrap();
        child.write_all(b"before").unwrap();
        child.write_all(&vec![b'x'; FILE_BYTES as usize]).unwrap();
        while_open(&path).unwrap();
        child.write_all(b"after").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after");
        assert!(fs::read(closed(&path, 1)).unwrap() == vec![b'x'; FILE_BYTES as usize], "the last of it, no more");
    }
}
