//! Which requests may make a consumer group, and how each is told no.
//!
//! A group is made by a member's first request, by a commit of who is no member, and by an administrator who sets offsets.
//! What members send later can't make one: Kafka refuses it where the group is gone. So only the first fields are looked
//! at, and only requests that could make a group are taken whole.

use super::admitted::{Asked, Change, Codec, Item, Outcome, Refuse};
use super::split::{self, Refusal};
use super::{Decision, Format, acls, code};
use crate::gateway::admission::counted::Counted;
use crate::gateway::frame;
use crate::gateway::wire::{Reader, Wire, Writer};

/// The group that a request may make, from the first fields of its body.
pub(in crate::gateway) type MayMake = fn(Format, &[u8]) -> Wire<Option<&str>>;

/// The group that the request whose frame begins so may make. `Malformed::Short` asks for more bytes.
pub(in crate::gateway) fn may_make(may_make: MayMake, format: Format, frame: &[u8]) -> Wire<Option<&str>> {
    let body_at = frame::request_body(frame, format.flexible)?;
    may_make(format, &frame[body_at..])
}

/// JoinGroup of somebody who has no member id yet.
pub(in crate::gateway) fn joins(format: Format, body: &[u8]) -> Wire<Option<&str>> {
    let mut r = Reader::new(body, format.flexible);
    let group = r.string()?;
    r.i32()?; // session time-out
    if format.version >= 1 {
        r.i32()?; // rebalance time-out
    }
    Ok(r.string()?.is_empty().then_some(group))
}

/// The first heartbeat of a member, in the protocols of KIP-848, KIP-932 and KIP-1071.
pub(in crate::gateway) fn first_beat(format: Format, body: &[u8]) -> Wire<Option<&str>> {
    let mut r = Reader::new(body, format.flexible);
    let group = r.string()?;
    r.string()?; // member
    Ok((r.i32()? == 0).then_some(group))
}

/// OffsetCommit of somebody who is no member.
pub(in crate::gateway) fn commits(format: Format, body: &[u8]) -> Wire<Option<&str>> {
    let mut r = Reader::new(body, format.flexible);
    let group = r.string()?;
    Ok((format.version < 1 || r.i32()? < 0).then_some(group))
}

/// TxnOffsetCommit likewise.
pub(in crate::gateway) fn commits_in_transaction(format: Format, body: &[u8]) -> Wire<Option<&str>> {
    let mut r = Reader::new(body, format.flexible);
    r.string()?; // transactional id
    let group = r.string()?;
    r.take(8 + 2)?; // producer, its epoch
    Ok((format.version < 3 || r.i32()? < 0).then_some(group))
}

/// Offsets of a share group are set for whichever is named.
pub(in crate::gateway) fn sets_share_offsets(format: Format, body: &[u8]) -> Wire<Option<&str>> {
    Reader::new(body, format.flexible).string().map(Some)
}

pub(in crate::gateway) static JOIN_GROUP: Codec = Codec {
    counted: Counted::Groups,
    read: |format, body| one(joins(format, body)?),
    outcomes: |format, body| error_after_throttle(format, body, 2),
    refuse: Refuse::Whole(join_refused),
};

pub(in crate::gateway) static MEMBER_HEARTBEAT: Codec = heartbeat(beat_refused);

pub(in crate::gateway) static STREAMS_HEARTBEAT: Codec = heartbeat(streams_beat_refused);

const fn heartbeat(refused: fn(Format, &[u8], &Refusal) -> Wire<Vec<u8>>) -> Codec {
    Codec {
        counted: Counted::Groups,
        read: |format, body| one(first_beat(format, body)?),
        outcomes: |format, body| error_after_throttle(format, body, 0),
        refuse: Refuse::Whole(refused),
    }
}

pub(in crate::gateway) static OFFSET_COMMIT: Codec = Codec {
    counted: Counted::Groups,
    read: |format, body| one(commits(format, body)?),
    outcomes: |format, body| committed(COMMIT, format, body),
    refuse: Refuse::Whole(|format, body, refusal| commit_refused(COMMIT, format, body, refusal)),
};

pub(in crate::gateway) static TXN_OFFSET_COMMIT: Codec = Codec {
    counted: Counted::Groups,
    read: |format, body| one(commits_in_transaction(format, body)?),
    outcomes: |format, body| committed(TXN_COMMIT, format, body),
    refuse: Refuse::Whole(|format, body, refusal| commit_refused(TXN_COMMIT, format, body, refusal)),
};

pub(in crate::gateway) static ALTER_SHARE_OFFSETS: Codec = Codec {
    counted: Counted::Groups,
    read: |format, body| one(sets_share_offsets(format, body)?),
    outcomes: |format, body| error_after_throttle(format, body, 0),
    refuse: Refuse::Whole(|format, _, refusal| {
        let mut w = Writer::new(format.flexible);
        w.i32(0); // throttle time
        refusal.put(&mut w);
        w.array(0); // topics
        w.tags();
        Ok(w.bytes)
    }),
};

pub(in crate::gateway) static DELETE_GROUPS: Codec =
    Codec { counted: Counted::Groups, read: read_delete, outcomes: deleted, refuse: Refuse::Never };

impl Codec {
    /// The refusal of a group that clients may not have, so that nobody has groups that don't count.
    pub(in crate::gateway) fn reserved(&self, format: Format, body: &[u8]) -> Wire<Option<Decision>> {
        let asked = (self.read)(format, body)?;
        let name = asked.items.first().and_then(|item| item.name.as_deref()).unwrap_or_default();
        if asked.change != Change::Make || acls::is_counted(name) {
            return Ok(None);
        }
        let why = "names that begin like this one are for groups of Kafka and the platform";
        let refusal = Refusal::new(code::GROUP_AUTHORIZATION_FAILED, why);
        self.decide(format, body, &asked, &[Some(refusal)]).map(Some)
    }
}

fn one(group: Option<&str>) -> Wire<Asked> {
    let item = |group: &str| Item::new(group.to_owned(), 1);
    Ok(Asked::new(Change::Make, group.map(item).into_iter().collect()))
}

/// The error that stands first, or behind how long the request was throttled.
fn error_after_throttle(format: Format, body: &[u8], throttled_since: i16) -> Wire<Vec<Outcome>> {
    let mut r = Reader::new(body, format.flexible);
    if format.version >= throttled_since {
        r.i32()?; // throttle time
    }
    Ok(vec![Outcome { name: None, topic_id: None, error: r.i16()? }])
}

fn join_refused(format: Format, _: &[u8], refusal: &Refusal) -> Wire<Vec<u8>> {
    let mut w = Writer::new(format.flexible);
    if format.version >= 2 {
        w.i32(0); // throttle time
    }
    w.i16(refusal.code);
    w.i32(-1); // generation
    if format.version >= 7 {
        w.nullable_string(None); // type of the protocol
        w.nullable_string(None); // its name
    } else {
        w.string("");
    }
    w.string(""); // leader
    if format.version >= 9 {
        w.i8(0); // whether to skip the assignment
    }
    w.string(""); // member
    w.array(0); // members
    w.tags();
    Ok(w.bytes)
}

fn beat_refused(format: Format, _: &[u8], refusal: &Refusal) -> Wire<Vec<u8>> {
    let mut w = Writer::new(format.flexible);
    w.i32(0); // throttle time
    refusal.put(&mut w);
    w.nullable_string(None); // member
    w.i32(0); // its epoch
    w.i32(0); // interval
    w.i8(-1); // no assignment
    w.tags();
    Ok(w.bytes)
}

pub(super) fn streams_beat_refused(format: Format, _: &[u8], refusal: &Refusal) -> Wire<Vec<u8>> {
    let mut w = Writer::new(format.flexible);
    w.i32(0); // throttle time
    refusal.put(&mut w);
    w.string(""); // member
    w.raw(&[0; 4 * 4]); // its epoch, interval, lag, interval of offsets
    w.raw(&[0; 4]); // no status, and no active, standby or warm-up tasks
    w.i32(0); // epoch of the endpoints
    w.raw(&[0]); // no endpoints
    w.tags();
    Ok(w.bytes)
}

/// How a commit is laid out, where the two kinds differ.
#[derive(Clone, Copy)]
struct Commit {
    /// Reads up to the topics.
    head: fn(&mut Reader<'_>, Format) -> Wire<()>,
    by_id_since: i16,
    epoch_since: i16,
    /// The version whose partitions carry a time.
    with_times: i16,
    throttled_since: i16,
}

const NEVER: i16 = i16::MAX;
const COMMIT: Commit = Commit { head: commit_head, by_id_since: 10, epoch_since: 6, with_times: 1, throttled_since: 3 };
const TXN_COMMIT: Commit =
    Commit { head: txn_commit_head, by_id_since: NEVER, epoch_since: 2, with_times: NEVER, throttled_since: 0 };

fn commit_head(r: &mut Reader<'_>, format: Format) -> Wire<()> {
    r.string()?; // group
    if format.version >= 1 {
        r.i32()?; // generation
        r.string()?; // member
    }
    if format.version >= 7 {
        r.skip_nullable_string()?; // instance of the member
    }
    if (2..=4).contains(&format.version) {
        r.i64()?; // retention
    }
    Ok(())
}

fn txn_commit_head(r: &mut Reader<'_>, format: Format) -> Wire<()> {
    r.string()?; // transactional id
    r.string()?; // group
    r.take(8 + 2)?; // producer, its epoch
    if format.version >= 3 {
        r.i32()?; // generation
        r.string()?; // member
        r.skip_nullable_string()?; // its instance
    }
    Ok(())
}

fn commit_refused(commit: Commit, format: Format, body: &[u8], refusal: &Refusal) -> Wire<Vec<u8>> {
    let mut r = Reader::new(body, format.flexible);
    let mut w = Writer::new(format.flexible);
    (commit.head)(&mut r, format)?;
    if format.version >= commit.throttled_since {
        w.i32(0); // throttle time
    }
    let topics = split::items(&mut r)?;
    w.array(topics);
    for _ in 0..topics {
        let start = r.position();
        skip_topic(&mut r, commit, format)?;
        w.raw(r.since(start));
        let partitions = r.array()?;
        w.array(partitions);
        for _ in 0..partitions {
            w.i32(r.i32()?); // partition
            w.i16(refusal.code);
            w.tags();
            r.i64()?; // offset
            if format.version >= commit.epoch_since {
                r.i32()?; // leader's epoch
            }
            if format.version == commit.with_times {
                r.i64()?; // time
            }
            r.skip_nullable_string()?; // metadata
            r.tags()?;
        }
        w.tags();
        r.tags()?;
    }
    w.tags();
    Ok(w.bytes)
}

fn skip_topic(r: &mut Reader<'_>, commit: Commit, format: Format) -> Wire<()> {
    if format.version >= commit.by_id_since { r.take(16).map(drop) } else { r.string().map(drop) }
}

/// The group is there as soon as any partition was committed.
fn committed(commit: Commit, format: Format, body: &[u8]) -> Wire<Vec<Outcome>> {
    let mut r = Reader::new(body, format.flexible);
    if format.version >= commit.throttled_since {
        r.i32()?; // throttle time
    }
    let mut errors = Vec::new();
    for _ in 0..r.array()? {
        skip_topic(&mut r, commit, format)?;
        for _ in 0..r.array()? {
            r.i32()?; // partition
            errors.push(r.i16()?);
            r.tags()?;
        }
        r.tags()?;
    }
    // A commit of nothing makes nothing that lasts; it is looked for like what was lost.
    let error = if errors.contains(&0) { Some(0) } else { errors.first().copied() };
    Ok(error.map(|error| Outcome { name: None, topic_id: None, error }).into_iter().collect())
}

fn read_delete(format: Format, body: &[u8]) -> Wire<Asked> {
    let mut r = Reader::new(body, format.flexible);
    let mut items = Vec::new();
    for _ in 0..split::items(&mut r)? {
        items.push(Item { partitions: None, ..Item::new(r.string()?.to_owned(), 0) });
    }
    Ok(Asked::new(Change::Delete, items))
}

fn deleted(format: Format, body: &[u8]) -> Wire<Vec<Outcome>> {
    let mut r = Reader::new(body, format.flexible);
    r.i32()?; // throttle time
    let mut outcomes = Vec::new();
    for _ in 0..r.array()? {
        outcomes.push(Outcome { name: Some(r.string()?.to_owned()), topic_id: None, error: r.i16()? });
        r.tags()?;
    }
    Ok(outcomes)
}
