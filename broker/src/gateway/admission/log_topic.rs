//! A log that all gateways of an instance share, in a platform topic.
//!
//! The topic has one partition, so one order; acks=all with two replicas in sync, so that what was acknowledged is never
//! lost; no unclean leader. Kafka's leader of that partition is the one serial point of the instance. Tenants can't reach
//! it: every `__sluice…` topic is denied to all but the platform. Whoever needs it first makes it.

use super::log::{Log, Page};
use crate::inter_broker::{Address, Connection, Peer};
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record as KafkaRecord,
    RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tracing::warn;

const REPLICAS: u32 = 3;
/// How long a read waits for something to come: what an idle gateway costs is one request in this time.
const READ_WAIT: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(5);
const MAX_READ_BYTES: i32 = 4 * 1024 * 1024;

// Versions that Kafka 3.9 and 4.x both speak; the last ones before topic ids where a topic is named.
const PRODUCE: i16 = 8;
const FETCH: i16 = 11;
const LIST_OFFSETS: i16 = 5;
const METADATA: i16 = 12;
const CREATE_TOPICS: i16 = 5;

const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC: i16 = 3;
const TOPIC_EXISTS: i16 = 36;
const EARLIEST: i64 = -2;

/// How much of a log is kept.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) enum Kept {
    /// For records that count for minutes: more than that is for people who look at what happened.
    AnHour,
    /// For records of which the last ones count, however old they are.
    TheLast,
}

impl Kept {
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::AnHour => &[("retention.ms", "3600000"), ("segment.ms", "600000")],
            // Kafka 4 takes no smaller segments, of which each holds thousands of records; by default it would drop what is
            // older than a week.
            Self::TheLast => &[("retention.ms", "-1"), ("retention.bytes", "1048576"), ("segment.bytes", "1048576")],
        }
    }
}

/// See the module.
pub(in crate::gateway) struct LogTopic<R> {
    /// Asked for each connection, since certificates change.
    peer: Arc<dyn Fn() -> Arc<Peer> + Send + Sync>,
    name: &'static str,
    kept: Kept,
    records: PhantomData<fn() -> R>,
    appends: Mutex<Option<Connection>>,
    reads: Mutex<Option<Connection>>,
}

// A connection goes back only after it served: one that failed, or that nobody waits for any more, is closed.
impl<R: Serialize + DeserializeOwned + Send + Sync> LogTopic<R> {
    pub(in crate::gateway) fn new(
        peer: Arc<dyn Fn() -> Arc<Peer> + Send + Sync>,
        name: &'static str,
        kept: Kept,
    ) -> Self {
        let [appends, reads] = Default::default();
        Self { peer, name, kept, records: PhantomData, appends, reads }
    }

    async fn append_to_leader(&self, records: &[R]) -> io::Result<i64> {
        let mut kept = self.appends.lock().await;
        let mut leader = match kept.take() {
            Some(leader) => leader,
            None => self.leader().await?,
        };
        let offset = self.append_at(&mut leader, records).await?;
        *kept = Some(leader);
        Ok(offset)
    }

    async fn read_from_leader(&self, place: i64) -> io::Result<Page<R>> {
        let mut kept = self.reads.lock().await;
        let mut leader = match kept.take() {
            Some(leader) => leader,
            None => self.leader().await?,
        };
        let page = self.read_at(&mut leader, place).await?;
        *kept = Some(leader);
        Ok(page)
    }

    /// Connects to the leader of the log; makes the topic where there is none.
    async fn leader(&self) -> io::Result<Connection> {
        let peer = (self.peer)();
        let mut own = peer.connect(&peer.own).await?;
        let asked = MetadataRequestTopic::default().with_name(Some(self.topic()));
        let request = MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(false);
        let answer = own.call(METADATA, &request, LIMIT).await?;
        let found = answer.topics.first().ok_or_else(|| self.refused("Metadata", UNKNOWN_TOPIC))?;
        if found.error_code == UNKNOWN_TOPIC {
            self.create(&mut own, peer.brokers).await?;
        }
        let leader = found.partitions.first().filter(|partition| partition.error_code == 0);
        let leader = leader.ok_or_else(|| self.refused("Metadata", found.error_code))?.leader_id;
        if leader == peer.node {
            return Ok(own);
        }
        let broker = answer.brokers.iter().find(|broker| broker.node_id == leader);
        let broker = broker.ok_or_else(|| io::Error::other("the leader of the log is away"))?;
        peer.connect(&Address::named(&broker.host, broker.port)?).await
    }

    /// Makes the topic of the log; somebody else may have been first.
    async fn create(&self, own: &mut Connection, brokers: u32) -> io::Result<()> {
        let replicas = brokers.clamp(1, REPLICAS);
        let in_sync = if replicas == REPLICAS { "2" } else { "1" };
        let settings = [
            ("min.insync.replicas", in_sync),
            ("unclean.leader.election.enable", "false"),
            ("cleanup.policy", "delete"),
            ("message.timestamp.type", "LogAppendTime"),
        ];
        let settings = settings.iter().chain(self.kept.settings()).map(|&(name, value)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_static_str(value)))
        });
        let wanted = CreatableTopic::default()
            .with_name(self.topic())
            .with_num_partitions(1)
            .with_replication_factor(i16::try_from(replicas).unwrap_or(1))
            .with_configs(settings.collect());
        let request = CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(millis(LIMIT));
        let answer = own.call(CREATE_TOPICS, &request, LIMIT).await?;
        match answer.topics.first().map_or(UNKNOWN_TOPIC, |made| made.error_code) {
            0 | TOPIC_EXISTS => Ok(()),
            error => Err(self.refused("CreateTopics", error)),
        }
    }

    async fn append_at(&self, leader: &mut Connection, records: &[R]) -> io::Result<i64> {
        let data = PartitionProduceData::default().with_index(0).with_records(Some(encoded(records)?));
        let data = TopicProduceData::default().with_name(self.topic()).with_partition_data(vec![data]);
        let request =
            ProduceRequest::default().with_acks(-1).with_timeout_ms(millis(LIMIT)).with_topic_data(vec![data]);
        let answer = leader.call(PRODUCE, &request, LIMIT).await?;
        let partition = answer.responses.first().and_then(|topic| topic.partition_responses.first());
        let partition = partition.ok_or_else(|| self.refused("Produce", UNKNOWN_TOPIC))?;
        if partition.error_code == 0 {
            Ok(partition.base_offset)
        } else {
            Err(self.refused("Produce", partition.error_code))
        }
    }

    async fn read_at(&self, leader: &mut Connection, place: i64) -> io::Result<Page<R>> {
        let partition = FetchPartition::default()
            .with_partition(0)
            .with_current_leader_epoch(NO_PARTITION_LEADER_EPOCH)
            .with_fetch_offset(place)
            .with_partition_max_bytes(MAX_READ_BYTES);
        let asked = FetchTopic::default().with_topic(self.topic()).with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(millis(READ_WAIT))
            .with_min_bytes(1)
            .with_max_bytes(MAX_READ_BYTES)
            .with_session_epoch(-1)
            .with_topics(vec![asked]);
        let answer = leader.call(FETCH, &request, READ_WAIT + LIMIT).await?;
        let partition = answer.responses.into_iter().flat_map(|topic| topic.partitions).next();
        let partition = partition.ok_or_else(|| self.refused("Fetch", UNKNOWN_TOPIC))?;
        match partition.error_code {
            0 => decoded(partition.records.unwrap_or_default(), place),
            OFFSET_OUT_OF_RANGE => Ok(Page { restarted: true, records: Vec::new(), next: self.start(leader).await? }),
            error => Err(self.refused("Fetch", error)),
        }
    }

    /// The first offset that the log still holds.
    async fn start(&self, leader: &mut Connection) -> io::Result<i64> {
        let partition = ListOffsetsPartition::default()
            .with_current_leader_epoch(NO_PARTITION_LEADER_EPOCH)
            .with_timestamp(EARLIEST);
        let asked = ListOffsetsTopic::default().with_name(self.topic()).with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
        let answer = leader.call(LIST_OFFSETS, &request, LIMIT).await?;
        let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
        let partition = partition.ok_or_else(|| self.refused("ListOffsets", UNKNOWN_TOPIC))?;
        if partition.error_code == 0 {
            Ok(partition.offset)
        } else {
            Err(self.refused("ListOffsets", partition.error_code))
        }
    }

    fn topic(&self) -> TopicName {
        TopicName(StrBytes::from_static_str(self.name))
    }

    fn refused(&self, api: &'static str, error: i16) -> io::Error {
        io::Error::other(format!("Kafka answers {api} for {} with error {error}", self.name))
    }
}

impl<R: Serialize + DeserializeOwned + Send + Sync> Log<R> for LogTopic<R> {
    fn append<'a>(&'a self, records: &'a [R]) -> BoxFuture<'a, io::Result<i64>> {
        Box::pin(self.append_to_leader(records))
    }

    fn read(&self, place: i64) -> BoxFuture<'_, io::Result<Page<R>>> {
        Box::pin(self.read_from_leader(place))
    }
}

fn encoded<R: Serialize>(records: &[R]) -> io::Result<Bytes> {
    let records = (0i32..).zip(records).map(|(number, record)| {
        Ok(KafkaRecord {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            timestamp_type: TimestampType::Creation,
            offset: number.into(),
            sequence: NO_SEQUENCE + number,
            // The leader's clock counts.
            timestamp: 0,
            key: None,
            value: Some(serde_json::to_vec(record)?.into()),
            headers: Default::default(),
        })
    });
    let records = records.collect::<io::Result<Vec<_>>>()?;
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, &records, &options).map_err(io::Error::other)?;
    Ok(bytes.freeze())
}

/// The records from `place` on: a batch begins before, and the last one may be cut.
fn decoded<R: DeserializeOwned>(mut bytes: Bytes, place: i64) -> io::Result<Page<R>> {
    /// Base offset and length, which does not count these two.
    const BATCH_HEAD: usize = 12;
    let mut page = Page { restarted: false, records: Vec::new(), next: place };
    while let Some(length) = bytes.get(8..BATCH_HEAD).and_then(|length| length.first_chunk::<4>()) {
        let size = BATCH_HEAD + u32::from_be_bytes(*length) as usize;
        if bytes.len() < size {
            break;
        }
        let batch = RecordBatchDecoder::decode(&mut bytes.split_to(size)).map_err(io::Error::other)?;
        for record in batch.records.iter().filter(|record| record.offset >= place) {
            page.next = record.offset + 1;
            match serde_json::from_slice(record.value.as_deref().unwrap_or_default()) {
                Ok(read) => page.records.push((record.offset, read)),
                Err(error) => {
                    warn!(%error, kafka.offset = record.offset, "a record of a log is not understood")
                }
            }
        }
    }
    Ok(page)
}

pub(super) fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
