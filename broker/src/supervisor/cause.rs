//! Finds the lines that tell why the JVM ended.
//!
//! Reads what was written since the start: the JVM's own output, and errors of Kafka's log. Kafka
//! keeps secrets out of both.

use super::jvm::OUTPUT_LOG;
use super::logging::SERVER_LOG;
use crate::directory::NodeDirectory;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// Enough for the last stack trace.
const TAIL_BYTES: u64 = 64 * 1024;
/// A status is read by people and stored by the control plane.
const MAX_CHARS: usize = 1500;
const OUTPUT_LINES: usize = 4;
const ERROR_LINES: usize = 3;

/// Remembers where the logs ended when a JVM was started.
#[derive(Debug)]
pub struct LogMarks {
    output: Mark,
    server: Mark,
}

#[derive(Debug)]
struct Mark {
    path: PathBuf,
    length: u64,
}

impl LogMarks {
    pub fn now(directory: &NodeDirectory) -> Self {
        let mark = |name| {
            let path = directory.logs().join(name);
            let length = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
            Mark { path, length }
        };
        Self { output: mark(OUTPUT_LOG), server: mark(SERVER_LOG) }
    }

    /// The last lines that tell; empty when there are none.
    pub fn cause(&self) -> String {
        let server = self.server.since();
        let errors = last(server.lines().filter(|line| tells(line)), ERROR_LINES);
        let output = self.output.since();
        let output = last(output.lines().filter(|line| !line.trim().is_empty()), OUTPUT_LINES);
        let text: Vec<_> = errors.into_iter().chain(output).collect();
        text.join("\n").chars().take(MAX_CHARS).collect()
    }
}

fn tells(line: &str) -> bool {
    line.contains("] ERROR ") || line.contains("] FATAL ") || line.starts_with("Caused by: ")
}

fn last<'a>(lines: impl Iterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let mut lines: Vec<_> = lines.collect();
    lines.split_off(lines.len().saturating_sub(count))
}

impl Mark {
    /// What was written since, at most a tail of it. A log that is shorter now was begun anew.
    fn since(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.path)?;
            let length = file.metadata()?.len();
            let start = if length < self.length { 0 } else { self.length };
            file.seek(SeekFrom::Start(start.max(length.saturating_sub(TAIL_BYTES))))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        // No log, no cause: the exit itself is still told.
        read().unwrap_or_default()
    }
}
