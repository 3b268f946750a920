//! How many connections each gateway may have, as the log says, and what a gateway wants of it. Pure; time is given.
//!
//! A record holds the shares of all gateways and names the one that it follows. Who follows the record in force is in force;
//! who follows another was late, and is void. So all readers agree, whoever writes when, and nothing that is late, lost
//! or doubled can change a share. A gateway holds the least of what is in force for it and of what it has asked for since,
//! so it gives back before anybody can take.
//!
//! ```text
//! in force ◄── follows ── record ──► in force, and the one before it is history
//!     ▲── follows ── another record, later in the log ──► void: its writer reads on and asks again
//! ```
//!
//! A reader who finds the log's beginning gone knows no record at first. Gateways follow only what is in force; so one that
//! another record follows is, and from there on all is decided.

use super::record::{Held, Limit, Record};
use crate::gateway::admission::record::Id;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// A gateway that has nothing to say repeats itself.
pub(in crate::gateway) const BEAT: Duration = Duration::from_secs(5);
/// Who said nothing for so long may be gone: three beats.
pub(in crate::gateway) const SILENT: Duration = Duration::from_secs(15);
/// Of what is left, a gateway takes its broker's share divided by this, so that what idle gateways hold is there for others.
const PORTION: u32 = 4;

/// Connections of a gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::gateway) struct Demand {
    pub(in crate::gateway) open: u32,
    /// Those that wait for a permit.
    pub(in crate::gateway) waiting: u32,
}

/// What a gateway knows beside the log.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) struct Known<'a> {
    pub(in crate::gateway) limit: Limit,
    /// Of the instance.
    pub(in crate::gateway) brokers: u32,
    /// More clients may come: it holds permits for them in advance.
    pub(in crate::gateway) accepts: bool,
    /// Gateways that are no more.
    pub(in crate::gateway) gone: &'a BTreeSet<Id>,
}

/// The record in force.
#[derive(Debug, Default)]
struct Force {
    /// None at the log's beginning.
    at: Option<i64>,
    limit: Limit,
    held: Vec<Held>,
}

/// See the module.
#[derive(Debug)]
pub(in crate::gateway) struct Ledger {
    gateway: Id,
    node: i32,
    force: Option<Force>,
    /// What was read while the record in force is not known.
    unplaced: Vec<(i64, Record)>,
    /// The last share that was in force.
    granted: u32,
    /// The least that was asked for since: it may be in force already.
    asked: u32,
    /// Where the log began when what was read before was gone; 0 since then something that was written later is in force.
    began: i64,
    /// When each gateway said something, or was first seen.
    heard: HashMap<Id, Instant>,
}

impl Ledger {
    /// Of a gateway that reads the log from its beginning.
    pub(in crate::gateway) fn new(gateway: Id, node: i32) -> Self {
        let (unplaced, heard) = Default::default();
        Self { gateway, node, force: Some(Force::default()), unplaced, granted: 0, asked: u32::MAX, began: 0, heard }
    }

    /// What was read so far is gone from the log, which begins here now.
    pub(in crate::gateway) fn restart(&mut self, beginning: i64) {
        self.unplaced.clear();
        // Another log, or the end of this one: there, shares may be read that were given back since.
        self.force = (beginning == 0).then(Force::default);
        (self.asked, self.began) = (self.permits(), beginning);
    }

    pub(in crate::gateway) fn apply(&mut self, offset: i64, record: Record, now: Instant) {
        self.heard.insert(record.by, now);
        if self.force.is_some() {
            return self.follow(offset, record, now);
        }
        let place = self.unplaced.iter().position(|(at, _)| Some(*at) == record.follows);
        self.unplaced.push((offset, record));
        let Some(place) = place else { return };
        let mut placed = std::mem::take(&mut self.unplaced).into_iter().skip(place);
        if let Some((at, record)) = placed.next() {
            self.take(at, record, now);
        }
        placed.for_each(|(at, record)| self.follow(at, record, now));
    }

    fn follow(&mut self, offset: i64, record: Record, now: Instant) {
        if self.force.as_ref().is_some_and(|force| force.at == record.follows) {
            self.take(offset, record, now);
        }
    }

    fn take(&mut self, offset: i64, Record { by, follows, limit, held }: Record, now: Instant) {
        if by == self.gateway && follows.is_some_and(|follows| follows >= self.began) {
            self.began = 0;
        }
        if self.began == 0 {
            // What was asked for on top of the one before is void from here on.
            self.asked = u32::MAX;
        }
        self.heard.retain(|gateway, _| held.iter().any(|held| held.gateway == *gateway));
        for held in &held {
            self.heard.entry(held.gateway).or_insert(now);
        }
        self.granted = held.iter().find(|held| held.gateway == self.gateway).map_or(0, |held| held.permits);
        self.force = Some(Force { at: Some(offset), limit, held });
    }

    /// How many connections may be open here.
    pub(in crate::gateway) fn permits(&self) -> u32 {
        self.granted.min(self.asked)
    }

    /// Whether more permits are held than may be, after the limit was lowered: then nobody is let in.
    pub(in crate::gateway) fn is_over(&self) -> bool {
        let held: u64 = self.held().map(|held| u64::from(held.permits)).sum();
        self.force.as_ref().is_some_and(|force| held > force.limit.most.into())
    }

    /// What to write now, if anything. From here on [`Self::permits`] is no more than it asks for.
    pub(in crate::gateway) fn next(&mut self, demand: Demand, known: &Known<'_>, now: Instant) -> Option<Record> {
        let force = self.force.as_ref()?;
        let is_new = known.limit.generation > force.limit.generation && known.limit.most != force.limit.most;
        let limit = if is_new { known.limit } else { force.limit };
        let mut held: Vec<_> = force.held.iter().copied().filter(|held| !known.gone.contains(&held.gateway)).collect();
        let is_without = held.len() < force.held.len();
        let others = held.iter().filter(|held| held.gateway != self.gateway);
        let others = others.fold(0, |sum: u32, held| sum.saturating_add(held.permits));
        let mine = held.iter_mut().find(|held| held.gateway == self.gateway);
        let before = mine.as_ref().map(|held| held.permits);
        let wanted = share(demand, before.unwrap_or(0), others, limit.most, known);
        match mine {
            Some(mine) => mine.permits = wanted,
            None => held.push(Held { gateway: self.gateway, node: self.node, permits: wanted }),
        }
        let beats = self.heard.get(&self.gateway).is_none_or(|at| now.duration_since(*at) >= BEAT);
        // What was asked for may never have arrived: then the share in force is asked for again.
        if before == Some(wanted) && self.permits() >= wanted && !is_new && !is_without && !beats {
            return None;
        }
        self.asked = self.asked.min(wanted);
        Some(Record { by: self.gateway, follows: force.at, limit, held })
    }

    /// Other gateways of this node.
    pub(in crate::gateway) fn siblings(&self) -> impl Iterator<Item = Id> + '_ {
        self.held().filter(|held| held.node == self.node && held.gateway != self.gateway).map(|held| held.gateway)
    }

    /// Gateways of other nodes that have been silent for so long that they may be gone.
    pub(in crate::gateway) fn silent(&self, now: Instant) -> impl Iterator<Item = &Held> + '_ {
        let is_silent = move |held: &&Held| {
            held.node != self.node
                && self.heard.get(&held.gateway).is_some_and(|heard| now.duration_since(*heard) >= SILENT)
        };
        self.held().filter(is_silent)
    }

    /// The shares in force.
    fn held(&self) -> impl Iterator<Item = &Held> + '_ {
        self.force.iter().flat_map(|force| &force.held)
    }

    /// Place and shares in force.
    #[cfg(test)]
    pub(in crate::gateway) fn force(&self) -> Option<(Option<i64>, Limit, &[Held])> {
        self.force.as_ref().map(|force| (force.at, force.limit, force.held.as_slice()))
    }
}

/// How many permits a gateway wants that holds `mine`, where others hold `others` of `most`: one for each connection,
/// and spare ones, the fewer the less is left, so that near the limit nobody holds what another waits for.
fn share(demand: Demand, mine: u32, others: u32, most: u32, known: &Known<'_>) -> u32 {
    let Demand { open, waiting } = demand;
    let left = most.saturating_sub(others).saturating_sub(open);
    let waiting = waiting.min(left);
    let needed = open + waiting;
    let spare = if known.accepts { (left - waiting) / known.brokers.saturating_mul(PORTION).max(1) } else { 0 };
    let has = mine.saturating_sub(needed);
    // Within a factor of two nothing is written.
    if mine < needed || has < spare.div_ceil(2) || has > spare * 2 { needed + spare } else { mine }
}
