//! Streams groups (KIP-1071): their coordinators make internal topics by themselves, at heartbeats.
//!
//! Owns which heartbeats are let through. All of a group go to its coordinator's gateway. One that could have topics made
//! passes only behind an intent of all that is missing, as many partitions as [`Topology::wants`] says: everything is granted, or
//! nothing is made. Heartbeats of a group share it ([`Room`]). The answer tells whether the coordinator asked for topics; the
//! intent ends when metadata shows them, and otherwise like any that nobody ends: the creation waits in the same broker as what
//! looks for it. Who joins says what the group makes, and is believed later on if Kafka took it; else the broker is asked what
//! it keeps. Where all topics are there, heartbeats pass for a while without a look, until one of the topics is deleted.

use super::counted::Counted;
use super::ledger::{START_WITHIN, Verdict};
use super::record::Want;
use super::room::{self, Lines, Room};
use super::topology::Topology;
use super::{Admission, Ticket};
use crate::gateway::filters::code;
use crate::gateway::filters::split::Refusal;
use crate::gateway::filters::streams::Answered;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long heartbeats of a group that has all its topics pass without a look: what the group makes is asked again then,
/// should another broker have coordinated it meanwhile.
const SURE: Duration = Duration::from_secs(60);
/// Bytes of all topologies that are remembered, and of the largest one, which is many times an application's.
const ALL: usize = 16 * 1024 * 1024;
const LARGE: usize = 256 * 1024;

/// What this gateway knows of groups.
#[derive(Debug, Default)]
pub(super) struct Streams {
    known: Mutex<Known>,
    lines: Lines,
}

#[derive(Debug, Default)]
struct Known {
    groups: HashMap<String, Group>,
    /// That all of them take.
    bytes: usize,
}

#[derive(Debug)]
struct Group {
    topology: Arc<Topology>,
    /// Until then all of its topics are there.
    complete_until: Option<Instant>,
    bytes: usize,
}

impl Streams {
    fn topology(&self, group: &str) -> Option<Arc<Topology>> {
        self.lock().groups.get(group).map(|group| group.topology.clone())
    }

    fn is_complete(&self, group: &str, now: Instant) -> bool {
        let known = self.lock();
        known.groups.get(group).and_then(|group| group.complete_until).is_some_and(|until| now < until)
    }

    /// What Kafka took from a member is what the group has.
    fn learn(&self, group: &str, topology: Arc<Topology>) {
        if self.topology(group).as_ref() != Some(&topology) {
            self.note(group, topology, None);
        }
    }

    fn note(&self, group: &str, topology: Arc<Topology>, complete_until: Option<Instant>) {
        let bytes = group.len() + topology.size();
        let mut known = self.lock();
        if let Some(former) = known.groups.remove(group) {
            known.bytes -= former.bytes;
        }
        if bytes > LARGE {
            return;
        }
        if known.bytes + bytes > ALL {
            // They come back by their next heartbeats.
            *known = Known::default();
        }
        known.bytes += bytes;
        known.groups.insert(group.to_owned(), Group { topology, complete_until, bytes });
    }

    /// Groups that have this topic lack it.
    pub(super) fn lose(&self, topic: &str) {
        for group in self.lock().groups.values_mut().filter(|group| group.complete_until.is_some()) {
            if group.topology.internal().any(|internal| internal.name == topic) {
                group.complete_until = None;
            }
        }
    }

    pub(super) fn forget(&self) {
        *self.lock() = Known::default();
        self.lines.forget();
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for what a heartbeat makes. Dropped before the heartbeat was written, it says that this one made nothing.
pub(in crate::gateway) struct Reserved {
    admission: Arc<Admission>,
    /// None where nothing is missing.
    room: Option<Arc<Room>>,
    /// What the group has if Kafka takes the heartbeat.
    joined: Option<(String, Arc<Topology>)>,
}

impl Reserved {
    /// It is too late to write the heartbeat.
    pub(in crate::gateway) fn is_late(&self) -> bool {
        self.room.as_ref().is_some_and(|room| room.is_late())
    }

    /// To be called right before the heartbeat is written, when nothing can keep it from that any more.
    pub(in crate::gateway) fn start(self) -> Started {
        if let Some(room) = &self.room {
            room.doubt();
        }
        Started(self)
    }
}

/// Of a heartbeat that was written. Dropped before it was answered, nobody knows what it made.
pub(in crate::gateway) struct Started(Reserved);

impl Started {
    /// Hears what Kafka answered.
    pub(in crate::gateway) fn answered(self, answered: Answered) {
        let Reserved { admission, room, joined } = self.0;
        if let Some((group, topology)) = joined.filter(|_| answered.is_taken) {
            admission.streams.learn(&group, topology);
        }
        match room {
            Some(room) if answered.makes => room.watch(),
            Some(room) => room.settle(),
            None => {}
        }
    }
}

impl Admission {
    /// Whether this group has all the topics that it has made, so that none of its heartbeats makes any.
    pub(in crate::gateway) fn is_complete(&self, group: &str) -> bool {
        let now = Instant::now();
        self.seen.hears(now) && self.streams.is_complete(group, now)
    }

    /// Decides about a heartbeat, of a member who `joins` with a topology or is in the group already. `None` needs no room.
    pub(in crate::gateway) async fn admit_heartbeat(
        self: Arc<Self>,
        group: String,
        joins: Option<Topology>,
        limit: u64,
        node: i32,
    ) -> Result<Option<Reserved>, Refusal> {
        let start_by = Instant::now() + START_WITHIN;
        let undecided = || {
            Refusal::new(
                // What clients of groups wait for and try again after.
                code::COORDINATOR_LOAD_IN_PROGRESS,
                "whether the instance has room for the internal topics of this application can't be told now, \
                 so nothing was made; try again",
            )
        };
        let decided = timeout_at(start_by, self.reserve(&group, joins, limit, node, start_by));
        match decided.await {
            Ok(Ok(Found::Room(reserved))) => Ok(reserved),
            Ok(Ok(Found::Not(refusal))) => Err(refusal),
            Ok(Ok(Found::Unclear) | Err(_)) | Err(_) => Err(undecided()),
        }
    }

    async fn reserve(
        self: &Arc<Self>,
        group: &str,
        joins: Option<Topology>,
        limit: u64,
        node: i32,
        start_by: Instant,
    ) -> io::Result<Found> {
        let known = self.streams.topology(group);
        if joins.is_some() && joins.as_ref() == known.as_deref() && self.is_complete(group) {
            return Ok(Found::Room(None));
        }
        let kept = match self.inventory.topology(group).await {
            Ok(kept) => kept,
            // A connection that was idle may be gone; a second one tells.
            Err(_) => self.inventory.topology(group).await?,
        };
        let (topology, joins) = match (joins, kept) {
            (
                _,
                Err(
                    error @ (code::NOT_COORDINATOR
                    | code::COORDINATOR_NOT_AVAILABLE
                    | code::COORDINATOR_LOAD_IN_PROGRESS),
                ),
            ) => {
                return Ok(Found::Not(Refusal::new(error, "this broker does not coordinate the group now")));
            }
            // Whoever joins with an older one gets what the group has; with another one, nothing.
            (Some(joins), Ok(kept)) if kept.epoch > joins.epoch => (Arc::new(kept), false),
            (Some(joins), Ok(_) | Err(code::GROUP_ID_NOT_FOUND | code::INVALID_GROUP_ID)) => (Arc::new(joins), true),
            (None, Ok(kept)) => (known.filter(|known| known.resembles(&kept)).unwrap_or_else(|| Arc::new(kept)), false),
            // Kafka tells it so.
            (None, Err(code::GROUP_ID_NOT_FOUND | code::INVALID_GROUP_ID)) => return Ok(Found::Room(None)),
            (_, Err(error)) => {
                return Err(io::Error::other(format!("Kafka describes group {group} with error {error}")));
            }
        };
        let topics = self.topics().await?;
        let (there, joined) = {
            // Until it is noted, or what is deleted now would be missed.
            let ledger = self.ledger();
            let there = |name| Some((name, ledger.partitions(&topics, name)?));
            let there: HashMap<&str, u32> = topology.names().filter_map(there).collect();
            let joined = if joins {
                Some((group.to_owned(), topology.clone()))
            } else {
                let lacks = topology.internal().any(|topic| !there.contains_key(topic.name.as_str()));
                self.streams.note(group, topology.clone(), (!lacks).then(|| Instant::now() + SURE));
                None
            };
            (there, joined)
        };
        // Without the ledger: a client chooses how much there is to reckon.
        let wants = topology.wants(|topic| there.get(topic).copied());
        let room = if wants.is_empty() {
            None
        } else {
            match self.room(group, wants, limit, node, start_by).await? {
                Ok(room) => Some(room),
                Err(found) => return Ok(found),
            }
        };
        let is_needed = room.is_some() || joined.is_some();
        Ok(Found::Room(is_needed.then(|| Reserved { admission: self.clone(), room, joined })))
    }

    /// Room for what a group lacks: what an earlier heartbeat has, or a new one.
    async fn room(
        self: &Arc<Self>,
        group: &str,
        wants: Vec<Want>,
        limit: u64,
        node: i32,
        start_by: Instant,
    ) -> io::Result<Result<Arc<Room>, Found>> {
        let mut place = self.streams.lines.of(group).lock_owned().await;
        let last = place.upgrade();
        if let Some(room) = last.as_ref().filter(|room| room.serves(&wants)) {
            return Ok(Ok(room.clone()));
        }
        Ok(match self.intend_whole(group, &wants, limit, node, start_by).await? {
            Ok(ticket) => Ok(Room::new(ticket, &wants, last, &mut place)),
            Err(found) => {
                room::hold_up(place);
                Err(found)
            }
        })
    }

    /// Writes an intent of which all is granted or nothing.
    async fn intend_whole(
        self: &Arc<Self>,
        group: &str,
        wants: &[Want],
        limit: u64,
        node: i32,
        start_by: Instant,
    ) -> io::Result<Result<Ticket, Found>> {
        let mut ticket = Ticket::new(self, start_by);
        ticket.topics = wants.iter().map(|want| want.topic.clone()).collect();
        ticket.at = self.intend(ticket.id, wants.to_vec(), node, start_by).await?;
        let verdict = self
            .decided(|ledger, topics| match ledger.decide_whole(ticket.id, wants.len(), limit, topics) {
                Verdict::Undecided => None,
                verdict => Some(verdict),
            })
            .await?;
        Ok(match verdict {
            Verdict::Granted => Ok(ticket),
            Verdict::Refused { used, more } => {
                self.tell_full(limit, used);
                Err(Found::Not(full(group, wants, limit, used, more)))
            }
            Verdict::Undecided | Verdict::Held | Verdict::Ended => Err(Found::Unclear),
        })
    }
}

/// What a look at a heartbeat found.
enum Found {
    Room(Option<Reserved>),
    Not(Refusal),
    /// Somebody took the intent for lost.
    Unclear,
}

fn full(group: &str, wants: &[Want], limit: u64, used: u64, more: u64) -> Refusal {
    let such_as = wants.first().map(|want| want.topic.as_str()).unwrap_or_default();
    let message = format!(
        "this instance may have {limit} {} and has {used}; application '{group}' needs {more} more for internal topics \
         that are missing, such as '{such_as}': delete topics, or change to a larger spec",
        Counted::Partitions.plural()
    );
    Refusal::new(code::POLICY_VIOLATION, message)
}

#[cfg(test)]
mod tests {
    use super::super::topology::{InternalTopic, Part};
    use super::*;

    fn topology(names: usize) -> Arc<Topology> {
        let changelogs = vec![InternalTopic { name: String::new(), partitions: 0 }; names];
        Arc::new(Topology { epoch: 0, parts: vec![Part { changelogs, ..Part::default() }] })
    }

    #[test]
    fn however_short_its_names_are_what_is_remembered_of_groups_takes_a_bounded_room() {
        let streams = Streams::default();
        streams.note("large", topology(10_000), None);
        assert_eq!(streams.topology("large"), None);
        for group in 0..1000 {
            streams.note(&group.to_string(), topology(2000), None);
            assert!(streams.lock().groups.len() * 2000 * size_of::<InternalTopic>() <= ALL);
        }
        assert_eq!(streams.topology("999"), Some(topology(2000)));
        let bytes = streams.lock().bytes;
        streams.note("999", topology(2000), None);
        assert_eq!(streams.lock().bytes, bytes, "the same group again");
        streams.note("999", topology(10_000), None);
        assert!(streams.lock().bytes < bytes && streams.topology("999").is_none());
    }
}
