//! Metadata of topics that do not exist: which of them the client lets be made, and what it is told. Kafka itself makes
//! none (`auto.create.topics.enable` is off for an instance's life); where the instance's switch is on, the gateway does.

use super::admitted::{Asked, Change, Item};
use super::partitions::DEFAULT_PARTITIONS;
use super::{Format, acls, code};
use crate::gateway::frame;
use crate::gateway::wire::{Reader, Wire, Writer};

/// The version that a creation of ours is asked in: 3.9 and 4.x know it.
pub(in crate::gateway) const CREATE: Format = Format { version: 5, flexible: true };
const CREATE_TOPICS: i16 = 19;
/// For Kafka to make a topic, ms.
const TIME_OUT_MS: i32 = 30_000;
/// `num.partitions` and `default.replication.factor`.
const BROKER_DEFAULT: i32 = -1;
/// Longest name of a topic (org.apache.kafka.common.internals.Topic).
pub(super) const LONGEST_NAME: usize = 249;

/// Whether a Metadata request asks for topics by name, and lets those be made that are missing.
pub(in crate::gateway) fn may_create(format: Format, body: &[u8]) -> Wire<bool> {
    let mut r = Reader::new(body, format.flexible);
    let topics = r.nullable_array()?.unwrap_or_default();
    for _ in 0..topics {
        if format.version >= 10 {
            r.take(16)?; // topic id
        }
        r.nullable_string()?;
        r.tags()?;
    }
    // Up to version 3 every request lets them be made.
    Ok(topics > 0 && (format.version < 4 || r.bool()?))
}

/// Topics that are missing in a Metadata response frame and that clients may have: where the error of each stands, and its name.
pub(in crate::gateway) fn missing(format: Format, frame: &[u8]) -> Wire<Vec<(usize, String)>> {
    let mut r = Reader::new(frame, format.flexible);
    r.take(frame::RESPONSE_PEEK)?;
    r.tags()?;
    if format.version >= 3 {
        r.i32()?; // throttle time
    }
    for _ in 0..r.array()? {
        r.i32()?; // node
        r.string()?;
        r.i32()?;
        if format.version >= 1 {
            r.skip_nullable_string()?; // rack
        }
        r.tags()?;
    }
    if format.version >= 2 {
        r.skip_nullable_string()?; // cluster id
    }
    if format.version >= 1 {
        r.i32()?; // controller
    }
    let mut missing = Vec::new();
    for _ in 0..r.array()? {
        let at = r.position();
        let error = r.i16()?;
        let name = r.nullable_string()?.unwrap_or_default();
        if error == code::UNKNOWN_TOPIC_OR_PARTITION && is_makeable(name) {
            missing.push((at, name.to_owned()));
        }
        if format.version >= 10 {
            r.take(16)?; // topic id
        }
        if format.version >= 1 {
            r.i8()?; // internal
        }
        for _ in 0..r.array()? {
            r.take(2 + 4 + 4)?; // error, partition, leader
            if format.version >= 7 {
                r.i32()?; // leader's epoch
            }
            for _ in 0..if format.version >= 5 { 3 } else { 2 } {
                let nodes = r.array()?;
                r.take(nodes.saturating_mul(4))?;
            }
            r.tags()?;
        }
        if format.version >= 8 {
            r.i32()?; // rights
        }
        r.tags()?;
    }
    Ok(missing)
}

/// What Kafka would make: it refuses other names, and the platform's own topics are not for clients.
fn is_makeable(name: &str) -> bool {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    letters && !matches!(name, "" | "." | "..") && name.len() <= LONGEST_NAME && acls::is_counted(name)
}

/// What admission is asked about these topics.
pub(in crate::gateway) fn asked(missing: &[(usize, String)]) -> Asked {
    let items = missing.iter().map(|(_, name)| Item::new(name.clone(), DEFAULT_PARTITIONS));
    Asked::new(Change::Make, items.collect())
}

/// A CreateTopics request frame for topics as the broker makes them by default.
pub(in crate::gateway) fn request<'a>(correlation: i32, names: impl ExactSizeIterator<Item = &'a str>) -> Vec<u8> {
    let mut header = Writer::new(false);
    header.i32(0);
    header.i16(CREATE_TOPICS);
    header.i16(CREATE.version);
    header.i32(correlation);
    header.string("sluice-gateway");
    let mut w = Writer::new(true);
    w.raw(&header.bytes);
    w.tags();
    w.array(names.len());
    for name in names {
        w.string(name);
        w.i32(BROKER_DEFAULT);
        w.raw(&(-1i16).to_be_bytes());
        w.array(0); // assignments
        w.array(0); // settings
        w.tags();
    }
    w.i32(TIME_OUT_MS);
    w.i8(0); // not only to validate
    w.tags();
    frame::sealed(w.bytes)
}
