//! Quotas of topics: bytes a second that may be produced to, and consumed from, one topic at this broker, by all clients together.
//!
//! Kafka has none. As its other quotas these are kept after the fact: records pass, and are charged to their topic's [`Line`],
//! those of Produce once Kafka took them; who moved them is told how long to wait (`throttle_time_ms` of Produce), and its next
//! request that moves records is held until its turn, but not for long. Answers to Fetch are kept small meanwhile. No connection ends.
//!
//! ```text
//! duplex ── walker ──► Debt ──► Line        of the topic, shared by all connections
//!           whose bytes  ▲      even_at     when what passed is made up for
//!                        └ Bill of a Produce request, until it is answered
//! ```
//!
//! Without a quota in force there is no table, and nothing is looked at. Owns the lines, and which id names which topic
//! ([`Names`]); knows no sockets.

mod bill;
mod debt;
mod line;
mod names;

pub(super) use bill::Bill;
pub(super) use debt::Debt;
use line::Line;
use names::{Id, Names};

use super::metrics::{Direction, Metrics};
use arc_swap::ArcSwapOption;
use broker_api::spec::TopicRates;
use prometheus_client::metrics::counter::Counter;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::time::Instant;

/// What was not used of so much time may pass at once.
const BURST: Duration = Duration::from_secs(1);
/// Longest that anybody is told to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Which of a topic's rates counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Motion {
    Produce,
    Consume,
}

/// What is known of a topic that somebody moves records of.
#[derive(Debug, Default)]
enum Topic {
    /// It has no quota.
    #[default]
    Free,
    Held(Arc<Line>),
    /// Nobody knows its name yet.
    Nameless(Id),
}

#[derive(Debug)]
pub(super) struct TopicQuotas {
    /// None while no topic has a quota.
    table: ArcSwapOption<Table>,
    pub(super) names: Names,
    waited: [Counter<f64, AtomicU64>; 2],
}

#[derive(Debug)]
struct Table {
    by_name: HashMap<Box<[u8]>, Lines>,
    /// Whether there is any rate of this motion.
    produce: bool,
    consume: bool,
}

impl Table {
    fn line(&self, motion: Motion, name: &[u8]) -> Option<&Arc<Line>> {
        self.by_name.get(name)?.of(motion)
    }
}

#[derive(Debug)]
struct Lines {
    produce: Option<Arc<Line>>,
    consume: Option<Arc<Line>>,
}

impl Lines {
    fn of(&self, motion: Motion) -> Option<&Arc<Line>> {
        match motion {
            Motion::Produce => self.produce.as_ref(),
            Motion::Consume => self.consume.as_ref(),
        }
    }
}

impl TopicQuotas {
    pub(super) fn new(rates: &BTreeMap<String, TopicRates>, metrics: &Metrics) -> Self {
        let waited = [Direction::In, Direction::Out].map(|direction| metrics.topic_waits(direction));
        let quotas = Self { table: ArcSwapOption::empty(), names: Names::default(), waited };
        quotas.follow(rates);
        quotas
    }

    /// Holds topics to these rates from now on. Whoever waits for one that is gone or another goes on once it looks again.
    pub(super) fn follow(&self, rates: &BTreeMap<String, TopicRates>) {
        let (now, old) = (Instant::now(), self.table.load_full());
        let line = |name: &str, motion, rate: Option<u64>| {
            let known = old.as_ref().and_then(|old| old.line(motion, name.as_bytes()));
            let same = known.filter(|line| Some(line.rate()) == rate);
            same.cloned().or_else(|| rate.map(|rate| Arc::new(Line::new(now, rate))))
        };
        let by_name: HashMap<Box<[u8]>, Lines> = rates
            .iter()
            .map(|(name, TopicRates { produce, consume })| {
                let produce = line(name, Motion::Produce, *produce);
                (name.as_bytes().into(), Lines { produce, consume: line(name, Motion::Consume, *consume) })
            })
            .collect();
        let table = Table {
            produce: by_name.values().any(|lines| lines.produce.is_some()),
            consume: by_name.values().any(|lines| lines.consume.is_some()),
            by_name,
        };
        for (name, lines) in old.iter().flat_map(|old| &old.by_name) {
            for motion in [Motion::Produce, Motion::Consume] {
                let kept = table.line(motion, name);
                if let Some(line) = lines.of(motion).filter(|line| kept.is_none_or(|kept| !Arc::ptr_eq(kept, line))) {
                    line.lift();
                }
            }
        }
        self.table.store((!table.by_name.is_empty()).then(|| Arc::new(table)));
    }

    /// Whether any topic has one.
    pub(super) fn is_any(&self, motion: Motion) -> bool {
        self.table.load().as_ref().is_some_and(|table| match motion {
            Motion::Produce => table.produce,
            Motion::Consume => table.consume,
        })
    }

    fn by_name(&self, motion: Motion, name: &[u8]) -> Topic {
        let table = self.table.load();
        let line = table.as_ref().and_then(|table| table.line(motion, name));
        line.map_or(Topic::Free, |line| Topic::Held(line.clone()))
    }

    fn by_id(&self, motion: Motion, id: Id) -> Topic {
        if !self.is_any(motion) {
            return Topic::Free;
        }
        self.names.with(id, |name| self.by_name(motion, name)).unwrap_or(Topic::Nameless(id))
    }

    fn note_wait(&self, motion: Motion, time: Duration) {
        let [produce, consume] = &self.waited;
        let counter = if motion == Motion::Produce { produce } else { consume };
        counter.inc_by(time.as_secs_f64());
    }
}
