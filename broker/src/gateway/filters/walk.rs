//! Walks over messages while they stream by: edits a few fields in place, tells which topics' records pass, and buffers nothing.
//!
//! A [`Walker`] interprets a static [`Layout`]; record data is skipped by its length. What the layouts are is said where they
//! are needed: [`super::endpoints`], [`super::records`].

use crate::gateway::wire::{Malformed, Reader, Wire};

/// Tag that takes the place of `NodeEndpoints`: the highest one of a single byte.
const UNUSED_TAG: u8 = 0x7f;
/// Deepest nesting of a layout.
const DEPTH: usize = 4;
/// Longest name of a topic (org.apache.kafka.common.internals.Topic). A longer one names none, and is not looked at.
const LONGEST_NAME: usize = 249;

/// One piece of a message.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) enum Op {
    /// So many bytes.
    Skip(u64),
    /// Bytes or records, null or not; in the flexible encoding strings too.
    Blob,
    /// String, null or not.
    Text,
    /// Name of the topic that what follows is of.
    Name,
    /// Id of it.
    Id,
    /// Records of it, null or not.
    Records,
    /// What became of a partition of it.
    ErrorCode,
    /// `throttle_time_ms`, which whoever looks may change.
    Throttle,
    /// Array of elements of this layout, null or not.
    Each(Layout),
    /// Tagged fields; nothing in the classic encoding.
    Tags,
    /// Tagged fields of which number 0 is `NodeEndpoints`. Ends the message.
    EndpointTags,
    /// `NodeEndpoints` as an array, then tagged fields. Ends the message. Only in the flexible encoding.
    Endpoints,
}

pub(in crate::gateway) type Layout = &'static [Op];

use Op::{Blob, Each, EndpointTags, Endpoints, ErrorCode, Id, Name, Records, Skip, Tags, Text, Throttle};

/// What a walker came by.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Seen<'a> {
    /// What follows is of this topic; empty: of none.
    Name(&'a [u8]),
    Id([u8; 16]),
    /// So many bytes of records.
    Records(u64),
    /// What became of a partition.
    ErrorCode(i16),
    /// How long the client is told to wait: goes on as it is left.
    Throttle(&'a mut i32),
}

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
    flexible: bool,
    /// The frame may go on where the layout ends.
    open: bool,
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
    pub(in crate::gateway) fn new(layout: Layout, flexible: bool) -> Self {
        let level = Level { layout, at: 0, left: 1 };
        let levels = [level; DEPTH];
        Self { levels, depth: 1, skip: 0, zero: 0, tags: 0, hide: false, flexible, open: false }
    }

    /// Stops where the layout ends.
    pub(in crate::gateway) fn open(self) -> Self {
        Self { open: true, ..self }
    }

    /// The layout begins after so many bytes.
    pub(in crate::gateway) fn after(self, bytes: usize) -> Self {
        Self { skip: bytes as u64, ..self }
    }

    /// Walks over `bytes`, of which the frame has `left` in all from here, and tells how many of
    /// them may go. What it does not take it wants to see again with more behind it.
    pub(in crate::gateway) fn walk(
        &mut self,
        bytes: &mut [u8],
        left: u64,
        seen: &mut dyn FnMut(Seen<'_>),
    ) -> Wire<usize> {
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
                return if here == 0 || self.open { Ok(at) } else { Err(Malformed::Trailing) };
            }
            let before = at;
            match self.step(bytes, &mut at, here, seen)? {
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

    fn step(&mut self, bytes: &mut [u8], at: &mut usize, left: u64, seen: &mut dyn FnMut(Seen<'_>)) -> Wire<Step> {
        let mut reader = Reader::new(&bytes[*at..], self.flexible);
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
        match op {
            Skip(n) => self.skip = n,
            ErrorCode => {
                let Some(code) = bytes[*at..].first_chunk() else { return Ok(Step::Starved) };
                seen(Seen::ErrorCode(i16::from_be_bytes(*code)));
                *at += code.len();
            }
            Throttle => {
                let Some(field) = bytes[*at..].first_chunk_mut() else { return Ok(Step::Starved) };
                let mut told = i32::from_be_bytes(*field);
                seen(Seen::Throttle(&mut told));
                *field = told.to_be_bytes();
                *at += field.len();
            }
            Tags | EndpointTags if !self.flexible => {}
            Tags | EndpointTags => {
                let Some(tags) = starve(reader.uvarint())? else { return Ok(Step::Starved) };
                (self.tags, self.hide) = (tags, matches!(op, EndpointTags));
                *at += reader.position();
            }
            Blob | Text | Records => {
                let length = if matches!(op, Text) { reader.partial_text() } else { reader.partial_bytes() };
                let Some(length) = starve(length)? else { return Ok(Step::Starved) };
                if matches!(op, Records) {
                    seen(Seen::Records(length as u64));
                }
                self.skip = length as u64;
                *at += reader.position();
            }
            Name => {
                let Some(length) = starve(reader.partial_text())? else { return Ok(Step::Starved) };
                if length > LONGEST_NAME {
                    seen(Seen::Name(&[]));
                    self.skip = length as u64;
                } else {
                    let Some(name) = starve(reader.take(length))? else { return Ok(Step::Starved) };
                    seen(Seen::Name(name));
                }
                *at += reader.position();
            }
            Id => {
                let Some(id) = bytes[*at..].first_chunk() else { return Ok(Step::Starved) };
                seen(Seen::Id(*id));
                *at += id.len();
            }
            Each(layout) => {
                let Some(count) = starve(reader.partial_bytes())? else { return Ok(Step::Starved) };
                level.at += 1;
                *at += reader.position();
                if count > 0 {
                    let next = self.levels.get_mut(self.depth).ok_or(Malformed::Length)?;
                    *next = Level { layout, at: 0, left: u32::try_from(count).map_err(|_| Malformed::Length)? };
                    self.depth += 1;
                }
                return Ok(Step::Done);
            }
            Endpoints => {
                let Some(n) = starve(reader.uvarint())? else { return Ok(Step::Starved) };
                if n > 1 {
                    let Some(head) = empty_array_then_tag(left) else { return Err(Malformed::Length) };
                    let Some(room) = bytes.get_mut(*at..*at + head.len()) else { return Ok(Step::Starved) };
                    room.copy_from_slice(&head);
                    self.zero = left - head.len() as u64;
                    *at += head.len();
                } else {
                    // No endpoints: tagged fields follow, of which none is ours.
                    let Some(tags) = starve(reader.uvarint())? else { return Ok(Step::Starved) };
                    (self.tags, self.hide) = (tags, false);
                    *at += reader.position();
                }
            }
        }
        level.at += 1;
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
