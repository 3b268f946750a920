//! Which segments `auto-delete` drops: the oldest of all partitions together. Pure.

use std::time::SystemTime;

/// A partition's log as it lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// Records may be dropped from its beginning: not in a topic that is only compacted.
    pub(super) deletable: bool,
    /// By rising base offset; the last one is being written.
    pub(super) segments: Vec<Segment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) base_offset: i64,
    pub(super) bytes: u64,
    /// When the broker wrote to it last: its own clock, and not the clients' as in the records.
    pub(super) written: SystemTime,
}

impl Log {
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

/// Where partitions are to begin from now on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// Topic, partition, first offset that stays.
    pub(super) until: Vec<(String, i32, i64)>,
    pub(super) bytes: u64,
}

/// The oldest whole segments of `wanted` bytes or a little more; of less, if there are not as many. What is being written
/// is never among them, so that each partition keeps its newest records.
pub(super) fn choose(logs: &[Log], wanted: u64) -> Choice {
    let mut candidates = Vec::new();
    for (place, log) in logs.iter().enumerate().filter(|(_, log)| log.deletable) {
        // A log is cut from its beginning: a segment is as old as the newest before it.
        let mut written = SystemTime::UNIX_EPOCH;
        for pair in log.segments.windows(2) {
            written = written.max(pair[0].written);
            candidates.push((written, place, pair[1].base_offset, pair[0].bytes));
        }
    }
    candidates.sort_unstable();
    let mut choice = Choice::default();
    let mut until = vec![None; logs.len()];
    for (_, place, next, bytes) in candidates {
        if choice.bytes >= wanted {
            break;
        }
        choice.bytes += bytes;
        until[place] = Some(next);
    }
    let named = |(log, until): (&Log, Option<i64>)| Some((log.topic.clone(), log.partition, until?));
    choice.until = logs.iter().zip(until).filter_map(named).collect();
    choice
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn log(topic: &str, segments: &[(i64, u64, u64)]) -> Log {
        let segments = segments.iter().map(|&(base_offset, bytes, written)| Segment {
            base_offset,
            bytes,
            written: SystemTime::UNIX_EPOCH + Duration::from_secs(written),
        });
        Log { topic: topic.to_owned(), partition: 0, deletable: true, segments: segments.collect() }
    }

    fn until(choice: &Choice) -> Vec<(&str, i64)> {
        choice.until.iter().map(|(topic, _, offset)| (topic.as_str(), *offset)).collect()
    }

    #[test]
    fn the_oldest_go_first_whatever_partition_they_are_of() {
        let logs = [
            log("new", &[(0, 10, 500), (100, 10, 600), (200, 10, 700)]),
            log("old", &[(0, 10, 100), (7, 10, 200), (9, 10, 900)]),
            log("idle", &[(0, 10, 1)]),
        ];
        let choice = choose(&logs, 15);
        assert_eq!((until(&choice), choice.bytes), (vec![("old", 9)], 20));
        let choice = choose(&logs, 25);
        assert_eq!((until(&choice), choice.bytes), (vec![("new", 100), ("old", 9)], 30));
    }

    #[test]
    fn what_is_being_written_and_what_is_only_compacted_stays() {
        let compacted = Log { deletable: false, ..log("compacted", &[(0, 10, 1), (5, 10, 2)]) };
        let logs = [compacted, log("a", &[(0, 10, 5), (3, 10, 6)])];
        let choice = choose(&logs, 1000);
        assert_eq!((until(&choice), choice.bytes), (vec![("a", 3)], 10));
        assert_eq!(choose(&[], 10), Choice::default());
    }

    #[test]
    fn a_log_whose_first_segment_was_written_later_is_cut_in_order_all_the_same() {
        let logs = [log("restored", &[(0, 10, 900), (5, 10, 1), (9, 10, 2)]), log("b", &[(0, 10, 500), (1, 10, 501)])];
        assert_eq!(until(&choose(&logs, 10)), [("b", 1)]);
    }
}
