//! Kafka's log directory as the file system has it: how much it takes, and of which segments the logs are.
//!
//! Reads only. Files that go away meanwhile are none.

use super::victims::{Log, Segment};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes of a block in a file's metadata (stat(2)).
const BLOCK: u64 = 512;

/// A partition to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Led {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) deletable: bool,
}

/// Bytes that the directory takes on its disk. Kafka makes index files larger than what is in them: blocks count, not lengths.
pub(super) async fn used(data: &Path) -> io::Result<u64> {
    let data = data.to_owned();
    aside(move || blocks(&data)).await
}

/// The logs of these partitions.
pub(super) async fn logs(data: &Path, led: Vec<Led>) -> io::Result<Vec<Log>> {
    let data = data.to_owned();
    aside(move || led.into_iter().map(|led| log(&data, led)).collect()).await
}

/// Disks may be slow, and connections must not wait for them.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    crate::answer::finished(tokio::task::spawn_blocking(work)).await
}

fn blocks(directory: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in gone_is_none(fs::read_dir(directory))?.into_iter().flatten() {
        let entry = entry?;
        let Some(metadata) = gone_is_none(entry.metadata())? else { continue };
        sum += metadata.blocks() * BLOCK;
        if metadata.is_dir() {
            sum += blocks(&entry.path())?;
        }
    }
    Ok(sum)
}

fn log(data: &Path, Led { topic, partition, deletable }: Led) -> io::Result<Log> {
    let directory = data.join(format!("{topic}-{partition}"));
    let mut segments = Vec::new();
    for entry in gone_is_none(fs::read_dir(directory))?.into_iter().flatten() {
        let path = entry?.path();
        let Some(base_offset) = base_offset(&path) else { continue };
        let Some(metadata) = gone_is_none(fs::metadata(&path))? else { continue };
        segments.push(Segment { base_offset, bytes: metadata.len(), written: metadata.modified()? });
    }
    segments.sort_unstable_by_key(|segment| segment.base_offset);
    Ok(Log { topic, partition, deletable, segments })
}

/// `00000000000000000042.log` is 42. What Kafka is about to remove has another ending.
fn base_offset(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".log")?;
    name.parse().ok()
}

fn gone_is_none<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_log_is_its_segments_in_order_and_what_is_going_away_is_none() {
        let data = tempfile::tempdir().unwrap();
        let partition = data.path().join("or-ders-3");
        fs::create_dir(&partition).unwrap();
        for (name, bytes) in [("00000000000000000420", 7), ("00000000000000000000", 5)] {
            fs::write(partition.join(format!("{name}.log")), vec![0; bytes]).unwrap();
            fs::write(partition.join(format!("{name}.index")), [0; 100]).unwrap();
        }
        fs::write(partition.join("00000000000000000009.log.deleted"), [0; 9]).unwrap();
        let led = |topic: &str, partition| Led { topic: topic.to_owned(), partition, deletable: true };
        let logs = logs(data.path(), vec![led("or-ders", 3), led("gone", 0)]).await.unwrap();
        let found: Vec<_> = logs[0].segments.iter().map(|one| (one.base_offset, one.bytes)).collect();
        assert_eq!(found, [(0, 5), (420, 7)]);
        assert_eq!(logs[1].segments, []);
    }

    #[tokio::test]
    async fn holes_take_no_room_and_a_directory_that_is_not_there_is_empty() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(used(&data.path().join("none")).await.unwrap(), 0);
        let before = used(data.path()).await.unwrap();
        fs::File::create(data.path().join("sparse.index")).unwrap().set_len(10 << 20).unwrap();
        fs::write(data.path().join("full.log"), vec![1; 1 << 20]).unwrap();
        let grown = used(data.path()).await.unwrap() - before;
        assert!((1 << 20..2 << 20).contains(&grown), "{grown}");
    }
}
