//! Settings: topics, groups and client metrics are the tenant's, brokers are the platform's.
//!
//! Alterations of brokers and their loggers are refused, and so is a topic's `max.message.bytes`
//! above what the instance was sold. Of a broker's settings only those that clients and tools go by
//! are told: never listeners, paths, or how the platform authenticates.

use super::split::{self, Refusal, Shape};
use super::{Decision, Format, Scope, code};
use crate::gateway::snapshot::Snapshot;
use crate::gateway::wire::{Reader, Wire, Writer};

// Codes of org.apache.kafka.common.config.ConfigResource.Type.
pub(in crate::gateway) const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

const MAX_MESSAGE_BYTES: &str = "max.message.bytes";

/// Broker settings that are told, by the start of their names.
const TOLD: &[&str] = &[
    "auto.create.topics.enable",
    "broker.id",
    "broker.rack",
    "compression.",
    "connections.max.idle.ms",
    "default.replication.factor",
    "delete.topic.enable",
    "fetch.",
    "group.",
    "log.cleaner.",
    "log.cleanup.",
    "log.flush.",
    "log.index.",
    "log.message.",
    "log.preallocate",
    "log.retention.",
    "log.roll.",
    "log.segment.",
    "message.max.bytes",
    "min.insync.replicas",
    "node.id",
    "num.partitions",
    "offsets.",
    "producer.id.expiration.ms",
    "replica.fetch.",
    "replica.lag.time.max.ms",
    "share.",
    "socket.request.max.bytes",
    "transaction",
    "unclean.leader.election.enable",
];

/// Why a topic may not have this setting.
pub(in crate::gateway) fn topic_refusal(snapshot: &Snapshot, name: &str, value: Option<&str>) -> Option<Refusal> {
    let most = snapshot.max_batch_bytes;
    let asked = value.filter(|_| name == MAX_MESSAGE_BYTES)?;
    // Java takes digits of any script, and blanks of its own: what is not read here may still be a
    // number to Kafka.
    let why = match asked.trim().parse::<i64>() {
        Ok(number) if u64::try_from(number).is_ok_and(|number| number > most) => "above this instance's limit",
        Ok(_) => return None,
        Err(_) => "not a number in the digits 0 to 9",
    };
    let asked = asked.escape_debug();
    Some(Refusal::new(
        code::INVALID_CONFIG,
        format!("{MAX_MESSAGE_BYTES} is '{asked}', {why}; at most {most} is accepted"),
    ))
}

fn resource_refusal(resource: i8) -> Option<Refusal> {
    match resource {
        TOPIC | GROUP | CLIENT_METRICS => None,
        BROKER | BROKER_LOGGER => Some(Refusal::new(
            code::CLUSTER_AUTHORIZATION_FAILED,
            "settings of brokers belong to the platform; those of topics, groups and client metrics can be altered",
        )),
        other => Some(Refusal::new(
            code::INVALID_REQUEST,
            format!("resource type {other} is unknown; topics, groups and client metrics are accepted"),
        )),
    }
}

pub(in crate::gateway) fn alter(scope: Scope<'_>, format: Format, body: &[u8]) -> Wire<Decision> {
    alter_with(scope, format, body, false)
}

pub(in crate::gateway) fn alter_incrementally(scope: Scope<'_>, format: Format, body: &[u8]) -> Wire<Decision> {
    alter_with(scope, format, body, true)
}

fn alter_with(scope: Scope<'_>, format: Format, body: &[u8], incremental: bool) -> Wire<Decision> {
    let mut r = Reader::new(body, format.flexible);
    let (mut items, mut results) = (Vec::new(), Vec::new());
    for _ in 0..split::items(&mut r)? {
        let start = r.position();
        let (resource, name) = (r.i8()?, r.string()?);
        let mut refusal = resource_refusal(resource);
        for _ in 0..r.array()? {
            let setting = r.string()?;
            if incremental {
                // Set, delete, append or subtract: a number can only be set, and Kafka says so.
                r.i8()?;
            }
            let value = r.nullable_string()?;
            r.tags()?;
            if resource == TOPIC && refusal.is_none() {
                refusal = topic_refusal(scope.snapshot, setting, value);
            }
        }
        r.tags()?;
        items.push(r.since(start));
        results.push(refusal.map(|refusal| {
            let mut w = Writer::new(format.flexible);
            refusal.put(&mut w);
            w.i8(resource);
            w.string(name);
            w.tags();
            w.bytes
        }));
    }
    let rest_at = r.position();
    let shape = Shape { format, head: split::throttle, good_head: split::no_throttle, positional: None };
    let kept = results.clone();
    Ok(split::decide(shape, results, || split::without_refused(format, body, 0, &items, &kept, rest_at)))
}

/// Leaves the settings of brokers that are not [`TOLD`], and loggers, out of DescribeConfigs.
pub(in crate::gateway) fn describe(_: Scope<'_>, format: Format, body: &[u8]) -> Wire<Vec<u8>> {
    let mut r = Reader::new(body, format.flexible);
    r.i32()?; // throttle time
    let results = r.array()?;
    let mut w = Writer::new(format.flexible);
    w.i32(i32::from_be_bytes(*body.first_chunk().unwrap_or(&[0; 4])));
    w.array(results);
    for _ in 0..results {
        let start = r.position();
        r.i16()?; // error
        r.nullable_string()?;
        let resource = r.i8()?;
        r.string()?;
        w.raw(r.since(start));
        let mut told = Vec::new();
        for _ in 0..r.array()? {
            let start = r.position();
            let name = r.string()?;
            skip_setting(&mut r, format)?;
            let hidden = match resource {
                BROKER => !TOLD.iter().any(|prefix| name.starts_with(prefix)),
                BROKER_LOGGER => true,
                _ => false,
            };
            if !hidden {
                told.push(r.since(start));
            }
        }
        w.array(told.len());
        told.iter().for_each(|setting| w.raw(setting));
        let tags_at = r.position();
        r.tags()?;
        w.raw(r.since(tags_at));
    }
    w.raw(r.rest());
    Ok(w.bytes)
}

/// Reads over a described setting after its name.
fn skip_setting(r: &mut Reader<'_>, format: Format) -> Wire<()> {
    r.nullable_string()?; // value
    r.take(3)?; // read-only; default (0) or source (1+); sensitive
    if format.version >= 1 {
        for _ in 0..r.array()? {
            r.string()?;
            r.nullable_string()?;
            r.i8()?; // source
            r.tags()?;
        }
    }
    if format.version >= 3 {
        r.i8()?; // type
        r.nullable_string()?; // documentation
    }
    r.tags()
}
