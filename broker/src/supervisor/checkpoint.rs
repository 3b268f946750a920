//! The two checkpoint files of a fresh KRaft log directory, as bytes. Pure.
//!
//! Both are sequences of Kafka record batches (message format 2): a control batch that opens the
//! snapshot, one of content, a control batch that closes it. Shapes: `SnapshotHeaderRecord`,
//! `KRaftVersionRecord`, `VotersRecord` (KIP-853) and `FeatureLevelRecord` of Kafka's message
//! definitions, and `UserScramCredentialRecord`, all at version 0. `storage_tests` holds them against Kafka's own tool.

use super::release::FeatureLevel;
use crate::scram::{Hash, Keys};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use broker_api::secret::Secret;
use broker_api::spec::Voter;
use std::num::NonZeroU32;

/// Control record types (KIP-630, KIP-853).
const SNAPSHOT_HEADER: i16 = 3;
const SNAPSHOT_FOOTER: i16 = 4;
const KRAFT_VERSION: i16 = 5;
const KRAFT_VOTERS: i16 = 6;

/// `apiKey` of `FeatureLevelRecord` in the metadata log.
const FEATURE_LEVEL_RECORD: u8 = 12;
/// `apiKey` of `UserScramCredentialRecord`.
const USER_SCRAM_CREDENTIAL_RECORD: u8 = 11;
/// `SCRAM-SHA-512` in that record.
const SCRAM_SHA_512: u8 = 2;
/// The least that Kafka takes: more is for passwords that somebody could guess.
const SCRAM_ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();
/// Version of the frame around each metadata record.
const METADATA_FRAME: u8 = 1;
/// Dynamic quorum (KIP-853).
const DYNAMIC_QUORUM: i16 = 1;
/// Batch attribute bit 5.
const CONTROL: i16 = 0x20;
/// The listener that voters are reached by.
const CONTROLLER_LISTENER: &str = "CTL";

/// A user that is there from the first boot, with SCRAM-SHA-512.
#[derive(Debug)]
pub struct FirstUser<'a> {
    pub name: &'a str,
    pub password: &'a Secret,
    /// The same on every node, so that it does not matter whose checkpoint counts.
    pub salt: [u8; 16],
}

/// `bootstrap.checkpoint`: the features and users that the first controller starts with.
pub fn bootstrap(features: &[FeatureLevel], user: Option<&FirstUser<'_>>, now_ms: i64) -> Vec<u8> {
    let mut records: Vec<_> = features.iter().map(|feature| Record::data(feature_level(feature))).collect();
    records.extend(user.map(|user| Record::data(scram_credential(user))));
    let footer_offset = 1 + records.len() as i64;
    let mut file = batch(0, CONTROL, now_ms, &[header(0)]);
    file.extend(batch(1, 0, now_ms, &records));
    file.extend(batch(footer_offset, CONTROL, now_ms, &[footer()]));
    file
}

/// The first checkpoint of the metadata log on a voter: the quorum's members.
///
/// Fails with the text of a directory id that is none.
pub fn voters(voters: &[Voter], now_ms: i64) -> Result<Vec<u8>, String> {
    let records = [
        header(now_ms),
        Record::control(KRAFT_VERSION, kraft_version()),
        Record::control(KRAFT_VOTERS, voter_set(voters)?),
    ];
    let mut file = batch(0, CONTROL, now_ms, &records);
    file.extend(batch(records.len() as i64, CONTROL, now_ms, &[footer()]));
    Ok(file)
}

/// Sixteen bytes of a Kafka `Uuid`, from its URL-safe base64.
pub fn uuid(text: &str) -> Option<[u8; 16]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

struct Record {
    key: Option<Vec<u8>>,
    value: Vec<u8>,
}

impl Record {
    fn data(value: Vec<u8>) -> Self {
        Self { key: None, value }
    }

    fn control(kind: i16, value: Vec<u8>) -> Self {
        let mut key = 0i16.to_be_bytes().to_vec();
        key.extend(kind.to_be_bytes());
        Self { key: Some(key), value }
    }
}

fn header(last_contained_ms: i64) -> Record {
    let mut value = 0i16.to_be_bytes().to_vec();
    value.extend(last_contained_ms.to_be_bytes());
    value.push(NO_TAGS);
    Record::control(SNAPSHOT_HEADER, value)
}

fn footer() -> Record {
    Record::control(SNAPSHOT_FOOTER, vec![0, 0, NO_TAGS])
}

/// End of a flexible structure.
const NO_TAGS: u8 = 0;

fn kraft_version() -> Vec<u8> {
    let mut value = 0i16.to_be_bytes().to_vec();
    value.extend(DYNAMIC_QUORUM.to_be_bytes());
    value.push(NO_TAGS);
    value
}

fn voter_set(voters: &[Voter]) -> Result<Vec<u8>, String> {
    let mut value = 0i16.to_be_bytes().to_vec();
    compact_length(&mut value, voters.len());
    for voter in voters {
        value.extend(voter.node_id.to_be_bytes());
        value.extend(uuid(&voter.directory_id).ok_or_else(|| voter.directory_id.clone())?);
        compact_length(&mut value, 1);
        compact_string(&mut value, CONTROLLER_LISTENER);
        compact_string(&mut value, &voter.host);
        value.extend(voter.port.to_be_bytes());
        value.push(NO_TAGS);
        // Versions of the quorum that the voter can run: static and dynamic.
        value.extend(0i16.to_be_bytes());
        value.extend(DYNAMIC_QUORUM.to_be_bytes());
        value.push(NO_TAGS);
        value.push(NO_TAGS);
    }
    value.push(NO_TAGS);
    Ok(value)
}

fn feature_level((name, level): &FeatureLevel) -> Vec<u8> {
    let mut value = vec![METADATA_FRAME, FEATURE_LEVEL_RECORD, 0];
    compact_string(&mut value, name);
    value.extend(level.to_be_bytes());
    value.push(NO_TAGS);
    value
}

fn scram_credential(user: &FirstUser<'_>) -> Vec<u8> {
    let keys = Keys::derive(Hash::Sha512, user.password.expose(), &user.salt, SCRAM_ITERATIONS);
    let mut value = vec![METADATA_FRAME, USER_SCRAM_CREDENTIAL_RECORD, 0];
    compact_string(&mut value, user.name);
    value.push(SCRAM_SHA_512);
    for bytes in [&user.salt[..], keys.stored(Hash::Sha512).as_ref(), keys.server.as_ref()] {
        compact_length(&mut value, bytes.len());
        value.extend(bytes);
    }
    value.extend(SCRAM_ITERATIONS.get().to_be_bytes());
    value.push(NO_TAGS);
    value
}

/// A batch of message format 2, uncompressed.
fn batch(base_offset: i64, attributes: i16, now_ms: i64, records: &[Record]) -> Vec<u8> {
    // What the checksum covers, from the attributes on.
    let mut covered = attributes.to_be_bytes().to_vec();
    covered.extend((records.len() as i32 - 1).to_be_bytes());
    covered.extend(now_ms.to_be_bytes());
    covered.extend(now_ms.to_be_bytes());
    // No producer: id, epoch, sequence.
    covered.extend((-1i64).to_be_bytes());
    covered.extend((-1i16).to_be_bytes());
    covered.extend((-1i32).to_be_bytes());
    covered.extend((records.len() as i32).to_be_bytes());
    for (delta, record) in records.iter().enumerate() {
        let body = record_body(delta, record);
        zigzag(&mut covered, body.len() as i64);
        covered.extend(body);
    }
    let mut batch = base_offset.to_be_bytes().to_vec();
    // Leader epoch, magic and checksum precede what is covered.
    batch.extend((4 + 1 + 4 + covered.len() as i32).to_be_bytes());
    batch.extend(0i32.to_be_bytes());
    batch.push(2);
    batch.extend(crc32c::crc32c(&covered).to_be_bytes());
    batch.extend(covered);
    batch
}

fn record_body(offset_delta: usize, record: &Record) -> Vec<u8> {
    let mut body = vec![0];
    zigzag(&mut body, 0);
    zigzag(&mut body, offset_delta as i64);
    match &record.key {
        Some(key) => {
            zigzag(&mut body, key.len() as i64);
            body.extend(key);
        }
        None => zigzag(&mut body, -1),
    }
    zigzag(&mut body, record.value.len() as i64);
    body.extend(&record.value);
    zigzag(&mut body, 0);
    body
}

fn compact_string(out: &mut Vec<u8>, text: &str) {
    compact_length(out, text.len());
    out.extend(text.as_bytes());
}

/// Lengths of flexible versions are stored plus one.
fn compact_length(out: &mut Vec<u8>, length: usize) {
    varint(out, length as u64 + 1);
}

fn zigzag(out: &mut Vec<u8>, value: i64) {
    varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
