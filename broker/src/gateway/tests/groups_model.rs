//! A model of the limit of groups: three gateways with the real [`Ledger`] and [`Seen`], each beside the broker that
//! coordinates some groups, a log and a Kafka of a few lines, and whatever can go wrong between them, chosen by a seed.
//! Groups expire, are deleted and come back; coordinators move; gateways crash and forget, stand still, read the log late;
//! appends are lost, delayed, written twice; Kafka answers late, or not at all.
//!
//! What may be assumed is what docs/adr/0016-groups.md assumes, and the model goes to those bounds.

use super::super::admission::counted::Counted;
use super::super::admission::ledger::{EXPIRY, Ledger, START_WITHIN, Topic, Topics, Verdict};
use super::super::admission::record::{Deleted, End, Id, Intent, Record, Want};
use super::super::admission::seen::{Pass, Seen};
use super::cases;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

const LIMIT: u64 = 6;
const NAMES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
/// What a deletion waits for, and no request overtakes another by.
const PASSING: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Stage {
    Intending,
    Intended(i64),
    /// A deletion that waits for what passes.
    Barred(Instant),
    /// With the broker, which does it at this time, or never.
    Sent(Option<Instant>),
    Answered(bool),
    Done,
}

#[derive(Debug)]
struct Operation {
    gateway: usize,
    id: Id,
    group: &'static str,
    deletes: bool,
    stage: Stage,
    began: Instant,
    at: i64,
    pass: Option<Pass>,
    orphan: bool,
}

struct Gateway {
    ledger: Ledger,
    seen: Seen,
    read: usize,
}

struct World {
    random: StdRng,
    now: Instant,
    log: Vec<Record>,
    late: Vec<Record>,
    groups: BTreeSet<&'static str>,
    /// Which broker coordinates each group.
    coordinators: [usize; NAMES.len()],
    gateways: Vec<Gateway>,
    operations: Vec<Operation>,
    ids: u128,
    passed: u64,
    granted: u64,
    refused: u64,
}

fn gateway() -> Gateway {
    Gateway { ledger: Ledger::of(Counted::Groups), seen: Seen::default(), read: 0 }
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            now: Instant::now(),
            log: Vec::new(),
            late: Vec::new(),
            groups: BTreeSet::new(),
            coordinators: std::array::from_fn(|n| n % 3),
            gateways: (0..3).map(|_| gateway()).collect(),
            operations: Vec::new(),
            ids: 0,
            passed: 0,
            granted: 0,
            refused: 0,
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_ratio(percent, 100)
    }

    fn coordinator(&self, group: &str) -> usize {
        self.coordinators[NAMES.iter().position(|name| *name == group).unwrap()]
    }

    /// All coordinators' groups: never late.
    fn topics(&self) -> Topics {
        Topics(self.groups.iter().map(|name| ((*name).to_owned(), Topic { id: Id(0), partitions: 1 })).collect())
    }

    fn begin(&mut self, gateway: usize, group: &'static str, deletes: bool) -> usize {
        self.ids += 1;
        let pass = if deletes { None } else { self.gateways[gateway].seen.pass(group, self.now) };
        let delay = Duration::from_millis(self.random.random_range(0..900));
        let stage = if pass.is_some() { Stage::Sent(Some(self.now + delay)) } else { Stage::Intending };
        self.passed += u64::from(pass.is_some());
        let id = Id(self.ids);
        let began = self.now;
        self.operations.push(Operation { gateway, id, group, deletes, stage, began, at: 0, pass, orphan: false });
        self.operations.len() - 1
    }

    fn append(&mut self, record: Record, faults: bool) -> Option<i64> {
        if faults && self.chance(10) {
            self.late.push(record);
            return None;
        }
        if faults && self.chance(5) {
            return None;
        }
        self.log.push(record.clone());
        if faults && self.chance(10) {
            self.late.push(record);
        }
        (!faults || !self.chance(5)).then(|| i64::try_from(self.log.len()).unwrap() - 1)
    }

    fn read(&mut self, gateway: usize, most: usize) {
        let Gateway { ledger, seen, read } = &mut self.gateways[gateway];
        for record in self.log.iter().skip(*read).take(most) {
            if let Record::End(end) = record {
                end.deleted.iter().for_each(|deleted| drop(seen.bar(&deleted.topic, self.now)));
            }
            ledger.apply(i64::try_from(*read).unwrap(), record.clone(), self.now);
            *read += 1;
        }
        if *read == self.log.len() {
            seen.heard(self.now);
        }
    }

    fn end(&mut self, number: usize, made: bool, deleted: bool) {
        let Operation { gateway, id, group, at, orphan, .. } = self.operations[number];
        self.operations[number].stage = Stage::Done;
        if orphan {
            return;
        }
        let topic = group.to_owned();
        let mut end = End { id, made: Vec::new(), not_made: Vec::new(), deleted: Vec::new() };
        match (made, deleted) {
            (_, true) => end.deleted.push(Deleted { topic, topic_id: None, since: at }),
            (true, _) => end.made.push(topic),
            _ => end.not_made.push(topic),
        }
        if self.append(Record::End(end.clone()), true).is_some() {
            if made {
                self.gateways[gateway].seen.made(group, self.now, self.now);
            }
        } else {
            // Repeated until it is written.
            self.late.push(Record::End(end));
        }
    }

    fn step(&mut self, number: usize, faults: bool) {
        let Operation { gateway, id, group, deletes, began, orphan, .. } = self.operations[number];
        let finished = |world: &mut Self| world.operations[number].stage = Stage::Done;
        match self.operations[number].stage {
            Stage::Intending | Stage::Intended(_) | Stage::Barred(_) | Stage::Answered(_) if orphan => finished(self),
            Stage::Intending | Stage::Intended(_) if self.now >= began + START_WITHIN => {
                if deletes {
                    finished(self)
                } else {
                    self.end(number, false, false)
                }
            }
            Stage::Intending => {
                let topics = if deletes { Vec::new() } else { vec![Want { topic: group.to_owned(), partitions: 1 }] };
                let intent = Record::Intent(Intent { id, node: gateway as i32, topics });
                if let Some(offset) = self.append(intent, faults) {
                    self.operations[number].stage = Stage::Intended(offset);
                    self.operations[number].at = offset;
                }
            }
            Stage::Intended(offset) => {
                self.read(gateway, if faults { 3 } else { usize::MAX });
                if (self.gateways[gateway].read as i64) <= offset {
                    return;
                }
                if deletes {
                    self.gateways[gateway].seen.bar(group, self.now);
                    self.operations[number].stage = Stage::Barred(self.now);
                } else {
                    self.decide(number, faults);
                }
            }
            Stage::Barred(since) => {
                let passing =
                    |other: &Operation| other.pass.is_some() && other.gateway == gateway && other.group == group;
                if self.now >= since + PASSING || !self.operations.iter().any(passing) {
                    self.send(number, faults);
                }
            }
            Stage::Sent(None) => finished(self),
            Stage::Sent(Some(at)) if self.now >= at => {
                // Whoever does not coordinate the group does nothing.
                let done = self.coordinator(group) == gateway && self.carry_out(group, deletes);
                let passed = self.operations[number].pass.take().is_some();
                let silent = passed || orphan || (faults && self.chance(10));
                self.operations[number].stage = if silent { Stage::Done } else { Stage::Answered(done) };
            }
            Stage::Answered(done) if deletes => {
                if done {
                    self.end(number, false, true)
                } else {
                    finished(self)
                }
            }
            Stage::Answered(done) => self.end(number, done, false),
            Stage::Sent(Some(_)) | Stage::Done => {}
        }
    }

    fn send(&mut self, number: usize, faults: bool) {
        let lost = faults && self.chance(5);
        let delay = Duration::from_millis(self.random.random_range(0..900));
        self.operations[number].stage = Stage::Sent((!lost).then_some(self.now + delay));
    }

    fn carry_out(&mut self, group: &'static str, deletes: bool) -> bool {
        if deletes {
            return self.groups.remove(group);
        }
        self.groups.insert(group);
        assert!(self.groups.len() as u64 <= LIMIT, "{:?}", self.groups);
        true
    }

    fn decide(&mut self, number: usize, faults: bool) {
        let Operation { gateway, id, group, .. } = self.operations[number];
        let topics = self.topics();
        let ledger = &mut self.gateways[gateway].ledger;
        ledger.forget(&topics, self.now);
        match ledger.decide(id, 1, LIMIT, &topics)[0] {
            Verdict::Granted => {
                self.granted += 1;
                self.send(number, faults);
            }
            Verdict::Refused { .. } => {
                self.refused += 1;
                assert!(self.groups.len() as u64 >= LIMIT && !self.groups.contains(group), "refused for nothing");
                self.end(number, false, false);
            }
            Verdict::Undecided => {}
            Verdict::Held => self.end(number, false, false),
            Verdict::Ended => self.operations[number].stage = Stage::Done,
        }
    }

    /// Looks for what a node lost: two prompt answers of its broker show that nothing waits in it.
    fn look_for_lost(&mut self, gateway: usize) {
        let busy =
            |operation: &Operation| operation.gateway == gateway && matches!(operation.stage, Stage::Sent(Some(_)));
        if self.operations.iter().any(busy) {
            return;
        }
        for (id, want) in self.gateways[gateway].ledger.lost(gateway as i32, self.now) {
            let is_made = self.groups.contains(want.topic.as_str());
            let (made, not_made) = if is_made { (vec![want.topic], vec![]) } else { (vec![], vec![want.topic]) };
            self.append(Record::End(End { id, made, not_made, deleted: Vec::new() }), true);
        }
    }

    fn trouble(&mut self) {
        let gateway = self.random.random_range(0..3);
        match self.random.random_range(0..100) {
            0..=29 => {
                let group = NAMES[self.random.random_range(0..NAMES.len())];
                let deletes = self.chance(25);
                // Clients go to the coordinator, but for those that are late to hear of it.
                let to = if self.chance(90) { self.coordinator(group) } else { gateway };
                self.begin(to, group, deletes);
            }
            30..=44 => {
                let longest = if self.chance(3) { 40_000 } else { 400 };
                let passed = self.random.random_range(0..longest);
                self.advance(Duration::from_millis(passed));
            }
            45..=49 if !self.late.is_empty() => {
                let which = self.random.random_range(0..self.late.len());
                let record = self.late.swap_remove(which);
                self.log.push(record);
            }
            50..=59 => self.read(gateway, 5),
            60 if self.chance(30) => {
                self.gateways[gateway] = self::gateway();
                for operation in self.operations.iter_mut().filter(|operation| operation.gateway == gateway) {
                    operation.orphan = true;
                    // It is done, or never will be, before there is another gateway.
                    if operation.pass.take().is_some() {
                        operation.stage = Stage::Done;
                    }
                }
            }
            61 => self.look_for_lost(gateway),
            // Kafka drops what is empty and old.
            62..=63 => {
                let group = NAMES[self.random.random_range(0..NAMES.len())];
                self.groups.remove(group);
            }
            // That takes longer than to read the log.
            64 if self.chance(20) => {
                (0..3).for_each(|gateway| self.read(gateway, usize::MAX));
                self.coordinators[self.random.random_range(0..NAMES.len())] = gateway;
            }
            _ if self.operations.is_empty() => {}
            _ => {
                let number = self.random.random_range(0..self.operations.len());
                self.step(number, true);
            }
        }
        self.operations.retain(|operation| !matches!(operation.stage, Stage::Done));
    }

    fn advance(&mut self, passed: Duration) {
        let until = self.now + passed;
        while self.now < until {
            self.now = until.min(self.now + Duration::from_millis(50));
            for number in 0..self.operations.len() {
                if matches!(self.operations[number].stage, Stage::Sent(Some(at)) if self.now >= at) {
                    self.step(number, true);
                }
            }
        }
    }

    /// Everything ends, and after the longest time that anything is held back, exactly the room that is left is given away.
    fn settle_and_fill(&mut self) {
        while !self.operations.is_empty() || !self.late.is_empty() {
            self.log.append(&mut self.late);
            self.advance(Duration::from_millis(250));
            (0..self.operations.len()).for_each(|number| self.step(number, false));
            self.operations.retain(|operation| !matches!(operation.stage, Stage::Done));
        }
        (0..3).for_each(|gateway| self.read(gateway, usize::MAX));
        self.now += EXPIRY;
        for group in NAMES {
            let operation = self.begin(self.coordinator(group), group, false);
            while !matches!(self.operations[operation].stage, Stage::Done) {
                self.now += Duration::from_millis(10);
                self.step(operation, false);
            }
        }
        assert_eq!(self.groups.len() as u64, LIMIT, "of what may be");
    }
}

#[test]
fn never_more_groups_than_may_be_and_all_of_these_whatever_goes_wrong() {
    let (mut passed, mut granted, mut refused) = (0, 0, 0);
    let first = rand::random::<u32>().into();
    for seed in first..first + cases(60) as u64 {
        let _seed = Seed(seed);
        let mut world = World::new(seed);
        for _ in 0..1500 {
            world.trouble();
        }
        world.settle_and_fill();
        passed += world.passed;
        granted += world.granted;
        refused += world.refused;
    }
    let did = format!("{passed} passed, {granted} granted, {refused} refused");
    assert!(passed > 100 && granted > 500 && refused > 100, "{did}: the model does too little");
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
