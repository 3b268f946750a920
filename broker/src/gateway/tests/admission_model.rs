//! A model of admission: three gateways with the real [`Ledger`], a log and a Kafka of a few lines, and whatever can go
//! wrong between them, chosen by a seed. Gateways crash and forget, stand still, read the log late; brokers know
//! metadata late; appends are lost, delayed, written twice; Kafka answers late, or not at all.
//!
//! What may be assumed is what docs/adr/0011-admission.md assumes, and the model goes to those bounds.

use super::super::admission::counted::Counted;
use super::super::admission::ledger::{EXPIRY, Ledger, START_WITHIN, Topic, Topics, Verdict};
use super::super::admission::record::{Deleted, End, Id, Intent, Record, Want};
use super::cases;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

const LIMIT: u64 = 20;
const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
/// Of each, what a Streams group makes together with it.
const WITH: [&str; 7] = ["a-with", "b-with", "c-with", "d-with", "e-with", "f-with", "g-with"];
/// A gateway that stands still between its last look at the clock and the write.
const PAUSE: Duration = Duration::from_secs(10);
/// A broker tries to reach a controller for so long.
const FORWARDING: Duration = Duration::from_secs(60);
/// A gateway looks for what was made for a Streams group.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);
/// A broker's metadata is never older.
const LAG: Duration = Duration::from_secs(10);

type State = BTreeMap<&'static str, Topic>;

#[derive(Debug, Clone, Copy)]
enum Kind {
    Create(u32),
    Add(u32),
    Delete,
    /// A heartbeat that has a topic made and what goes with it, both or none; its answer comes before they are made.
    Beat(u32),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    /// The intent is to be written.
    Intending,
    Intended(i64),
    /// To be sent at this time: the clock was looked at before.
    Granted(Instant),
    /// With Kafka, which does it at this time, or never.
    Sent(Option<Instant>),
    Answered(i16),
    /// Until then its gateway looks whether they are there.
    Seeing(Instant),
    Done,
}

#[derive(Debug, Clone)]
struct Operation {
    gateway: usize,
    id: Id,
    topic: &'static str,
    kind: Kind,
    stage: Stage,
    began: Instant,
    intent_at: i64,
    known_id: Option<Id>,
    /// Nobody waits for its answer: its gateway crashed, or its client left.
    orphan: bool,
}

struct Gateway {
    ledger: Ledger,
    read: usize,
    /// Version of Kafka's state that its broker knows.
    view: usize,
}

struct World {
    random: StdRng,
    now: Instant,
    log: Vec<Record>,
    /// On their way to the log.
    appends: Vec<Record>,
    history: Vec<(Instant, State)>,
    ids: u128,
    gateways: Vec<Gateway>,
    operations: Vec<Operation>,
    granted: u64,
    refused: u64,
    /// Brokers lose their controllers all the time, and ask the next one for what was done already.
    asks_again: bool,
}

fn with(topic: &str) -> &'static str {
    NAMES.iter().position(|name| *name == topic).map_or("-", |place| WITH[place])
}

fn sum(state: &State) -> u64 {
    state.values().map(|topic| u64::from(topic.partitions)).sum()
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let gateway = || Gateway { ledger: Ledger::default(), read: 0, view: 0 };
        Self {
            random: StdRng::seed_from_u64(seed),
            now,
            log: Vec::new(),
            appends: Vec::new(),
            history: vec![(now, State::new())],
            ids: 0,
            gateways: (0..3).map(|_| gateway()).collect(),
            operations: Vec::new(),
            granted: 0,
            refused: 0,
            asks_again: seed.is_multiple_of(2),
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_ratio(percent, 100)
    }

    fn fresh_id(&mut self) -> Id {
        self.ids += 1;
        Id(self.ids)
    }

    fn kafka(&self) -> &State {
        &self.history.last().unwrap().1
    }

    fn topics(&self, view: usize) -> Topics {
        Topics(self.history[view].1.iter().map(|(name, topic)| ((*name).to_owned(), *topic)).collect())
    }

    fn begin(&mut self, gateway: usize, topic: &'static str, kind: Kind) -> usize {
        let id = self.fresh_id();
        let operation = Operation {
            gateway,
            id,
            topic,
            kind,
            stage: Stage::Intending,
            began: self.now,
            intent_at: 0,
            known_id: None,
            orphan: false,
        };
        self.operations.push(operation);
        self.operations.len() - 1
    }

    fn wants(operation: &Operation) -> Vec<Want> {
        match operation.kind {
            Kind::Create(partitions) | Kind::Add(partitions) => {
                vec![Want { topic: operation.topic.to_owned(), partitions }]
            }
            Kind::Beat(partitions) => {
                let both = [operation.topic, with(operation.topic)];
                both.map(|topic| Want { topic: topic.to_owned(), partitions }).into()
            }
            Kind::Delete => Vec::new(),
        }
    }

    /// Writes to the log, soon, late, twice or never. Gives the offset if the writer hears of it.
    fn append(&mut self, record: Record, faults: bool) -> Option<i64> {
        if faults && self.chance(10) {
            // Late, and nobody hears.
            self.appends.push(record);
            return None;
        }
        if faults && self.chance(5) {
            return None;
        }
        self.log.push(record.clone());
        if faults && self.chance(10) {
            self.appends.push(record);
        }
        (!faults || !self.chance(5)).then(|| i64::try_from(self.log.len()).unwrap() - 1)
    }

    fn late_append(&mut self) {
        if !self.appends.is_empty() {
            let which = self.random.random_range(0..self.appends.len());
            let record = self.appends.swap_remove(which);
            self.log.push(record);
        }
    }

    fn read(&mut self, gateway: usize, most: usize) {
        let Gateway { ledger, read, .. } = &mut self.gateways[gateway];
        for record in self.log.iter().skip(*read).take(most) {
            ledger.apply(i64::try_from(*read).unwrap(), record.clone(), self.now);
            *read += 1;
        }
    }

    fn look(&mut self, gateway: usize, newest: bool) {
        let last = self.history.len() - 1;
        let view = self.gateways[gateway].view;
        // What was replaced longer ago than the lag is known to be old.
        let least = (view..last).find(|v| self.now - self.history[v + 1].0 < LAG).unwrap_or(last);
        self.gateways[gateway].view = if newest { last } else { self.random.random_range(least..=last) };
    }

    fn end(&mut self, number: usize, end: End) {
        let operation = &mut self.operations[number];
        operation.stage = Stage::Done;
        let orphan = operation.orphan;
        if !orphan {
            // Repeated until it is written; a crash in between is another event.
            let late = self.chance(20);
            if late {
                self.appends.push(Record::End(end));
            } else {
                self.log.push(Record::End(end));
            }
        }
    }

    fn not_made(operation: &Operation) -> End {
        let not_made = Self::wants(operation).into_iter().map(|want| want.topic).collect();
        End { id: operation.id, made: Vec::new(), not_made, deleted: Vec::new() }
    }

    fn step(&mut self, number: usize, faults: bool) {
        let operation = self.operations[number].clone();
        let gateway = operation.gateway;
        if operation.orphan && !matches!(operation.stage, Stage::Sent(_) | Stage::Granted(_)) {
            self.operations[number].stage = Stage::Done;
            return;
        }
        match operation.stage {
            Stage::Intending | Stage::Intended(_) if self.now >= operation.began + START_WITHIN => {
                self.end(number, Self::not_made(&operation));
            }
            Stage::Intending => {
                let intent = Intent { id: operation.id, node: gateway as i32, topics: Self::wants(&operation) };
                if let Some(offset) = self.append(Record::Intent(intent), faults) {
                    self.operations[number].stage = Stage::Intended(offset);
                    self.operations[number].intent_at = offset;
                }
            }
            Stage::Intended(offset) => {
                self.read(gateway, if faults { 3 } else { usize::MAX });
                if self.gateways[gateway].read as i64 > offset {
                    self.decide(number);
                }
            }
            // The coordinator has nothing made.
            Stage::Granted(at) if self.now >= at && matches!(operation.kind, Kind::Beat(_)) && self.chance(20) => {
                self.operations[number].stage = Stage::Answered(16);
            }
            Stage::Granted(at) if self.now >= at => {
                let lost = faults && self.chance(5);
                let longest = if faults && self.chance(20) { FORWARDING.as_millis() as u64 } else { 300 };
                let delay = Duration::from_millis(self.random.random_range(0..longest));
                self.operations[number].stage = Stage::Sent((!lost).then_some(self.now + delay));
            }
            Stage::Sent(None) => self.operations[number].stage = Stage::Done,
            Stage::Sent(Some(at)) if self.now >= at => {
                if let Kind::Beat(partitions) = operation.kind {
                    for topic in [operation.topic, with(operation.topic)] {
                        self.carry_out(topic, Kind::Create(partitions));
                    }
                    self.operations[number].stage = Stage::Seeing(self.now + SHOWN_WITHIN);
                    return;
                }
                let mut error = self.carry_out(operation.topic, operation.kind);
                if faults && self.asks_again {
                    error = self.carry_out(operation.topic, operation.kind);
                }
                // Answers get lost, and some say nothing.
                let silent = operation.orphan || (faults && self.chance(10));
                self.operations[number].stage = if silent { Stage::Done } else { Stage::Answered(error) };
            }
            Stage::Seeing(until) => {
                self.look(gateway, false);
                let topics = self.topics(self.gateways[gateway].view);
                let shown = |topic: &String| self.gateways[gateway].ledger.partitions(&topics, topic).is_some();
                let made: Vec<_> = Self::wants(&operation).into_iter().map(|want| want.topic).filter(shown).collect();
                if made.len() == 2 {
                    self.end(number, End { id: operation.id, made, not_made: Vec::new(), deleted: Vec::new() });
                } else if self.now >= until {
                    self.operations[number].stage = Stage::Done;
                }
            }
            Stage::Answered(error) => {
                if let Kind::Beat(_) = operation.kind {
                    self.end(number, Self::not_made(&operation));
                    return;
                }
                let mut end = End { id: operation.id, made: Vec::new(), not_made: Vec::new(), deleted: Vec::new() };
                let topic = operation.topic.to_owned();
                match (operation.kind, Counted::Partitions.is_made(error)) {
                    (Kind::Delete, _) if error == 0 => {
                        end.deleted.push(Deleted { topic, topic_id: operation.known_id, since: operation.intent_at })
                    }
                    (Kind::Delete, _) | (_, None) => {}
                    (_, Some(true)) => end.made.push(topic),
                    (_, Some(false)) => end.not_made.push(topic),
                }
                self.end(number, end);
            }
            Stage::Granted(_) | Stage::Sent(Some(_)) | Stage::Done => {}
        }
    }

    fn decide(&mut self, number: usize) {
        let operation = self.operations[number].clone();
        let gateway = operation.gateway;
        self.look(gateway, false);
        let view = self.gateways[gateway].view;
        let topics = self.topics(view);
        if let Kind::Delete = operation.kind {
            self.operations[number].known_id = topics.0.get(operation.topic).map(|topic| topic.id);
            self.operations[number].stage = Stage::Granted(self.now);
            return;
        }
        let ledger = &mut self.gateways[gateway].ledger;
        ledger.forget(&topics, self.now);
        let verdict = match operation.kind {
            Kind::Beat(_) => ledger.decide_whole(operation.id, 2, LIMIT, &topics),
            _ => ledger.decide(operation.id, 1, LIMIT, &topics)[0],
        };
        match verdict {
            Verdict::Granted => {
                self.granted += 1;
                let pause = if self.random.random_ratio(1, 20) { PAUSE.as_millis() as u64 } else { 5 };
                let pause = Duration::from_millis(self.random.random_range(0..pause));
                self.operations[number].stage = Stage::Granted(self.now + pause);
            }
            Verdict::Refused { .. } => {
                self.refused += 1;
                let wanted: u32 = Self::wants(&operation).iter().map(|want| want.partitions).sum();
                let most = self.most_since(view);
                assert!(most + u64::from(wanted) > LIMIT, "refused {operation:?} where {most} were the most in use");
                self.end(number, Self::not_made(&operation));
            }
            Verdict::Undecided => {}
            Verdict::Held => unreachable!("of groups"),
            Verdict::Ended => self.operations[number].stage = Stage::Done,
        }
    }

    /// The most that can have been in use in the eyes of somebody who sees each topic as it was at any time since.
    fn most_since(&self, view: usize) -> u64 {
        let mut most = BTreeMap::new();
        for (_, state) in &self.history[view..] {
            for (name, topic) in state {
                let known = most.entry(*name).or_insert(0);
                *known = topic.partitions.max(*known);
            }
        }
        most.into_values().map(u64::from).sum()
    }

    fn carry_out(&mut self, topic: &'static str, kind: Kind) -> i16 {
        let mut state = self.kafka().clone();
        let error = match (kind, state.get(topic).copied()) {
            (Kind::Create(partitions), None) => {
                state.insert(topic, Topic { id: self.fresh_id(), partitions });
                0
            }
            (Kind::Create(_), Some(_)) => 36,
            (Kind::Add(partitions), Some(known)) if partitions > known.partitions => {
                state.insert(topic, Topic { partitions, ..known });
                0
            }
            (Kind::Add(_), Some(_)) => 37,
            (Kind::Delete, Some(_)) => {
                state.remove(topic);
                0
            }
            (Kind::Add(_) | Kind::Delete, None) => 3,
            (Kind::Beat(_), _) => unreachable!("each of its topics is created"),
        };
        if error == 0 {
            let total = sum(&state);
            assert!(total <= LIMIT, "{total} partitions");
            self.history.push((self.now, state));
        }
        error
    }

    /// Looks for what a node lost. Its broker answers once it has done all that it was asked before.
    fn look_for_lost(&mut self, gateway: usize) {
        let busy =
            |operation: &Operation| operation.gateway == gateway && matches!(operation.stage, Stage::Sent(Some(_)));
        if self.operations.iter().any(busy) {
            return;
        }
        for (id, want) in self.gateways[gateway].ledger.lost(gateway as i32, self.now) {
            let is_made =
                self.kafka().get(want.topic.as_str()).is_some_and(|topic| topic.partitions >= want.partitions);
            let (made, not_made) = if is_made { (vec![want.topic], vec![]) } else { (vec![], vec![want.topic]) };
            self.append(Record::End(End { id, made, not_made, deleted: Vec::new() }), true);
        }
    }

    fn crash(&mut self, gateway: usize) {
        self.gateways[gateway] = Gateway { ledger: Ledger::default(), read: 0, view: self.gateways[gateway].view };
        for operation in self.operations.iter_mut().filter(|operation| operation.gateway == gateway) {
            operation.orphan = true;
            if let Stage::Granted(_) = operation.stage {
                operation.stage = Stage::Done;
            }
        }
    }

    fn trouble(&mut self) {
        match self.random.random_range(0..100) {
            0..=29 => {
                let gateway = self.random.random_range(0..3);
                let mut topic = NAMES[self.random.random_range(0..NAMES.len())];
                let kind = match self.random.random_range(0..12) {
                    0..=4 => Kind::Create(self.random.random_range(1..=6)),
                    5..=6 => Kind::Add(self.random.random_range(1..=8)),
                    7..=8 => Kind::Beat(self.random.random_range(1..=4)),
                    _ => Kind::Delete,
                };
                if matches!(kind, Kind::Delete) && self.chance(30) {
                    topic = with(topic);
                }
                self.begin(gateway, topic, kind);
            }
            30..=44 => {
                let longest = if self.chance(3) { 40_000 } else { 400 };
                let passed = self.random.random_range(0..longest);
                self.advance(Duration::from_millis(passed));
            }
            45..=49 => self.late_append(),
            50..=59 => {
                let gateway = self.random.random_range(0..3);
                self.read(gateway, 5);
            }
            61 => {
                let gateway = self.random.random_range(0..3);
                self.look_for_lost(gateway);
            }
            60 if self.chance(30) => {
                let gateway = self.random.random_range(0..3);
                self.crash(gateway);
            }
            _ if self.operations.is_empty() => {}
            _ => {
                let number = self.random.random_range(0..self.operations.len());
                self.step(number, true);
            }
        }
        self.operations.retain(|operation| operation.stage != Stage::Done);
    }

    /// Time passes in small parts, in which nothing that is due stays undone: only what is late is late.
    fn advance(&mut self, passed: Duration) {
        let until = self.now + passed;
        while self.now < until {
            self.now = until.min(self.now + Duration::from_millis(250));
            for number in 0..self.operations.len() {
                let due = match self.operations[number].stage {
                    Stage::Granted(at) | Stage::Sent(Some(at)) => self.now >= at,
                    _ => false,
                };
                if due {
                    self.step(number, true);
                }
            }
        }
    }

    /// Everything ends, and after the longest time that anything is held back, exactly the room that is left is given away.
    fn settle_and_fill(&mut self) {
        while !self.appends.is_empty() {
            self.late_append();
        }
        while !self.operations.is_empty() {
            self.advance(Duration::from_millis(250));
            (0..self.operations.len()).for_each(|number| self.step(number, false));
            self.operations.retain(|operation| operation.stage != Stage::Done);
        }
        (0..3).for_each(|gateway| self.read(gateway, usize::MAX));
        self.now += EXPIRY;
        (0..3).for_each(|gateway| self.look(gateway, true));
        let free = LIMIT - sum(self.kafka());
        let mut made = 0;
        for number in 0..LIMIT + 1 {
            let name: &'static str = Box::leak(format!("filler-{number}").into_boxed_str());
            let operation = self.begin(number as usize % 3, name, Kind::Create(1));
            while self.operations[operation].stage != Stage::Done {
                self.now += Duration::from_millis(10);
                self.step(operation, false);
            }
            made += u64::from(self.kafka().contains_key(name));
        }
        assert_eq!(made, free, "of what was free");
        assert_eq!(sum(self.kafka()), LIMIT);
    }
}

#[test]
fn the_limit_is_never_passed_and_all_of_it_can_be_used_whatever_goes_wrong() {
    let (mut granted, mut refused) = (0, 0);
    let first = rand::random::<u32>().into();
    for seed in first..first + cases(60) as u64 {
        let _seed = Seed(seed);
        let mut world = World::new(seed);
        for _ in 0..1500 {
            world.trouble();
        }
        world.settle_and_fill();
        granted += world.granted;
        refused += world.refused;
    }
    assert!(granted > 500 && refused > 100, "{granted} granted, {refused} refused: the model does too little");
}

/// Says which seed it was when a test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}", self.0);
        }
    }
}
