//! What a tenant's user who may alter the cluster may still not do to the topics of Kafka and the
//! platform: move their replicas, or end transactions in them. Kafka asks for Alter on the cluster
//! alone here, so that the bindings which guard these topics are never looked at.

use super::split::{self, Refusal, Shape};
use super::{Decision, Format, Scope, code};
use crate::gateway::wire::{Reader, Wire, Writer};
use broker_api::acl::{is_internal_topic, pattern::LITERAL};

const REASON: &str = "internal topics belong to Kafka and the platform, which place and write them";

fn is_internal(topic: &str) -> bool {
    is_internal_topic(topic, LITERAL)
}

/// AlterPartitionReassignments (KIP-455).
pub(in crate::gateway) fn reassign(_: Scope<'_>, format: Format, body: &[u8]) -> Wire<Decision> {
    let mut r = Reader::new(body, format.flexible);
    r.i32()?; // timeout
    if format.version >= 1 {
        r.bool()?; // may change the number of replicas
    }
    let items_at = r.position();
    let (mut items, mut results) = (Vec::new(), Vec::new());
    for _ in 0..split::items(&mut r)? {
        let start = r.position();
        let topic = r.string()?;
        let mut partitions = Vec::new();
        for _ in 0..r.array()? {
            partitions.push(r.i32()?);
            let replicas = r.nullable_array()?.unwrap_or_default();
            r.take(replicas.saturating_mul(4))?;
            r.tags()?;
        }
        r.tags()?;
        items.push(r.since(start));
        results.push(is_internal(topic).then(|| not_moved(format, topic, &partitions)));
    }
    let rest_at = r.position();
    let shape = Shape { format, head: moved_head, good_head: good_moved_head, positional: None };
    let kept = results.clone();
    Ok(split::decide(shape, results, || split::without_refused(format, body, items_at, &items, &kept, rest_at)))
}

fn moved_head(r: &mut Reader<'_>, format: Format) -> Wire<()> {
    split::throttle(r, format)?;
    if format.version >= 1 {
        r.bool()?;
    }
    r.i16()?;
    r.skip_nullable_string()
}

fn good_moved_head(w: &mut Writer, format: Format) {
    split::no_throttle(w, format);
    if format.version >= 1 {
        w.i8(1);
    }
    w.i16(0);
    w.nullable_string(None);
}

fn not_moved(format: Format, topic: &str, partitions: &[i32]) -> Vec<u8> {
    let refusal = Refusal::new(code::TOPIC_AUTHORIZATION_FAILED, REASON);
    let mut w = Writer::new(format.flexible);
    w.string(topic);
    w.array(partitions.len());
    for partition in partitions {
        w.i32(*partition);
        refusal.put(&mut w);
        w.tags();
    }
    w.tags();
    w.bytes
}

/// WriteTxnMarkers: also how an administrator aborts a hanging transaction (KIP-664), which names one
/// partition. A request that names a partition of an internal topic is refused as a whole.
pub(in crate::gateway) fn mark(_: Scope<'_>, format: Format, body: &[u8]) -> Wire<Decision> {
    let mut r = Reader::new(body, format.flexible);
    let mut w = Writer::new(format.flexible);
    let mut names_internal = false;
    let markers = split::items(&mut r)?;
    w.array(markers);
    for _ in 0..markers {
        w.i64(r.i64()?); // producer id
        r.take(2 + 1)?; // epoch, result
        let topics = r.array()?;
        w.array(topics);
        for _ in 0..topics {
            let topic = r.string()?;
            names_internal |= is_internal(topic);
            w.string(topic);
            let partitions = r.array()?;
            w.array(partitions);
            for _ in 0..partitions {
                w.i32(r.i32()?);
                w.i16(code::TOPIC_AUTHORIZATION_FAILED);
                w.tags();
            }
            r.tags()?;
            w.tags();
        }
        r.i32()?; // coordinator's epoch
        if format.version >= 2 {
            r.i8()?; // transaction version
        }
        r.tags()?;
        w.tags();
    }
    w.tags();
    Ok(if names_internal { Decision::Answer(w.bytes) } else { Decision::Forward })
}
