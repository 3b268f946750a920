//! Which build of the node program a process runs: the file that it was started from, which stays itself while a process
//! runs it, whatever takes its name. Equal text is the same build; nothing else can be told from it.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

/// The build in the file `program`.
pub fn of(program: &Path) -> io::Result<String> {
    let file = fs::metadata(program)?;
    Ok(format!("{:x}-{:x}", file.dev(), file.ino()))
}

/// The build that this process runs.
pub fn own() -> io::Result<String> {
    of(Path::new("/proc/self/exe"))
}
