//! Produce requests while the disk is full: each partition is answered with POLICY_VIOLATION, which clients show to whoever
//! sent the records and do not repeat.
//!
//! The request is read over while it streams by, records by their length, so that a hundred megabytes that are refused take
//! no memory. Used only while produce is refused.

use super::{Format, code, split};
use crate::gateway::frame;
use crate::gateway::wire::{Malformed, Reader, Wire, Writer};
use std::sync::Arc;

/// Names of topics of Kafka's own and of the platform start so.
const INTERNAL_PREFIX: &str = "__";
/// First version that names topics by id.
const BY_ID: i16 = 13;
/// First version whose answer has a text.
const WITH_TEXT: i16 = 8;

/// What is to become of a request.
pub(in crate::gateway) enum Verdict {
    /// It goes to a topic that is not the tenant's.
    Pass,
    Refuse(Refused),
    /// Nobody would hear a refusal: the connection ends, as Kafka ends it on an error of such a request.
    End,
}

/// Looks at the head of a Produce frame. [`Malformed::Short`] asks for more bytes.
pub(in crate::gateway) fn judge(frame: &[u8], format: Format, reason: &Arc<String>) -> Wire<Verdict> {
    let body_at = frame::request_body(frame, format.flexible)?;
    let mut r = Reader::new(&frame[body_at..], format.flexible);
    let Head { acks, topics } = head(format, &mut r)?;
    if format.version < BY_ID && topics > 0 && r.string()?.starts_with(INTERNAL_PREFIX) {
        return Ok(Verdict::Pass);
    }
    Ok(if acks == 0 { Verdict::End } else { Verdict::Refuse(Refused::new(format, reason.clone(), body_at)) })
}

struct Head {
    acks: i16,
    topics: usize,
}

fn head(format: Format, r: &mut Reader<'_>) -> Wire<Head> {
    if format.version >= 3 {
        r.skip_nullable_string()?; // transactional id
    }
    let acks = r.i16()?;
    r.i32()?; // timeout
    Ok(Head { acks, topics: r.partial_array()? })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Head,
    Topic,
    Partition,
    PartitionEnd,
    TopicEnd,
    End,
    Done,
}

/// A request on its way to nowhere, and its answer so far.
#[derive(Debug)]
pub(in crate::gateway) struct Refused {
    format: Format,
    reason: Arc<String>,
    answer: Writer,
    at: At,
    topics: usize,
    partitions: usize,
    /// Of both, in all.
    items: usize,
    /// Bytes to read over: the frame's header, then records.
    skip: usize,
}

impl Refused {
    fn new(format: Format, reason: Arc<String>, body_at: usize) -> Self {
        let answer = Writer::new(format.flexible);
        Self { format, reason, answer, at: At::Head, topics: 0, partitions: 0, items: 0, skip: body_at }
    }

    /// Reads on, and tells how many of `bytes` it is through with. What is left it wants to see again with more behind it.
    pub(in crate::gateway) fn read(&mut self, bytes: &[u8]) -> Wire<usize> {
        let mut at = 0;
        loop {
            let skipped = self.skip.min(bytes.len() - at);
            self.skip -= skipped;
            at += skipped;
            if self.skip > 0 || self.at == At::Done {
                return Ok(at);
            }
            let mut r = Reader::new(&bytes[at..], self.format.flexible);
            match self.step(&mut r) {
                Ok(()) => at += r.position(),
                Err(Malformed::Short) => return Ok(at),
                Err(other) => return Err(other),
            }
        }
    }

    /// The answer's body, once the request was read to its end.
    pub(in crate::gateway) fn answer(&self) -> Option<&[u8]> {
        (self.at == At::Done).then_some(&self.answer.bytes)
    }

    /// One piece of the request. Changes nothing unless all of it is there.
    fn step(&mut self, r: &mut Reader<'_>) -> Wire<()> {
        let version = self.format.version;
        match self.at {
            At::Head => {
                let topics = head(self.format, r)?.topics;
                self.count(topics)?;
                self.answer.array(topics);
                self.topics = topics;
                self.next_topic();
            }
            At::Topic => {
                let start = r.position();
                if version < BY_ID {
                    r.string()?;
                } else {
                    r.take(16)?;
                }
                let name = r.since(start);
                let partitions = r.partial_array()?;
                self.count(partitions)?;
                self.answer.raw(name);
                self.answer.array(partitions);
                self.partitions = partitions;
                self.next_partition();
            }
            At::Partition => {
                let (index, records) = (r.i32()?, r.partial_bytes()?);
                self.refuse(index);
                self.skip = records;
                self.at = At::PartitionEnd;
            }
            At::PartitionEnd => {
                r.tags()?;
                self.partitions -= 1;
                self.next_partition();
            }
            At::TopicEnd => {
                r.tags()?;
                self.answer.tags();
                self.topics -= 1;
                self.next_topic();
            }
            At::End => {
                r.tags()?;
                if version >= 1 {
                    self.answer.i32(0); // throttle time
                }
                self.answer.tags();
                self.at = At::Done;
            }
            At::Done => {}
        }
        Ok(())
    }

    fn next_topic(&mut self) {
        self.at = if self.topics > 0 { At::Topic } else { At::End };
    }

    fn next_partition(&mut self) {
        self.at = if self.partitions > 0 { At::Partition } else { At::TopicEnd };
    }

    /// An answer is many times the size of what it answers.
    fn count(&mut self, items: usize) -> Wire<()> {
        self.items = self.items.saturating_add(items);
        if self.items > split::MAX_ITEMS { Err(Malformed::TooMany) } else { Ok(()) }
    }

    fn refuse(&mut self, partition: i32) {
        let (version, w) = (self.format.version, &mut self.answer);
        w.i32(partition);
        w.i16(code::POLICY_VIOLATION);
        w.i64(-1); // base offset
        if version >= 2 {
            w.i64(-1); // log append time
        }
        if version >= 5 {
            w.i64(-1); // log start offset
        }
        if version >= WITH_TEXT {
            w.array(0); // errors of single records
            w.nullable_string(Some(&self.reason));
        }
        w.tags();
    }
}
