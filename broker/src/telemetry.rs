//! Where the node's own log goes.

use crate::supervisor::rotate::RotatingFile;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use tracing_subscriber::EnvFilter;

/// Where to write the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogTarget {
    /// Rotated files in the node directory.
    File,
    /// Standard error, for a container.
    Stderr,
}

/// Sets up logging for the process. `name` is the log file's name without its ending.
pub fn init(target: LogTarget, logs: &Path, name: &str) -> io::Result<()> {
    let filter = EnvFilter::try_from_env("SLUICE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    let result = match target {
        LogTarget::Stderr => builder.with_writer(io::stderr).try_init(),
        LogTarget::File => {
            let file = RotatingFile::open(logs.join(format!("{name}.log")))?;
            builder.with_writer(Mutex::new(file)).try_init()
        }
    };
    result.map_err(io::Error::other)
}
