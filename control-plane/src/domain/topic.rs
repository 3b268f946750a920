//! Topics: what a tenant may ask for (product.md §6). What Kafka itself would refuse, Kafka says.

use crate::domain::plan;
use broker_api::{acl::is_tenant_topic, topics::NewTopic};
use control_plane_api::{
    instance::Check,
    problem::FieldError,
    topic::{CreateTopic, TopicSummary},
};
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fmt::Write};

/// Longest name (org.apache.kafka.common.internals.Topic).
const LONGEST_NAME: usize = 249;
/// What a topic gets when it is not said.
const DEFAULT_PARTITIONS: u32 = 3;
/// At creation, and by additions.
const MAX_NEW_PARTITIONS: u32 = 20;
const MAX_PARTITIONS: u32 = 100;
const MAX_REPLICAS: u16 = 3;

const MIN_IN_SYNC: &str = "min.insync.replicas";

/// Settings of topics that tenants choose.
pub const SETTINGS: [&str; 18] = [
    "cleanup.policy",
    "compression.type",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "index.interval.bytes",
    "max.message.bytes",
    "min.cleanable.dirty.ratio",
    MIN_IN_SYNC,
    "preallocate",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];

/// A topic's name, where it is not given: for the same seed the same one.
pub fn made_name(seed: &[u8]) -> String {
    let mut name = "topic-".to_owned();
    for byte in seed.iter().take(6) {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The topic that is asked for, on an instance of so many brokers; or all faults.
pub fn wanted(request: &CreateTopic, name: &str, brokers: u32) -> Result<NewTopic, Vec<FieldError>> {
    let mut faults = Vec::new();
    let shaped = (1..=LONGEST_NAME).contains(&name.len())
        && !name.starts_with('_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !shaped {
        let detail = format!("a name is 1 to {LONGEST_NAME} letters, digits, '-' and '_', not beginning with '_'");
        faults.push(FieldError::new("/name", "topic-name", detail));
    } else if !is_tenant_topic(name) {
        let detail = "names that begin with 'sluice-canary-' belong to the platform; choose another";
        faults.push(FieldError::new("/name", "topic-reserved", detail));
    }
    let partitions = request.partitions.unwrap_or(DEFAULT_PARTITIONS);
    if !(1..=MAX_NEW_PARTITIONS).contains(&partitions) {
        let detail = format!("1 to {MAX_NEW_PARTITIONS} partitions at creation; more can be added later");
        faults.push(out_of_range("/partitions", detail, 1, MAX_NEW_PARTITIONS));
    }
    let most = MAX_REPLICAS.min(u16::try_from(brokers).unwrap_or(MAX_REPLICAS)).max(1);
    let replicas = request.replicas.unwrap_or(most);
    if !(1..=most).contains(&replicas) {
        let detail = format!("1 to {most} replicas, each on a broker of its own");
        faults.push(out_of_range("/replicas", detail, 1, most.into()));
    }
    for name in request.config.keys().filter(|name| !SETTINGS.contains(&name.as_str())) {
        let detail = format!("no setting that a topic is made with; accepted: {}", SETTINGS.join(", "));
        let place = format!("/config/{}", name.replace('~', "~0").replace('/', "~1"));
        faults.push(FieldError::new(place, "topic-setting", detail).with("accepted", SETTINGS.to_vec()));
    }
    let in_sync = request.config.get(MIN_IN_SYNC).and_then(|value| value.parse::<u16>().ok());
    if let Some(in_sync) = in_sync.filter(|in_sync| *in_sync > replicas) {
        let detail = format!("{in_sync} replicas in sync are never reached with {replicas}: nobody could write");
        let fault = FieldError::new(format!("/config/{MIN_IN_SYNC}"), "topic-in-sync", detail);
        faults.push(fault.with("replicas", replicas));
    }
    if faults.is_empty() { Ok(NewTopic { partitions, replicas, config: request.config.clone() }) } else { Err(faults) }
}

/// Why a topic of `present` partitions can't have `wanted`.
pub fn growth_fault(present: u32, wanted: u32) -> Option<FieldError> {
    if wanted < present {
        let detail =
            format!("the topic has {present} partitions, and Kafka takes none away; ask for more, or make a new topic");
        return Some(FieldError::new("/partitions", "topic-shrinks", detail).with("present", present));
    }
    // One that has more by Kafka's own tools is left as it is.
    (wanted > present && wanted > MAX_PARTITIONS).then(|| {
        out_of_range("/partitions", format!("a topic has {MAX_PARTITIONS} partitions at most"), present, MAX_PARTITIONS)
    })
}

fn out_of_range(pointer: &str, detail: String, min: u32, max: u32) -> FieldError {
    FieldError::new(pointer, "out-of-range", detail).with("min", min).with("max", max)
}

/// What whoever makes this topic should know.
pub fn creation_checks(topic: &NewTopic) -> Vec<Check> {
    let mut checks = vec![plan::ok("room", "the instance has room for these partitions now")];
    if topic.replicas == 1 {
        let detail = "with one replica a partition is away while its broker is, and lost with its disk";
        checks.push(plan::warning("one-replica", detail));
    }
    if topic.config.get("unclean.leader.election.enable").is_some_and(|value| value == "true") {
        let detail = "a replica that missed records may become the leader: they are lost then";
        checks.push(plan::warning("unclean-election", detail));
    }
    checks
}

/// What whoever adds partitions should know.
pub fn growth_checks() -> Vec<Check> {
    let detail = "records with a key go to other partitions than before, so that their order is kept only from here on";
    vec![plan::ok("room", "the instance has room for these partitions now"), plan::warning("keys-move", detail)]
}

/// What whoever deletes a topic should know.
pub fn deletion_checks(makes_topics_by_use: bool) -> Vec<Check> {
    let mut checks = vec![plan::warning("data-lost", "all records of the topic are gone for good")];
    if makes_topics_by_use {
        let detail = "topics are made by being used: a client that goes on using this one makes it again, empty";
        checks.push(plan::warning("comes-back", detail));
    }
    checks
}

/// Order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sort {
    #[default]
    #[serde(rename = "name")]
    Name,
    #[serde(rename = "-name")]
    NameDown,
    #[serde(rename = "partitions")]
    Partitions,
    #[serde(rename = "-partitions")]
    PartitionsDown,
}

impl Sort {
    pub const ALL: [Self; 4] = [Self::Name, Self::NameDown, Self::Partitions, Self::PartitionsDown];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::NameDown => "-name",
            Self::Partitions => "partitions",
            Self::PartitionsDown => "-partitions",
        }
    }
}

/// Where a topic stands in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub sort: Sort,
    partitions: u32,
    name: String,
}

impl Place {
    pub fn of(topic: &TopicSummary, sort: Sort) -> Self {
        Self { sort, partitions: topic.partition_count, name: topic.name.clone() }
    }

    /// Against one of the same order.
    pub fn order(&self, other: &Self) -> Ordering {
        let by_name = self.name.cmp(&other.name);
        match self.sort {
            Sort::Name => by_name,
            Sort::NameDown => by_name.reverse(),
            Sort::Partitions => self.partitions.cmp(&other.partitions).then(by_name),
            Sort::PartitionsDown => other.partitions.cmp(&self.partitions).then(by_name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(request: &CreateTopic, name: &str) -> Vec<(String, String)> {
        let faults = wanted(request, name, 3).expect_err("faults");
        faults.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
    }

    #[test]
    fn what_is_not_said_is_three_partitions_with_as_many_replicas_as_there_are_brokers() {
        let topic = wanted(&CreateTopic::default(), "orders", 3).unwrap();
        assert_eq!((topic.partitions, topic.replicas, topic.config.len()), (3, 3, 0));
        assert_eq!(wanted(&CreateTopic::default(), "orders", 1).unwrap().replicas, 1);
        assert_eq!(wanted(&CreateTopic::default(), "orders", 8).unwrap().replicas, 3);
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let config = [("segment.bytes/x", "1"), (MIN_IN_SYNC, "2")].map(|(name, value)| (name.into(), value.into()));
        let request =
            CreateTopic { name: None, partitions: Some(21), replicas: Some(4), config: config.clone().into() };
        let told = faults(&request, "_a.b");
        let expected = [
            ("/name", "topic-name"),
            ("/partitions", "out-of-range"),
            ("/replicas", "out-of-range"),
            ("/config/segment.bytes~1x", "topic-setting"),
        ];
        assert_eq!(told, expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())));
        let one = CreateTopic { replicas: Some(1), config: config.into_iter().skip(1).collect(), ..Default::default() };
        assert_eq!(faults(&one, "a"), [(format!("/config/{MIN_IN_SYNC}"), "topic-in-sync".to_owned())]);
        for name in ["", "a.b", "_a", "größe", &"x".repeat(250), "__sluice_admission"] {
            assert_eq!(faults(&CreateTopic::default(), name)[0].1, "topic-name", "{name}");
        }
        assert_eq!(faults(&CreateTopic::default(), "sluice-canary-1")[0].1, "topic-reserved");
    }

    #[test]
    fn partitions_are_added_up_to_a_hundred_and_never_taken_away() {
        assert_eq!(growth_fault(3, 3), None);
        assert_eq!(growth_fault(3, 100), None);
        assert_eq!(growth_fault(120, 120), None);
        assert_eq!(growth_fault(3, 2).unwrap().code, "topic-shrinks");
        assert_eq!(growth_fault(3, 101).unwrap().code, "out-of-range");
    }

    #[test]
    fn a_made_name_is_one_that_may_be_asked_for() {
        let name = made_name(&[0, 255, 16, 1, 2, 3, 4]);
        assert_eq!(name, "topic-00ff10010203");
        assert!(wanted(&CreateTopic::default(), &name, 3).is_ok());
    }
}
