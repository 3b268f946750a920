//! Hides `NodeEndpoints` (KIP-951) in Produce, Fetch, ShareFetch and ShareAcknowledge responses
//! while they stream by, without changing their length.
//!
//! In Produce and Fetch the endpoints are tagged field 0 of the last section: the tag becomes 127,
//! which no client knows and every client skips. In the share APIs they are a plain array at the
//! end: it becomes an empty array, and its bytes the content of such a tag. Either way the bytes
//! that held hosts and ports are zeroed. `CurrentLeader` stays, so a client still follows a leader
//! at once, by the address that its metadata named (performance-reliability.md §5).
//!
//! A [`Walker`] interprets a static layout; record data is skipped by its length.

use crate::gateway::wire::{Malformed, Reader, Wire};

/// Tag that takes the place of `NodeEndpoints`: the highest one of a single byte.
const UNUSED_TAG: u8 = 0x7f;
/// Deepest nesting of the layouts below.
const DEPTH: usize = 4;

/// One piece of a message in the flexible encoding.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) enum Op {
    /// So many bytes.
    Skip(u64),
    /// Compact string, bytes or records, null or not.
    Blob,
    /// Compact array of elements of this layout.
    Each(Layout),
    /// Tagged fields.
    Tags,
    /// Tagged fields of which number 0 is `NodeEndpoints`. Ends the message.
    EndpointTags,
    /// `NodeEndpoints` as an array, then tagged fields. Ends the message.
    Endpoints,
}

pub(in crate::gateway) type Layout = &'static [Op];

use Op::{Blob, Each, EndpointTags, Endpoints, Skip, Tags};

/// Frame length, correlation id.
const HEADER: Op = Skip(8);
const UUID: Op = Skip(16);

/// FetchResponse 16–18.
pub(in crate::gateway) const FETCH: Layout = &[HEADER, Tags, Skip(4 + 2 + 4), Each(FETCH_TOPIC), EndpointTags];
const FETCH_TOPIC: Layout = &[UUID, Each(FETCH_PARTITION), Tags];
const FETCH_PARTITION: Layout = &[Skip(4 + 2 + 8 + 8 + 8), Each(&[Skip(16), Tags]), Skip(4), Blob, Tags];

/// ProduceResponse 10–12, and 13, which names topics by id.
pub(in crate::gateway) const PRODUCE_BY_NAME: Layout = &[HEADER, Tags, Each(PRODUCE_TOPIC_NAME), Skip(4), EndpointTags];
pub(in crate::gateway) const PRODUCE_BY_ID: Layout = &[HEADER, Tags, Each(PRODUCE_TOPIC_ID), Skip(4), EndpointTags];
const PRODUCE_TOPIC_NAME: Layout = &[Blob, Each(PRODUCE_PARTITION), Tags];
const PRODUCE_TOPIC_ID: Layout = &[UUID, Each(PRODUCE_PARTITION), Tags];
const PRODUCE_PARTITION: Layout = &[Skip(4 + 2 + 8 + 8 + 8), Each(&[Skip(4), Blob, Tags]), Blob, Tags];

/// ShareFetchResponse 1–2.
pub(in crate::gateway) const SHARE_FETCH: Layout =
    &[HEADER, Tags, Skip(4 + 2), Blob, Skip(4), Each(SHARE_FETCH_TOPIC), Endpoints];
const SHARE_FETCH_TOPIC: Layout = &[UUID, Each(SHARE_FETCH_PARTITION), Tags];
const SHARE_FETCH_PARTITION: Layout =
    &[Skip(4 + 2), Blob, Skip(2), Blob, Skip(4 + 4), Tags, Blob, Each(&[Skip(8 + 8 + 2), Tags]), Tags];

/// ShareAcknowledgeResponse 1, and 2, which adds the lock's duration.
pub(in crate::gateway) const SHARE_ACKNOWLEDGE_1: Layout =
    &[HEADER, Tags, Skip(4 + 2), Blob, Each(SHARE_ACKNOWLEDGE_TOPIC), Endpoints];
pub(in crate::gateway) const SHARE_ACKNOWLEDGE_2: Layout =
    &[HEADER, Tags, Skip(4 + 2), Blob, Skip(4), Each(SHARE_ACKNOWLEDGE_TOPIC), Endpoints];
const SHARE_ACKNOWLEDGE_TOPIC: Layout = &[UUID, Each(&[Skip(4 + 2), Blob, Skip(4 + 4), Tags, Tags]), Tags];

/// Walks one frame, edits it in place, and can stop and go on at any byte.
#[derive(Debug)]
pub(in crate::gateway) struct Walker {
    levels: [Level; DEPTH],
    depth: usize,
    /// Bytes to pass as they are, and then bytes to zero.
    skip: u64,
    zero: u64,
    /// Tagged fields left in the section, and whether number 0 is `NodeEndpoints`.
    tags: u32,
    hide: bool,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    layout: Layout,
    at: usize,
    /// Elements left, the one in progress among them.
    left: u32,
}

/// What one step needs.
enum Step {
    Done,
    /// More bytes than there are.
    Starved,
}

impl Walker {
    pub(in crate::gateway) fn new(layout: Layout) -> Self {
        let level = Level { layout, at: 0, left: 1 };
        Self { levels: [level; DEPTH], depth: 1, skip: 0, zero: 0, tags: 0, hide: false }
    }

    /// Walks over `bytes`, of which the frame has `left` in all from here, and tells how many of
    /// them may go. What it does not take it wants to see again with more behind it.
    pub(in crate::gateway) fn walk(&mut self, bytes: &mut [u8], left: u64) -> Wire<usize> {
        let mut at = 0;
        loop {
            at += self.run(&mut bytes[at..]);
            let here = left - at as u64;
            if self.skip + self.zero > here {
                return Err(Malformed::Length);
            }
            if self.skip + self.zero > 0 {
                return Ok(at);
            }
            if self.depth == 0 {
                return if here == 0 { Ok(at) } else { Err(Malformed::Trailing) };
            }
            let before = at;
            match self.step(bytes, &mut at, here)? {
                Step::Done => {}
                Step::Starved if (bytes.len() - before) as u64 == here => return Err(Malformed::Short),
                Step::Starved => return Ok(before),
            }
        }
    }

    /// Bytes from here that pass whatever they are.
    pub(in crate::gateway) fn unseen(&self) -> usize {
        usize::try_from(self.skip).unwrap_or(usize::MAX)
    }

    /// So many of the [unseen](Self::unseen) passed.
    pub(in crate::gateway) fn pass_unseen(&mut self, bytes: usize) {
        self.skip = self.skip.saturating_sub(bytes as u64);
    }

    /// Passes and zeroes as far as `bytes` reach.
    fn run(&mut self, bytes: &mut [u8]) -> usize {
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        self.skip -= skipped as u64;
        let rest = &mut bytes[skipped..];
        let zeroed = usize::try_from(self.zero).unwrap_or(usize::MAX).min(rest.len());
        if self.skip == 0 {
            rest[..zeroed].fill(0);
            self.zero -= zeroed as u64;
            skipped + zeroed
        } else {
            skipped
        }
    }

    fn step(&mut self, bytes: &mut [u8], at: &mut usize, left: u64) -> Wire<Step> {
        let mut reader = Reader::new(&bytes[*at..], true);
        if self.tags > 0 {
            let (Some(tag), Some(size)) = (starve(reader.uvarint())?, starve(reader.uvarint())?) else {
                return Ok(Step::Starved);
            };
            let read = reader.position();
            if self.hide && tag == 0 {
                // A padded zero would be longer than the byte that takes its place; Kafka never writes one.
                if std::mem::replace(&mut bytes[*at], UNUSED_TAG) != 0 {
                    return Err(Malformed::Varint);
                }
                self.zero = size.into();
            } else {
                self.skip = size.into();
            }
            self.tags -= 1;
            *at += read;
            return Ok(Step::Done);
        }
        let level = &mut self.levels[self.depth - 1];
        let Some(op) = level.layout.get(level.at).copied() else {
            // An element ended: the next one, or back to what held the array.
            level.at = 0;
            level.left -= 1;
            if level.left == 0 {
                self.depth -= 1;
            }
            return Ok(Step::Done);
        };
        if let Skip(n) = op {
            level.at += 1;
            self.skip = n;
            return Ok(Step::Done);
        }
        let Some(n) = starve(reader.uvarint())? else { return Ok(Step::Starved) };
        let read = reader.position();
        match op {
            Skip(_) => {}
            Blob => self.skip = n.saturating_sub(1).into(),
            Tags | EndpointTags => {
                self.tags = n;
                self.hide = matches!(op, EndpointTags);
            }
            Endpoints if n > 1 => {
                let Some(head) = empty_array_then_tag(left) else { return Err(Malformed::Length) };
                let Some(room) = bytes.get_mut(*at..*at + head.len()) else { return Ok(Step::Starved) };
                room.copy_from_slice(&head);
                level.at += 1;
                self.zero = left - head.len() as u64;
                *at += head.len();
                return Ok(Step::Done);
            }
            Endpoints => {
                // No endpoints: tagged fields follow, of which none is ours.
                level.at += 1;
                *at += read;
                let mut rest = Reader::new(&bytes[*at..], true);
                let Some(tags) = starve(rest.uvarint())? else {
                    level.at -= 1;
                    return Ok(Step::Starved);
                };
                *at += rest.position();
                self.tags = tags;
                self.hide = false;
                return Ok(Step::Done);
            }
            Each(layout) => {
                level.at += 1;
                *at += read;
                let count = n.saturating_sub(1);
                if count > 0 {
                    let next = self.levels.get_mut(self.depth).ok_or(Malformed::Length)?;
                    *next = Level { layout, at: 0, left: count };
                    self.depth += 1;
                }
                return Ok(Step::Done);
            }
        }
        self.levels[self.depth - 1].at += 1;
        *at += read;
        Ok(Step::Done)
    }
}

/// A message that ends early is one of which the rest has not arrived.
fn starve<T>(read: Wire<T>) -> Wire<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(Malformed::Short) => Ok(None),
        Err(other) => Err(other),
    }
}

/// An empty array, and one unused tag whose content is the rest of `left` bytes.
fn empty_array_then_tag(left: u64) -> Option<Vec<u8>> {
    let mut head = vec![1, 1, UNUSED_TAG];
    // The size's own length counts; where no length fits exactly, a longer one is padded.
    let (digits, mut size) = (1..=5u32)
        .filter_map(|digits| Some((digits, left.checked_sub(3 + u64::from(digits))?)))
        .find(|(digits, size)| *size < 1 << (7 * digits))?;
    for digit in 1..=digits {
        let more = if digit < digits { 0x80 } else { 0 };
        head.push((size & 0x7f) as u8 | more);
        size >>= 7;
    }
    Some(head)
}
