//! What CreateTopics, CreatePartitions and DeleteTopics want of the instance's partitions, and how each is told no.

use super::admitted::{Asked, Change, Codec, Item, Outcome, Refuse};
use super::{Format, acls, split, topics};
use crate::gateway::admission::counted::Counted;
use crate::gateway::admission::record::Id;
use crate::gateway::wire::{Reader, Wire, Writer};

/// What a topic gets whose creator leaves the number to the broker: `num.partitions`, for an instance's life.
pub(in crate::gateway) const DEFAULT_PARTITIONS: u32 = 3;
/// CreateTopics' and CreatePartitions' way of saying that.
const BROKER_DEFAULT: i32 = -1;

pub(in crate::gateway) static CREATE_TOPICS: Codec = Codec {
    counted: Counted::Partitions,
    read: read_create,
    outcomes: created,
    refuse: Refuse::Items { refused: topics::refused, head: topics::head, good_head: topics::good_head },
};

pub(in crate::gateway) static CREATE_PARTITIONS: Codec = Codec {
    counted: Counted::Partitions,
    read: read_add,
    outcomes: added,
    refuse: Refuse::Items {
        refused: |format, name, refusal| {
            let mut w = Writer::new(format.flexible);
            w.string(name);
            refusal.put(&mut w);
            w.tags();
            w.bytes
        },
        head: split::throttle,
        good_head: split::no_throttle,
    },
};

pub(in crate::gateway) static DELETE_TOPICS: Codec =
    Codec { counted: Counted::Partitions, read: read_delete, outcomes: deleted, refuse: Refuse::Never };

/// A topic's partitions, if they count.
fn counted(name: &str, partitions: i32) -> Option<u32> {
    u32::try_from(partitions).ok().filter(|partitions| *partitions > 0 && acls::is_counted(name))
}

fn change(validate_only: bool) -> Change {
    if validate_only { Change::Nothing } else { Change::Make }
}

fn read_create(format: Format, body: &[u8]) -> Wire<Asked> {
    let mut r = Reader::new(body, format.flexible);
    let mut items = Vec::new();
    for _ in 0..split::items(&mut r)? {
        let start = r.position();
        let name = r.string()?;
        let partitions = r.i32()?;
        r.i16()?; // replication factor
        let assigned = r.array()?;
        for _ in 0..assigned {
            r.i32()?; // partition
            let replicas = r.array()?;
            r.take(replicas.saturating_mul(4))?;
            r.tags()?;
        }
        for _ in 0..r.array()? {
            r.string()?; // setting
            r.nullable_string()?;
            r.tags()?;
        }
        r.tags()?;
        let partitions = match (partitions, assigned) {
            (BROKER_DEFAULT, 0) => counted(name, DEFAULT_PARTITIONS.cast_signed()),
            (partitions, 0) => counted(name, partitions),
            (_, assigned) => counted(name, i32::try_from(assigned).unwrap_or(i32::MAX)),
        };
        items.push(Item { name: Some(name.to_owned()), topic_id: None, partitions, at: (start, r.position()) });
    }
    let rest_at = r.position();
    r.i32()?; // time-out
    let validate_only = format.version >= 1 && r.bool()?;
    Ok(Asked { change: change(validate_only), items, rest_at })
}

fn created(format: Format, body: &[u8]) -> Wire<Vec<Outcome>> {
    let mut r = Reader::new(body, format.flexible);
    topics::head(&mut r, format)?;
    let mut outcomes = Vec::new();
    for _ in 0..r.array()? {
        let name = Some(r.string()?.to_owned());
        let topic_id = if format.version >= 7 { Some(id(&mut r)?) } else { None };
        let error = r.i16()?;
        if format.version >= 1 {
            r.nullable_string()?;
        }
        if format.version >= 5 {
            r.take(4 + 2)?; // partitions, replication factor
            for _ in 0..r.nullable_array()?.unwrap_or_default() {
                r.string()?; // setting
                r.nullable_string()?;
                r.take(3)?; // read-only, source, sensitive
                r.tags()?;
            }
        }
        r.tags()?;
        outcomes.push(Outcome { name, topic_id, error });
    }
    Ok(outcomes)
}

fn read_add(format: Format, body: &[u8]) -> Wire<Asked> {
    let mut r = Reader::new(body, format.flexible);
    let mut items = Vec::new();
    for _ in 0..split::items(&mut r)? {
        let start = r.position();
        let name = r.string()?;
        let partitions = counted(name, r.i32()?);
        for _ in 0..r.nullable_array()?.unwrap_or_default() {
            let replicas = r.array()?;
            r.take(replicas.saturating_mul(4))?;
            r.tags()?;
        }
        r.tags()?;
        items.push(Item { name: Some(name.to_owned()), topic_id: None, partitions, at: (start, r.position()) });
    }
    let rest_at = r.position();
    r.i32()?; // time-out
    let validate_only = r.bool()?;
    Ok(Asked { change: change(validate_only), items, rest_at })
}

fn added(format: Format, body: &[u8]) -> Wire<Vec<Outcome>> {
    let mut r = Reader::new(body, format.flexible);
    r.i32()?; // throttle time
    let mut outcomes = Vec::new();
    for _ in 0..r.array()? {
        let name = Some(r.string()?.to_owned());
        let error = r.i16()?;
        r.nullable_string()?;
        r.tags()?;
        outcomes.push(Outcome { name, topic_id: None, error });
    }
    Ok(outcomes)
}

fn read_delete(format: Format, body: &[u8]) -> Wire<Asked> {
    let mut r = Reader::new(body, format.flexible);
    let mut items = Vec::new();
    for _ in 0..split::items(&mut r)? {
        let start = r.position();
        let by_id = format.version >= 6;
        let name = if by_id { r.nullable_string()? } else { Some(r.string()?) }.map(str::to_owned);
        let topic_id = if by_id { Some(id(&mut r)?).filter(|_| name.is_none()) } else { None };
        if by_id {
            r.tags()?;
        }
        items.push(Item { name, topic_id, partitions: None, at: (start, r.position()) });
    }
    Ok(Asked { change: Change::Delete, items, rest_at: r.position() })
}

fn delete_head(r: &mut Reader<'_>, format: Format) -> Wire<()> {
    if format.version >= 1 { split::throttle(r, format) } else { Ok(()) }
}

fn deleted(format: Format, body: &[u8]) -> Wire<Vec<Outcome>> {
    let mut r = Reader::new(body, format.flexible);
    delete_head(&mut r, format)?;
    let mut outcomes = Vec::new();
    for _ in 0..r.array()? {
        let name = r.nullable_string()?.map(str::to_owned);
        let topic_id = if format.version >= 6 { Some(id(&mut r)?).filter(|id| id.0 != 0) } else { None };
        let error = r.i16()?;
        if format.version >= 5 {
            r.nullable_string()?;
        }
        r.tags()?;
        outcomes.push(Outcome { name, topic_id, error });
    }
    Ok(outcomes)
}

fn id(r: &mut Reader<'_>) -> Wire<Id> {
    let bytes = r.take(16)?;
    Ok(Id(bytes.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes))))
}
