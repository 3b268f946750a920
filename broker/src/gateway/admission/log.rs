//! What admission asks of Kafka: a log that all gateways share, and the topics that there are.
//!
//! [`KafkaLog`] keeps the log in the platform topic `__sluice_admission`: one partition, so one order; acks=all with two
//! replicas in sync, so that what was acknowledged is never lost; no unclean leader. Kafka's leader of that partition is
//! the one serial point of the instance. Tenants can't reach the topic: every `__sluice…` topic is denied to all but the
//! platform.

use super::internal::{Connection, Internal};
use super::ledger::{Topic, Topics};
use super::record::{Id, Record, Want};
use crate::gateway::filters::acls;
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest,
    ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record as KafkaRecord,
    RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tracing::warn;

const TOPIC: &str = "__sluice_admission";
const REPLICAS: u32 = 3;
/// Records count for a minute and a half; an hour is for people who look at what happened.
const RETENTION_MS: &str = "3600000";
const SEGMENT_MS: &str = "600000";
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
const CREATE_PARTITIONS: i16 = 3;

const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC: i16 = 3;
const TOPIC_EXISTS: i16 = 36;
/// Of a topic that has as many, or more.
const INVALID_PARTITIONS: i16 = 37;
const EARLIEST: i64 = -2;

/// What was read from a place on.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Page {
    /// The place is no more: what was read before counts for nothing, and this is the start of the log.
    pub(in crate::gateway) restarted: bool,
    pub(in crate::gateway) records: Vec<(i64, Record)>,
    /// Where to read on.
    pub(in crate::gateway) next: i64,
}

/// All of it may be tried again after an error.
pub(in crate::gateway) trait Log: Send + Sync {
    /// Appends records next to each other, acknowledged by all replicas in sync; gives the first one's offset. After an
    /// error they may be in the log, or get there later.
    fn append<'a>(&'a self, records: &'a [Record]) -> BoxFuture<'a, io::Result<i64>>;

    /// Reads on from `place`, once there is something to read or after a few seconds.
    fn read(&self, place: i64) -> BoxFuture<'_, io::Result<Page>>;

    /// The topics that count, as this node's broker knows them now.
    fn topics(&self) -> BoxFuture<'_, io::Result<Topics>>;

    /// Whether each topic has so many partitions, or more, at the controller, asked through this node's broker, and so behind
    /// all that this broker has to ask of the controller. `None` where that can't be told.
    fn probe<'a>(&'a self, wants: &'a [Want]) -> BoxFuture<'a, io::Result<Vec<Option<bool>>>>;
}

/// See the module.
pub(in crate::gateway) struct KafkaLog {
    /// Asked for each connection, since certificates change.
    internal: Box<dyn Fn() -> Arc<Internal> + Send + Sync>,
    appends: Mutex<Option<Connection>>,
    reads: Mutex<Option<Connection>>,
    own: Mutex<Option<Connection>>,
}

impl KafkaLog {
    pub(in crate::gateway) fn new(internal: impl Fn() -> Arc<Internal> + Send + Sync + 'static) -> Self {
        let [appends, reads, own] = Default::default();
        Self { internal: Box::new(internal), appends, reads, own }
    }

    /// Connects to the leader of the log; makes the topic where there is none.
    async fn leader(&self) -> io::Result<Connection> {
        let internal = (self.internal)();
        let mut own = internal.connect_own().await?;
        let asked = MetadataRequestTopic::default().with_name(Some(topic()));
        let request = MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(false);
        let answer = own.call(METADATA, &request, LIMIT).await?;
        let found = answer.topics.first().ok_or_else(|| refused("Metadata", UNKNOWN_TOPIC))?;
        if found.error_code == UNKNOWN_TOPIC {
            create(&mut own, internal.brokers).await?;
        }
        let leader = found.partitions.first().filter(|partition| partition.error_code == 0);
        let leader = leader.ok_or_else(|| refused("Metadata", found.error_code))?.leader_id;
        if leader == internal.node {
            return Ok(own);
        }
        let broker = answer.brokers.iter().find(|broker| broker.node_id == leader);
        let broker = broker.ok_or_else(|| io::Error::other("the leader of the admission log is away"))?;
        let port = u16::try_from(broker.port).map_err(io::Error::other)?;
        internal.connect_to(&broker.host, port).await
    }
}

// A connection goes back only after it served: one that failed, or that nobody waits for any more, is closed.
impl Log for KafkaLog {
    fn append<'a>(&'a self, records: &'a [Record]) -> BoxFuture<'a, io::Result<i64>> {
        Box::pin(async move {
            let mut kept = self.appends.lock().await;
            let mut leader = match kept.take() {
                Some(leader) => leader,
                None => self.leader().await?,
            };
            let offset = append_records(&mut leader, records).await?;
            *kept = Some(leader);
            Ok(offset)
        })
    }

    fn read(&self, place: i64) -> BoxFuture<'_, io::Result<Page>> {
        Box::pin(async move {
            let mut kept = self.reads.lock().await;
            let mut leader = match kept.take() {
                Some(leader) => leader,
                None => self.leader().await?,
            };
            let page = read_records(&mut leader, place).await?;
            *kept = Some(leader);
            Ok(page)
        })
    }

    fn topics(&self) -> BoxFuture<'_, io::Result<Topics>> {
        Box::pin(async move {
            let mut kept = self.own.lock().await;
            let mut own = match kept.take() {
                Some(own) => own,
                None => (self.internal)().connect_own().await?,
            };
            let topics = read_topics(&mut own).await?;
            *kept = Some(own);
            Ok(topics)
        })
    }

    fn probe<'a>(&'a self, wants: &'a [Want]) -> BoxFuture<'a, io::Result<Vec<Option<bool>>>> {
        // A connection of its own, and a new one: it must not be older than what it looks for.
        Box::pin(async move { probe(&mut (self.internal)().connect_own().await?, wants).await })
    }
}

/// Makes the topic of the log; somebody else may have been first.
async fn create(own: &mut Connection, brokers: u32) -> io::Result<()> {
    let replicas = brokers.clamp(1, REPLICAS);
    let in_sync = if replicas == REPLICAS { "2" } else { "1" };
    let settings = [
        ("min.insync.replicas", in_sync),
        ("unclean.leader.election.enable", "false"),
        ("cleanup.policy", "delete"),
        ("message.timestamp.type", "LogAppendTime"),
        ("retention.ms", RETENTION_MS),
        ("segment.ms", SEGMENT_MS),
    ];
    let settings = settings.map(|(name, value)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_static_str(value)))
    });
    let wanted = CreatableTopic::default()
        .with_name(topic())
        .with_num_partitions(1)
        .with_replication_factor(i16::try_from(replicas).unwrap_or(1))
        .with_configs(settings.into());
    let request = CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(millis(LIMIT));
    let answer = own.call(CREATE_TOPICS, &request, LIMIT).await?;
    match answer.topics.first().map_or(UNKNOWN_TOPIC, |made| made.error_code) {
        0 | TOPIC_EXISTS => Ok(()),
        error => Err(refused("CreateTopics", error)),
    }
}

async fn append_records(leader: &mut Connection, records: &[Record]) -> io::Result<i64> {
    let data = PartitionProduceData::default().with_index(0).with_records(Some(encoded(records)?));
    let data = TopicProduceData::default().with_name(topic()).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(millis(LIMIT)).with_topic_data(vec![data]);
    let answer = leader.call(PRODUCE, &request, LIMIT).await?;
    let partition = answer.responses.first().and_then(|topic| topic.partition_responses.first());
    let partition = partition.ok_or_else(|| refused("Produce", UNKNOWN_TOPIC))?;
    if partition.error_code == 0 { Ok(partition.base_offset) } else { Err(refused("Produce", partition.error_code)) }
}

async fn read_records(leader: &mut Connection, place: i64) -> io::Result<Page> {
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_current_leader_epoch(NO_PARTITION_LEADER_EPOCH)
        .with_fetch_offset(place)
        .with_partition_max_bytes(MAX_READ_BYTES);
    let asked = FetchTopic::default().with_topic(topic()).with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(millis(READ_WAIT))
        .with_min_bytes(1)
        .with_max_bytes(MAX_READ_BYTES)
        .with_session_epoch(-1)
        .with_topics(vec![asked]);
    let answer = leader.call(FETCH, &request, READ_WAIT + LIMIT).await?;
    let partition = answer.responses.into_iter().flat_map(|topic| topic.partitions).next();
    let partition = partition.ok_or_else(|| refused("Fetch", UNKNOWN_TOPIC))?;
    match partition.error_code {
        0 => decoded(partition.records.unwrap_or_default(), place),
        OFFSET_OUT_OF_RANGE => Ok(Page { restarted: true, records: Vec::new(), next: start(leader).await? }),
        error => Err(refused("Fetch", error)),
    }
}

/// The first offset that the log still holds.
async fn start(leader: &mut Connection) -> io::Result<i64> {
    let partition =
        ListOffsetsPartition::default().with_current_leader_epoch(NO_PARTITION_LEADER_EPOCH).with_timestamp(EARLIEST);
    let asked = ListOffsetsTopic::default().with_name(topic()).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
    let answer = leader.call(LIST_OFFSETS, &request, LIMIT).await?;
    let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
    let partition = partition.ok_or_else(|| refused("ListOffsets", UNKNOWN_TOPIC))?;
    if partition.error_code == 0 { Ok(partition.offset) } else { Err(refused("ListOffsets", partition.error_code)) }
}

async fn read_topics(own: &mut Connection) -> io::Result<Topics> {
    let request = MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
    let answer = own.call(METADATA, &request, LIMIT).await?;
    let counted = answer.topics.into_iter().filter_map(|topic| {
        let name = topic.name.filter(|name| acls::is_counted(name))?.to_string();
        let partitions = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
        (!topic.partitions.is_empty()).then_some((name, Topic { id: Id(topic.topic_id.as_u128()), partitions }))
    });
    Ok(Topics(counted.collect()))
}

/// Asks to add partitions, and that this not be done: the controller's answer tells how many there are.
async fn probe(own: &mut Connection, wants: &[Want]) -> io::Result<Vec<Option<bool>>> {
    let wanted = |want: &Want| {
        CreatePartitionsTopic::default()
            .with_name(TopicName(StrBytes::from_string(want.topic.clone())))
            .with_count(i32::try_from(want.partitions).unwrap_or(i32::MAX))
            .with_assignments(None)
    };
    let request = CreatePartitionsRequest::default()
        .with_topics(wants.iter().map(wanted).collect())
        .with_timeout_ms(millis(LIMIT))
        .with_validate_only(true);
    let answer = own.call(CREATE_PARTITIONS, &request, LIMIT).await?;
    let told = |want: &Want| {
        let result = answer.results.iter().find(|result| *result.name.0 == *want.topic)?;
        match result.error_code {
            0 | UNKNOWN_TOPIC => Some(false),
            INVALID_PARTITIONS => Some(true),
            _ => None,
        }
    };
    Ok(wants.iter().map(told).collect())
}

fn encoded(records: &[Record]) -> io::Result<Bytes> {
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
fn decoded(mut bytes: Bytes, place: i64) -> io::Result<Page> {
    /// Base offset and length, which does not count these two.
    const BATCH_HEAD: usize = 12;
    let mut page = Page { next: place, ..Page::default() };
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
                    warn!(%error, kafka.offset = record.offset, "a record of the admission log is not understood")
                }
            }
        }
    }
    Ok(page)
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn refused(api: &'static str, error: i16) -> io::Error {
    io::Error::other(format!("Kafka answers {api} for the admission log with error {error}"))
}
