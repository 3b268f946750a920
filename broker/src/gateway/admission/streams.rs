//! Streams groups (KIP-1071): their coordinators make internal topics by themselves, at heartbeats.
//!
//! Owns which heartbeats are let through. All of a group go to its coordinator's gateway. One that could have topics made
//! passes only behind an intent of all that is missing, as many partitions as [`Topology::wants`] says: everything is granted, or
//! nothing is made. The answer tells whether the coordinator asked for topics; the intent ends when metadata shows them, and otherwise like any that
//! nobody ends: the creation waits in the same broker as what looks for it. Who joins says what the group makes, and is believed later on if Kafka
//! took it; else the broker is asked what it keeps. Where all topics are there, heartbeats pass for a while without a look, until one of the topics is deleted.

use super::counted::Counted;
use super::ledger::{START_WITHIN, Verdict};
use super::record::{End, Want};
use super::topology::Topology;
use super::{Admission, LOOK_EVERY, Ticket};
use crate::gateway::filters::code;
use crate::gateway::filters::split::Refusal;
use crate::gateway::filters::streams::Answered;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How long heartbeats of a group that has all its topics pass without a look: what the group makes is asked again then,
/// should another broker have coordinated it meanwhile.
const SURE: Duration = Duration::from_secs(60);
/// More than any spec sells; and the largest topology that is remembered, which is many times an application's.
const MANY: usize = 2000;
const LARGE: usize = 64 * 1024;
/// In which metadata mostly shows what was made. Later it is looked for like what was lost.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);

/// What this gateway knows of groups.
#[derive(Debug, Default)]
pub(super) struct Streams {
    groups: Mutex<HashMap<String, Group>>,
}

#[derive(Debug)]
struct Group {
    topology: Arc<Topology>,
    /// Until then all of its topics are there.
    complete_until: Option<Instant>,
}

impl Streams {
    fn topology(&self, group: &str) -> Option<Arc<Topology>> {
        self.lock().get(group).map(|group| group.topology.clone())
    }

    fn is_complete(&self, group: &str, now: Instant) -> bool {
        let groups = self.lock();
        groups.get(group).and_then(|group| group.complete_until).is_some_and(|until| now < until)
    }

    /// What Kafka took from a member is what the group has.
    fn learn(&self, group: &str, topology: Arc<Topology>) {
        if self.topology(group).as_ref() != Some(&topology) {
            self.note(group, topology, None);
        }
    }

    fn note(&self, group: &str, topology: Arc<Topology>, complete_until: Option<Instant>) {
        let mut groups = self.lock();
        groups.remove(group);
        if groups.len() >= MANY {
            // They come back by their next heartbeats.
            groups.clear();
        }
        if topology.size() <= LARGE {
            groups.insert(group.to_owned(), Group { topology, complete_until });
        }
    }

    /// Groups that have this topic lack it.
    pub(super) fn lose(&self, topic: &str) {
        for group in self.lock().values_mut().filter(|group| group.complete_until.is_some()) {
            if group.topology.internal().any(|internal| internal.name == topic) {
                group.complete_until = None;
            }
        }
    }

    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for what a heartbeat makes. Dropped before the heartbeat was sent, or cancelled, it says that nothing was made.
pub(in crate::gateway) struct Reserved {
    admission: Arc<Admission>,
    /// None where nothing is missing.
    ticket: Option<Ticket>,
    /// What the group has if Kafka takes the heartbeat.
    joined: Option<(String, Arc<Topology>)>,
}

impl Reserved {
    /// To be called right before the heartbeat is written. False when it is too late for that.
    pub(in crate::gateway) fn start(&mut self) -> bool {
        self.ticket.as_mut().is_none_or(Ticket::start)
    }

    /// It is not written after all.
    pub(in crate::gateway) fn cancel(self) {
        if let Some(mut ticket) = self.ticket {
            ticket.sent = false;
        }
    }

    /// Hears what Kafka answered.
    pub(in crate::gateway) fn answered(self, answered: Answered) {
        if let Some((group, topology)) = self.joined.filter(|_| answered.is_taken) {
            self.admission.streams.learn(&group, topology);
        }
        let Some(mut ticket) = self.ticket else { return };
        if answered.makes {
            // Nobody waits for it.
            tokio::spawn(see(ticket));
        } else {
            let topics = std::mem::take(&mut ticket.topics);
            ticket.end(End { id: ticket.id, made: Vec::new(), not_made: topics, deleted: Vec::new() });
        }
    }
}

/// Ends topics as metadata shows them.
async fn see(mut ticket: Ticket) {
    let until = Instant::now() + SHOWN_WITHIN;
    while !ticket.topics.is_empty() && Instant::now() < until {
        sleep(LOOK_EVERY).await;
        let Ok(topics) = ticket.admission.topics().await else { continue };
        let all = std::mem::take(&mut ticket.topics);
        let is_shown = |topic: &String| ticket.admission.ledger().partitions(&topics, topic).is_some();
        let (made, missing): (Vec<_>, Vec<_>) = all.into_iter().partition(is_shown);
        ticket.topics = missing;
        if !made.is_empty() {
            ticket.end(End { id: ticket.id, made, not_made: Vec::new(), deleted: Vec::new() });
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
        let (wants, joined) = {
            // Until it is noted, or what is deleted now would be missed.
            let ledger = self.ledger();
            let there = |topic: &str| ledger.partitions(&topics, topic);
            let wants = topology.wants(there);
            if joins {
                (wants, Some((group.to_owned(), topology)))
            } else {
                let lacks = topology.internal().any(|topic| there(&topic.name).is_none());
                self.streams.note(group, topology, (!lacks).then(|| Instant::now() + SURE));
                (wants, None)
            }
        };
        let ticket = if wants.is_empty() {
            None
        } else {
            match self.intend_whole(group, wants, limit, node, start_by).await? {
                Ok(ticket) => Some(ticket),
                Err(found) => return Ok(found),
            }
        };
        let is_needed = ticket.is_some() || joined.is_some();
        Ok(Found::Room(is_needed.then(|| Reserved { admission: self.clone(), ticket, joined })))
    }

    /// Writes an intent of which all is granted or nothing.
    async fn intend_whole(
        self: &Arc<Self>,
        group: &str,
        wants: Vec<Want>,
        limit: u64,
        node: i32,
        start_by: Instant,
    ) -> io::Result<Result<Ticket, Found>> {
        let mut ticket = Ticket::new(self, start_by);
        ticket.topics = wants.iter().map(|want| want.topic.clone()).collect();
        ticket.at = self.intend(ticket.id, wants.clone(), node, start_by).await?;
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
                Err(Found::Not(full(group, &wants, limit, used, more)))
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
