//! Heartbeats of Kafka Streams groups (KIP-1071): whose they are, which topics they make their coordinator make, and whether
//! it would.
//!
//! Only the heartbeat of who joins carries a topology, and Kafka takes it from nobody else. It makes the topics in the name
//! of whoever's heartbeat it answers, without a request that could be refused: so the rules for topics that clients make are held here too.

use super::auto_create::LONGEST_NAME;
use super::split::{MAX_ITEMS, Refusal};
use super::{Decision, Format, Scope, acls, code, configs, groups};
use crate::gateway::admission::topology::{InternalTopic, Part, Together, Topology};
use crate::gateway::frame;
use crate::gateway::wire::{Malformed, Reader, Wire, Writer};

/// Of who joins.
const JOINING: i32 = 0;
// org.apache.kafka.common.requests.StreamsGroupHeartbeatResponse.Status
/// The group has a newer topology.
const STALE_TOPOLOGY: i8 = 0;
/// The coordinator asks for them.
const MISSING_INTERNAL_TOPICS: i8 = 3;

/// The head of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) struct Beat<'a> {
    pub(in crate::gateway) group: &'a str,
    epoch: i32,
}

impl Beat<'_> {
    pub(in crate::gateway) fn joins(&self) -> bool {
        self.epoch == JOINING
    }

    /// Who goes makes nothing.
    pub(in crate::gateway) fn leaves(&self) -> bool {
        self.epoch < JOINING
    }
}

/// The heartbeat whose frame begins so. `Malformed::Short` asks for more bytes.
pub(in crate::gateway) fn peek(format: Format, frame: &[u8]) -> Wire<Beat<'_>> {
    let body_at = frame::request_body(frame, format.flexible)?;
    head(format, &frame[body_at..])
}

pub(in crate::gateway) fn head(format: Format, body: &[u8]) -> Wire<Beat<'_>> {
    beat(&mut Reader::new(body, format.flexible))
}

fn beat<'a>(r: &mut Reader<'a>) -> Wire<Beat<'a>> {
    let group = r.string()?;
    r.string()?; // member
    Ok(Beat { group, epoch: r.i32()? })
}

/// Refuses topologies with topics that nobody may make, or of which it is not told how many partitions they have.
pub(in crate::gateway) fn heartbeat(scope: Scope<'_>, format: Format, body: &[u8]) -> Wire<Decision> {
    let mut refusal = None;
    let topology = read(format, body, |topic, setting, value| {
        let why = || configs::topic_refusal(scope.snapshot, setting, value);
        refusal = refusal.take().or_else(|| why().map(|why| format!("topic '{topic}': {}", why.message)));
    })?;
    let names = || topology.iter().flat_map(Topology::names);
    let why = (names().map(str::len).find(|length| *length > LONGEST_NAME))
        .map(|length| {
            format!("the name of a topic may have {LONGEST_NAME} characters; one of this topology has {length} bytes")
        })
        .or_else(|| names().find_map(acls::creation_refusal).map(|why| why.message))
        .or(refusal);
    match why {
        // What Kafka answers for its own topics and names that are none, and what its client ends on with the sentence.
        Some(why) => groups::streams_beat_refused(format, body, &Refusal::new(code::STREAMS_INVALID_TOPOLOGY, why))
            .map(Decision::Answer),
        None => Ok(Decision::Forward),
    }
}

/// The topology of who joins.
pub(in crate::gateway) fn topology(format: Format, body: &[u8]) -> Wire<Option<Topology>> {
    read(format, body, |_, _, _| {})
}

fn read(format: Format, body: &[u8], mut setting: impl FnMut(&str, &str, Option<&str>)) -> Wire<Option<Topology>> {
    let mut r = Reader::new(body, format.flexible);
    beat(&mut r)?;
    r.i32()?; // epoch of the endpoints
    r.skip_nullable_string()?; // instance
    r.skip_nullable_string()?; // rack
    r.i32()?; // rebalance time-out
    if r.i8()? < 0 {
        return Ok(None);
    }
    let epoch = r.i32()?;
    let mut budget = MAX_ITEMS;
    let mut parts = Vec::new();
    for _ in 0..r.array()? {
        spend(&mut budget, 1)?;
        r.string()?; // id
        let sources = texts(&mut r, &mut budget)?;
        // Patterns for sources are not taken by Kafka yet.
        texts(&mut r, &mut budget)?;
        let changelogs = internal(&mut r, &mut budget, &mut setting)?;
        let sinks = texts(&mut r, &mut budget)?;
        let repartitions = internal(&mut r, &mut budget, &mut setting)?;
        let mut copartitioned = Vec::new();
        for _ in 0..r.array()? {
            spend(&mut budget, 1)?;
            let sources = places(&mut r, &mut budget)?;
            places(&mut r, &mut budget)?; // of patterns
            let repartitions = places(&mut r, &mut budget)?;
            r.tags()?;
            copartitioned.push(Together { sources, repartitions });
        }
        r.tags()?;
        parts.push(Part { sources, sinks, repartitions, changelogs, copartitioned: Some(copartitioned) });
    }
    Ok(Some(Topology { epoch, parts }))
}

/// A StreamsGroupDescribe request of one group.
pub(in crate::gateway) fn describe(group: &str) -> Vec<u8> {
    let mut w = Writer::new(true);
    w.array(1);
    w.string(group);
    w.i8(0); // not who may do what
    w.tags();
    w.bytes
}

/// The topology that a coordinator tells in StreamsGroupDescribe of one group, or its error. It has no place for what must be partitioned alike.
pub(in crate::gateway) fn described(body: &[u8]) -> Wire<Result<Topology, i16>> {
    let mut r = Reader::new(body, true);
    r.i32()?; // throttle time
    if r.array()? == 0 {
        return Err(Malformed::Length);
    }
    let error = r.i16()?;
    if error != 0 {
        return Ok(Err(error));
    }
    r.skip_nullable_string()?; // message
    r.string()?; // group
    r.string()?; // state
    r.take(4 + 4)?; // epochs
    if r.i8()? < 0 {
        // Every group has one.
        return Err(Malformed::Length);
    }
    let epoch = r.i32()?;
    let mut budget = usize::MAX;
    let mut parts = Vec::new();
    for _ in 0..r.nullable_array()?.unwrap_or_default() {
        r.string()?; // id
        let sources = texts(&mut r, &mut budget)?;
        let sinks = texts(&mut r, &mut budget)?;
        let changelogs = internal(&mut r, &mut budget, &mut |_, _, _| {})?;
        let repartitions = internal(&mut r, &mut budget, &mut |_, _, _| {})?;
        r.tags()?;
        parts.push(Part { sources, sinks, repartitions, changelogs, copartitioned: None });
    }
    Ok(Ok(Topology { epoch, parts }))
}

/// What Kafka answered to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) struct Answered {
    /// Kafka took the topology for the group's.
    pub(in crate::gateway) is_taken: bool,
    /// The coordinator asks for topics.
    pub(in crate::gateway) makes: bool,
}

pub(in crate::gateway) fn answered(format: Format, body: &[u8]) -> Wire<Answered> {
    let mut r = Reader::new(body, format.flexible);
    r.i32()?; // throttle time
    let error = r.i16()?;
    r.skip_nullable_string()?; // message
    r.string()?; // member
    r.take(4 * 4)?; // its epoch, interval, lag, interval of offsets
    let (mut makes, mut is_stale) = (false, false);
    for _ in 0..r.nullable_array()?.unwrap_or_default() {
        match r.i8()? {
            STALE_TOPOLOGY => is_stale = true,
            MISSING_INTERNAL_TOPICS => makes = true,
            _ => {}
        }
        r.skip_nullable_string()?; // detail
        r.tags()?;
    }
    Ok(Answered { is_taken: error == 0 && !is_stale, makes: error == 0 && makes })
}

fn spend(budget: &mut usize, items: usize) -> Wire<()> {
    *budget = budget.checked_sub(items).ok_or(Malformed::TooMany)?;
    Ok(())
}

fn texts(r: &mut Reader<'_>, budget: &mut usize) -> Wire<Vec<String>> {
    let mut texts = Vec::new();
    for _ in 0..r.array()? {
        spend(budget, 1)?;
        texts.push(r.string()?.to_owned());
    }
    Ok(texts)
}

fn internal(
    r: &mut Reader<'_>,
    budget: &mut usize,
    setting: &mut impl FnMut(&str, &str, Option<&str>),
) -> Wire<Vec<InternalTopic>> {
    let mut topics = Vec::new();
    for _ in 0..r.array()? {
        spend(budget, 1)?;
        let name = r.string()?;
        let partitions = u32::try_from(r.i32()?).unwrap_or_default();
        r.i16()?; // replication factor
        for _ in 0..r.array()? {
            spend(budget, 1)?;
            let (key, value) = (r.string()?, r.nullable_string()?);
            setting(name, key, value);
            r.tags()?;
        }
        r.tags()?;
        topics.push(InternalTopic { name: name.to_owned(), partitions });
    }
    Ok(topics)
}

fn places(r: &mut Reader<'_>, budget: &mut usize) -> Wire<Vec<u16>> {
    let mut places = Vec::new();
    for _ in 0..r.array()? {
        spend(budget, 1)?;
        // Kafka refuses places that there are not.
        places.extend(u16::try_from(r.i16()?));
    }
    Ok(places)
}
