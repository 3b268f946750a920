//! Who may have how many partitions: what the log says, on top of what Kafka's metadata says. Pure; time and metadata are
//! given.
//!
//! Every gateway reads the same log and decides its own intents alone. An intent is granted when it fits on top of all that
//! exists and of all intents *before* it in the log, open ones included, so no two gateways can give away the same room:
//! whoever is later in the log has counted the earlier one. Where only what metadata does not show stands in the way, it
//! waits, so nobody is refused for what is not taken in the end.
//!
//! ```text
//!            ┌──────────── not made, or EXPIRY ────────────────┐
//! intent ► open ── made ──► made ── seen in metadata, or ──────┴─► forgotten
//!                                   deleted, or SEEN_WITHIN
//! ```
//!
//! A topic is charged the largest of what metadata shows and what its entries want, never their sum: an intent and
//! the topic that it made are the same partitions.

use super::counted::Counted;
use super::record::{Deleted, End, Id, Intent, Record, Want};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// From an intent to the last moment at which its gateway hands the request to Kafka.
pub(in crate::gateway) const START_WITHIN: Duration = Duration::from_secs(5);
/// After this an intent without an end counts for nothing, unless metadata shows what it made: time to start, a
/// broker's 60 s of trying to reach a controller (Kafka: `request.timeout.ms` doubled by
/// `NodeToControllerChannelManager`), and a margin for clocks and for pauses of the gateway.
pub(in crate::gateway) const EXPIRY: Duration = Duration::from_secs(90);
/// When somebody looks what became of an intent without an end: its gateway can't start it any more, even if it stood still
/// for ten seconds after it had looked at the clock.
pub(in crate::gateway) const LOST_AFTER: Duration = Duration::from_secs(15);
/// What was made is in every broker's metadata by then, or deleted again: the most that metadata may be behind.
pub(in crate::gateway) const SEEN_WITHIN: Duration = Duration::from_secs(30);
/// How long an id is known, so that a late copy of its intent is ignored.
const MEMORY: Duration = Duration::from_secs(600);

/// Topics that count, by name, as a broker knew them at one moment.
#[derive(Debug, Clone, Default)]
pub(in crate::gateway) struct Topics(pub(in crate::gateway) HashMap<String, Topic>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) struct Topic {
    pub(in crate::gateway) id: Id,
    pub(in crate::gateway) partitions: u32,
}

/// What an intent hears for one of its topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Verdict {
    Granted,
    /// There is no room, whatever becomes of others.
    Refused {
        used: u64,
        more: u64,
    },
    /// It depends on intents that have not ended.
    Undecided,
    /// There will be room, when what is gone is not counted any more: too long to wait for.
    Held,
    /// The log has an end of it: somebody took it for lost.
    Ended,
}

#[derive(Debug)]
struct Entry {
    id: Id,
    node: i32,
    topic: String,
    partitions: u32,
    state: State,
    /// When this reader learned of the state.
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Of our own, and given.
    Granted,
    /// Made by Kafka, as the log's record of this offset says.
    Made {
        offset: i64,
    },
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Ledger {
    counted: Counted,
    /// By place in the log: offset of the intent, number of the topic in it.
    entries: BTreeMap<(i64, usize), Entry>,
    known: HashMap<Id, Instant>,
    /// Deleted topics that metadata may still show.
    deleted: HashMap<Id, Instant>,
}

impl Ledger {
    pub(in crate::gateway) fn of(counted: Counted) -> Self {
        Self { counted, ..Self::default() }
    }

    pub(in crate::gateway) fn apply(&mut self, offset: i64, record: Record, now: Instant) {
        match record {
            Record::Intent(intent) => self.intend(offset, intent, now),
            Record::End(end) => self.end(offset, end, now),
        }
    }

    fn intend(&mut self, offset: i64, intent: Intent, now: Instant) {
        if self.known.insert(intent.id, now).is_some() {
            return;
        }
        for (number, want) in intent.topics.into_iter().enumerate() {
            let entry = Entry {
                id: intent.id,
                node: intent.node,
                topic: want.topic,
                partitions: want.partitions,
                state: State::Open,
                since: now,
            };
            self.entries.insert((offset, number), entry);
        }
    }

    fn end(&mut self, offset: i64, end: End, now: Instant) {
        self.known.insert(end.id, now);
        let [made, not_made] = [&end.made, &end.not_made].map(|topics| topics.iter().collect::<HashSet<_>>());
        self.entries.retain(|_, entry| entry.id != end.id || !not_made.contains(&entry.topic));
        for entry in self.entries.values_mut().filter(|entry| entry.id == end.id && made.contains(&entry.topic)) {
            (entry.state, entry.since) = (State::Made { offset }, now);
        }
        for Deleted { topic, topic_id, since } in end.deleted {
            self.entries.retain(|_, entry| {
                entry.topic != topic || !matches!(entry.state, State::Made { offset } if offset < since)
            });
            self.deleted.extend(topic_id.map(|id| (id, now)));
        }
    }

    /// Drops what metadata, read at `now` or later, makes superfluous.
    pub(in crate::gateway) fn forget(&mut self, topics: &Topics, now: Instant) {
        self.known.retain(|_, since| now.duration_since(*since) < MEMORY);
        let held = self.counted.held();
        let deleted = &mut self.deleted;
        deleted.retain(|_, since| now.duration_since(*since) < EXPIRY);
        self.entries.retain(|_, entry| {
            let shown = topics.0.get(&entry.topic).filter(|topic| !deleted.contains_key(&topic.id));
            let limit = match entry.state {
                State::Made { .. } => held.unwrap_or(SEEN_WITHIN),
                State::Open | State::Granted => EXPIRY,
            };
            let seen = matches!(entry.state, State::Made { .. })
                && held.is_none()
                && shown.is_some_and(|topic| topic.partitions >= entry.partitions);
            !seen && now.duration_since(entry.since) < limit
        });
    }

    /// What is to become of an intent of ours of which all is made, or nothing. What it grants is granted.
    pub(in crate::gateway) fn decide_whole(&mut self, id: Id, wants: usize, limit: u64, topics: &Topics) -> Verdict {
        let own = |entry: &&Entry| entry.id == id;
        let Some(((offset, _), _)) = self.entries.iter().find(|(_, entry)| entry.id == id) else {
            return Verdict::Ended;
        };
        if self.entries.values().filter(own).count() < wants {
            return Verdict::Ended;
        }
        let (mut at_most, mut at_least) = self.around(id, *offset, topics);
        let used = at_least.total;
        for entry in self.entries.values().filter(own) {
            let shown = self.shown(topics, &entry.topic);
            at_most.raise(&entry.topic, entry.partitions.into(), shown);
            at_least.raise(&entry.topic, entry.partitions.into(), shown);
        }
        if at_most.total <= limit {
            for entry in self.entries.values_mut().filter(|entry| entry.id == id && entry.state == State::Open) {
                entry.state = State::Granted;
            }
            return Verdict::Granted;
        }
        let more = at_least.total - used;
        // Whoever needs no more finds all of it there when it looks again.
        if more > 0 && at_least.total > limit { Verdict::Refused { used, more } } else { Verdict::Undecided }
    }

    /// What is charged beside the intent of this id and offset: with all that is open before it, or made and not seen; and
    /// if that was all for nothing, or is gone again.
    fn around(&self, id: Id, offset: i64, topics: &Topics) -> (Charges, Charges) {
        let is_made = |entry: &Entry| matches!(entry.state, State::Made { .. });
        let at_most = self.charges(topics, |at, entry| entry.id != id && (at < offset || is_made(entry)));
        (at_most, self.charges(topics, |_, _| false))
    }

    /// What is to become of each topic of an intent of ours, in its order. What it grants is granted.
    pub(in crate::gateway) fn decide(&mut self, id: Id, wants: usize, limit: u64, topics: &Topics) -> Vec<Verdict> {
        let Some(offset) = self.entries.iter().find(|(_, entry)| entry.id == id).map(|(place, _)| place.0) else {
            return vec![Verdict::Ended; wants];
        };
        let (mut at_most, mut at_least) = self.around(id, offset, topics);
        let mut verdicts = Vec::with_capacity(wants);
        for number in 0..wants {
            let Some(entry) = self.entries.get(&(offset, number)) else {
                verdicts.push(Verdict::Ended);
                continue;
            };
            let (topic, wanted) = (&entry.topic, u64::from(entry.partitions));
            let shown = self.shown(topics, topic);
            let more = at_least.more(topic, wanted, shown);
            let fits = at_most.total + at_most.more(topic, wanted, shown) <= limit;
            // Who joins a group that is there takes nothing, also where there are more than may be.
            let is_above = self.counted == Counted::Groups && more == 0 && at_least.total > limit;
            let verdict = if entry.state != State::Open || fits || is_above {
                Verdict::Granted
            } else if at_least.total + more > limit {
                Verdict::Refused { used: at_least.total, more }
            } else if self.is_held(topics, topic, wanted, limit) {
                Verdict::Held
            } else {
                Verdict::Undecided
            };
            if matches!(verdict, Verdict::Granted | Verdict::Undecided) {
                at_most.raise(topic, wanted, shown);
            }
            if verdict == Verdict::Granted {
                at_least.raise(topic, wanted, shown);
                if let Some(entry) = self.entries.get_mut(&(offset, number)).filter(|entry| entry.state == State::Open)
                {
                    entry.state = State::Granted;
                }
            }
            verdicts.push(verdict);
        }
        verdicts
    }

    /// The refusals, if none of these can have any room, whatever becomes of what is open.
    pub(in crate::gateway) fn none_fits(&self, wants: &[Want], limit: u64, topics: &Topics) -> Option<Vec<Verdict>> {
        let charges = self.charges(topics, |_, _| false);
        let verdict = |want: &Want| {
            let wanted = want.partitions.into();
            let more = charges.more(&want.topic, wanted, self.shown(topics, &want.topic));
            if more > 0 && charges.total + more > limit {
                return Some(Verdict::Refused { used: charges.total, more });
            }
            self.is_held(topics, &want.topic, wanted, limit).then_some(Verdict::Held)
        };
        wants.iter().map(verdict).collect()
    }

    /// Whether what was made a short time ago leaves no room, although it may be gone.
    fn is_held(&self, topics: &Topics, name: &str, wanted: u64, limit: u64) -> bool {
        if self.counted.held().is_none() {
            return false;
        }
        let made = self.charges(topics, |_, entry| matches!(entry.state, State::Made { .. }));
        let more = made.more(name, wanted, self.shown(topics, name));
        more > 0 && made.total + more > limit
    }

    /// Whether so many partitions of each topic would fit now, beside everything that is open.
    pub(in crate::gateway) fn would_fit(&self, wants: &[Want], limit: u64, topics: &Topics) -> Vec<Verdict> {
        let mut charges = self.charges(topics, |_, _| true);
        let mut verdict = |want: &Want| {
            let (wanted, shown) = (u64::from(want.partitions), self.shown(topics, &want.topic));
            let more = charges.more(&want.topic, wanted, shown);
            if charges.total + more > limit {
                return Verdict::Refused { used: charges.total, more };
            }
            charges.raise(&want.topic, wanted, shown);
            Verdict::Granted
        };
        wants.iter().map(&mut verdict).collect()
    }

    /// Intents of a node that have had no end for so long that their requests may be looked for.
    pub(in crate::gateway) fn lost(&self, node: i32, now: Instant) -> Vec<(Id, Want)> {
        let is_lost = |entry: &&Entry| {
            entry.node == node
                && !matches!(entry.state, State::Made { .. })
                && now.duration_since(entry.since) >= LOST_AFTER
        };
        let want = |entry: &Entry| (entry.id, Want { topic: entry.topic.clone(), partitions: entry.partitions });
        self.entries.values().filter(is_lost).map(want).collect()
    }

    /// Partitions that exist or are about to.
    pub(in crate::gateway) fn used(&self, topics: &Topics) -> u64 {
        self.charges(topics, |_, _| true).total
    }

    /// Partitions of a topic, if metadata shows it and nobody deleted it.
    pub(in crate::gateway) fn partitions(&self, topics: &Topics, name: &str) -> Option<u32> {
        let topic = topics.0.get(name).filter(|topic| !self.deleted.contains_key(&topic.id));
        topic.map(|topic| topic.partitions)
    }

    fn shown(&self, topics: &Topics, name: &str) -> u64 {
        self.partitions(topics, name).map_or(0, u64::from)
    }

    fn charges(&self, topics: &Topics, counts: impl Fn(i64, &Entry) -> bool) -> Charges {
        let total = topics.0.keys().map(|name| self.shown(topics, name)).sum();
        let mut charges = Charges { total, raised: HashMap::new() };
        for (_, entry) in self.entries.iter().filter(|((offset, _), entry)| counts(*offset, entry)) {
            charges.raise(&entry.topic, entry.partitions.into(), self.shown(topics, &entry.topic));
        }
        charges
    }
}

/// What topics are charged.
struct Charges {
    total: u64,
    /// Of topics that entries want.
    raised: HashMap<String, u64>,
}

impl Charges {
    /// By how much `topic`, of which metadata shows `shown` partitions, would be charged more.
    fn more(&self, topic: &str, wanted: u64, shown: u64) -> u64 {
        wanted.saturating_sub(self.raised.get(topic).copied().unwrap_or(shown))
    }

    fn raise(&mut self, topic: &str, wanted: u64, shown: u64) {
        self.total += self.more(topic, wanted, shown);
        let charge = self.raised.entry(topic.to_owned()).or_insert(shown);
        *charge = (*charge).max(wanted);
    }
}
