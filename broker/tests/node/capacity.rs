//! A disk that runs full under a real Kafka: what producers and consumers see, by either policy.

use crate::harness::{Node, until};
use crate::support::{KAFKA_NEW, KAFKA_OLD, tools_with_kafka};
use broker_api::ports;
use broker_api::spec::{CapacityPolicy, CapacityRule};
use broker_api::status::{CapacityState, CapacityStatus, NodeStatus};
use krafka::admin::{
    AdminClient, CreateTopicsOptions, DeleteRecordsOptions, ListOffsetsOptions, NewTopic, OffsetSpec, TopicPartition,
};
use krafka::error::ErrorCode;
use krafka::producer::{Acks, Producer};
use krafka::{Kafka, KrafkaError, Record};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;

/// As in the tests of a real Kafka: the machine may build something else.
const KAFKA_SOON: Duration = Duration::from_secs(90);
const DISK: u64 = 96 << 20;
const PIECE: usize = 256 << 10;
/// Kafka's smallest.
const SEGMENT: usize = 1 << 20;

#[test]
fn a_full_disk_turns_records_away_or_drops_the_oldest_under_kafka_4_3() {
    runs_full(KAFKA_NEW);
}

#[test]
fn a_full_disk_turns_records_away_or_drops_the_oldest_under_kafka_3_9() {
    runs_full(KAFKA_OLD);
}

fn runs_full(version: &str) {
    let Some(tools) = tools_with_kafka(version) else { return };
    let mut node = Node::with_kafka(version, tools);
    node.spec.kafka.disk_bytes = DISK;
    // Who comes without a login may do everything here: bindings are the control plane's to make.
    node.spec.kafka.super_users.push("User:ANONYMOUS".to_owned());
    node.spec.gateway.capacity = CapacityRule { policy: CapacityPolicy::ProduceLimited, threshold_percent: 60 };
    node.write_boot_spec(&node.spec);
    node.start_with_gateway();
    node.wait_until_running_within(KAFKA_SOON);
    until("a ready node", KAFKA_SOON, || Some(()).filter(|()| node.ask("GET", "/readyz", b"").0 == 200));
    let runtime = Runtime::new().unwrap();
    let client = runtime.block_on(Client::connect(&node));

    runtime.block_on(client.create_topics(&[("first", "delete"), ("second", "delete"), ("kept", "compact")]));
    let kept = runtime.block_on(client.produce_until_refused("kept", SEGMENT * 4)).expect("there is room");
    let first = runtime.block_on(client.produce_until_refused("first", DISK as usize / 4)).expect("there is room");
    let refused = runtime.block_on(client.produce_until_refused("second", DISK as usize)).unwrap_err();
    assert_eq!(refused.code, ErrorCode::PolicyViolation);
    let full = capacity(&node);
    assert_eq!(full.state, CapacityState::ProduceLimited);
    assert!(full.reason.ends_with("of the disk is used: records are refused"), "{}", full.reason);
    assert!(full.used_bytes < DISK * 98 / 100, "{full:?}");
    runtime.block_on(client.reads_all(&[("kept", kept), ("first", first), ("second", refused.taken)]));
    let metrics = node.ask("GET", "/metrics", b"").1;
    assert!(metrics.contains("sluice_node_produce_refused 1"), "{metrics}");

    // Somebody makes room; then it is as before.
    runtime.block_on(client.drop_records("second", refused.taken as i64));
    until("room", KAFKA_SOON, || Some(()).filter(|()| capacity(&node).state == CapacityState::Normal));
    runtime.block_on(client.produce_until_refused("second", SEGMENT)).expect("there is room again");

    // From now on the oldest goes, and producing goes on for more than the disk holds.
    let mut changed = node.spec.clone();
    changed.generation = 2;
    changed.gateway.capacity.policy = CapacityPolicy::AutoDelete;
    assert_eq!(node.put_spec(&changed).0, 200);
    let mut second = 0;
    until("more to have been produced than is let lie on the disk", KAFKA_SOON * 2, || {
        // No faster than Kafka's retention check gives room back on a disk as small as this.
        if taken(&node.path("data")) < DISK * 70 / 100 {
            second += runtime.block_on(client.produce_until_refused("second", SEGMENT)).expect("producing goes on");
        }
        assert_ne!(capacity(&node).state, CapacityState::ProduceLimited, "{}", capacity(&node).reason);
        ((kept + first + second) * PIECE > DISK as usize * 80 / 100).then_some(())
    });
    let offsets = |topic| runtime.block_on(client.offsets(topic));
    let [(kept_from, _), (first_from, first_to), (second_from, second_to)] = ["kept", "first", "second"].map(offsets);
    assert_eq!(kept_from, 0, "compacted topics keep all keys");
    assert!(first_from > 0, "the oldest data was not dropped");
    assert!(second_from < second_to && first_to == first as i64);
    let status = capacity(&node);
    assert!(status.deleted_bytes > 0 && status.used_bytes < DISK * 98 / 100, "{status:?}");
}

/// Bytes under a directory.
fn taken(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => taken(&entry.path()),
        metadata => metadata.map_or(0, |metadata| metadata.blocks() * 512),
    };
    entries.map(of).sum()
}

fn capacity(node: &Node) -> CapacityStatus {
    until("a look at the disk", KAFKA_SOON, || {
        let (_, body) = node.ask("GET", "/v1/status", b"");
        serde_json::from_str::<NodeStatus>(&body).unwrap().capacity
    })
}

/// A client on the plaintext port.
struct Client {
    kafka: Kafka,
    admin: AdminClient,
    producer: Producer,
}

/// Producing ended with this, after so many records.
#[derive(Debug)]
struct Refused {
    code: ErrorCode,
    taken: usize,
}

impl Client {
    async fn connect(node: &Node) -> Self {
        let bootstrap = format!("{}:{}", node.spec.kafka.bind, ports::PRIVATE_PLAINTEXT);
        let kafka = Kafka::builder(bootstrap).connect().await.unwrap();
        let producer = kafka.producer().acks(Acks::All).idempotent(false).build().await.unwrap();
        Self { admin: kafka.admin(), kafka, producer }
    }

    async fn create_topics(&self, topics: &[(&str, &str)]) {
        let topics = topics.iter().map(|(name, policy)| {
            let mut topic = NewTopic::new(*name, 1, 1).unwrap();
            topic.configs.insert("segment.bytes".to_owned(), SEGMENT.to_string());
            topic.configs.insert("cleanup.policy".to_owned(), (*policy).to_owned());
            topic
        });
        for result in self.admin.create_topics(topics, CreateTopicsOptions::default()).await.unwrap().into_values() {
            result.unwrap();
        }
    }

    /// So many bytes in records, one after the other; how many that were, or how it ended before.
    async fn produce_until_refused(&self, topic: &str, bytes: usize) -> Result<usize, Refused> {
        for taken in 0..bytes.div_ceil(PIECE) {
            let record = Record::new(topic, vec![7u8; PIECE]).key(format!("{topic}-{taken}")).partition(0);
            match self.producer.send(record).await {
                Ok(_) => {}
                Err(KrafkaError::Broker { code, .. }) => return Err(Refused { code, taken }),
                Err(other) => panic!("record {taken} of {topic}: {other}"),
            }
        }
        Ok(bytes.div_ceil(PIECE))
    }

    async fn reads_all(&self, topics: &[(&str, usize)]) {
        for (topic, expected) in topics {
            let consumer = self.kafka.consumer_without_group().build().await.unwrap();
            consumer.assign(topic, vec![0]).await.unwrap();
            consumer.seek_to_beginning(topic, 0).await.unwrap();
            let mut read = 0;
            while read < *expected {
                read += consumer.poll(Duration::from_millis(500)).await.unwrap().len();
            }
            assert_eq!(read, *expected, "{topic}");
            consumer.close().await.unwrap();
        }
    }

    async fn drop_records(&self, topic: &str, before: i64) {
        let all = [(TopicPartition::new(topic, 0), before)];
        for result in self.admin.delete_records(all, DeleteRecordsOptions::default()).await.unwrap().into_values() {
            result.unwrap();
        }
    }

    /// The first offset, and the one after the last.
    async fn offsets(&self, topic: &str) -> (i64, i64) {
        let mut found = [0; 2];
        for (place, spec) in [OffsetSpec::Earliest, OffsetSpec::Latest].into_iter().enumerate() {
            let asked = [(TopicPartition::new(topic, 0), spec)];
            let listed = self.admin.list_offsets(asked, ListOffsetsOptions::default()).await.unwrap();
            found[place] = listed.into_values().next().unwrap().unwrap().offset;
        }
        (found[0], found[1])
    }
}
