//! The canary: does an instance take messages and give them back, on every broker, as clients see it?

use super::{
    Cluster, Credentials,
    control::{administrator, client},
};
use bytes::Bytes;
use krafka::{
    KrafkaError, Record,
    admin::{
        AdminClient, CreateTopicsOptions, DeleteTopicsOptions, DescribeClusterOptions, ListTopicsOptions, NewTopic,
    },
    consumer::AutoOffsetReset,
    error::ErrorCode,
    producer::{Acks, RecordMetadata},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};
use uuid::Uuid;

/// Canary topics are named so, with a UUID behind: nothing else is ever removed.
pub const CANARY_PREFIX: &str = broker_api::acl::CANARY_TOPICS;

/// Default replication (`KafkaSpec::brokers`): what the instance's own topics get.
const REPLICAS: usize = 3;
/// Users and bindings are on every broker within tens of milliseconds; a refusal that stays longer is one.
const REFUSALS_PASS_WITHIN: Duration = Duration::from_secs(8);
const RETRY_EVERY: Duration = Duration::from_millis(50);
/// One try, with time left for the topic's deletion.
const TRY_LIMIT: Duration = Duration::from_secs(12);

pub(super) async fn run(cluster: &Cluster, credentials: &Credentials) -> krafka::Result<()> {
    let admin = administrator(cluster).await?.admin();
    remove_leftovers(&admin).await?;
    let topic = format!("{CANARY_PREFIX}{}", Uuid::new_v4());
    let partitions = create_topic(&admin, &topic).await?;
    let result = try_until_refusals_pass(cluster, credentials, &topic, partitions).await;
    // What the canary found counts for more than a topic that the next one removes.
    let removed = delete(&admin, &topic).await;
    match (&result, removed) {
        (Ok(()), removed) => removed,
        (Err(_), Err(error)) => {
            warn!(kafka.topic = topic, %error, "canary topic stays until the next canary");
            result
        }
        (Err(_), Ok(())) => result,
    }
}

/// Topics of canaries that were interrupted.
async fn remove_leftovers(admin: &AdminClient) -> krafka::Result<()> {
    for topic in admin.list_topics(ListTopicsOptions::default()).await? {
        let suffix = topic.strip_prefix(CANARY_PREFIX);
        if suffix.is_some_and(|suffix| Uuid::parse_str(suffix).is_ok()) {
            delete(admin, &topic).await?;
        }
    }
    Ok(())
}

/// As many partitions as brokers, each broker the leader of one; answers how many.
async fn create_topic(admin: &AdminClient, topic: &str) -> krafka::Result<i32> {
    let cluster = admin.describe_cluster(DescribeClusterOptions::default()).await?;
    let brokers: BTreeSet<i32> = cluster.brokers.iter().map(|broker| broker.id).collect();
    let ring: Vec<i32> = brokers.iter().chain(&brokers).copied().collect();
    let replicas = REPLICAS.min(brokers.len());
    let assignment: HashMap<i32, Vec<i32>> =
        (0..).zip(ring.windows(replicas.max(1)).take(brokers.len()).map(<[i32]>::to_vec)).collect();
    let partitions = assignment.len();
    let topic = NewTopic::with_replica_assignment(topic, assignment)?;
    for result in admin.create_topics([topic], CreateTopicsOptions::default()).await?.into_values() {
        result?;
    }
    // An instance has single digits of brokers.
    Ok(i32::try_from(partitions).unwrap_or(i32::MAX))
}

async fn delete(admin: &AdminClient, topic: &str) -> krafka::Result<()> {
    for result in admin.delete_topics([topic], DeleteTopicsOptions::default()).await?.into_values() {
        match result {
            Err(KrafkaError::Broker { code: ErrorCode::UnknownTopicOrPartition, .. }) | Ok(()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn try_until_refusals_pass(
    cluster: &Cluster,
    credentials: &Credentials,
    topic: &str,
    partitions: i32,
) -> krafka::Result<()> {
    let deadline = Instant::now() + REFUSALS_PASS_WITHIN;
    loop {
        let tried = timeout(TRY_LIMIT, write_and_read(cluster, credentials, topic, partitions));
        let error = match tried.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => return Err(KrafkaError::timeout("writing and reading back")),
        };
        if Instant::now() >= deadline {
            return Err(error);
        }
        debug!(kafka.topic = topic, %error, "canary tries again");
        sleep(RETRY_EVERY).await;
    }
}

async fn write_and_read(
    cluster: &Cluster,
    credentials: &Credentials,
    topic: &str,
    partitions: i32,
) -> krafka::Result<()> {
    let kafka = client(cluster, credentials).await?;
    addresses_are_the_gateways(cluster, &kafka.admin()).await?;
    let expected: BTreeMap<i32, Bytes> =
        (0..partitions).map(|partition| (partition, Bytes::from(Uuid::new_v4().into_bytes().to_vec()))).collect();
    // Not idempotent: the first producer id of a new instance takes a second, and a duplicate does no harm here.
    let producer = kafka.producer().acks(Acks::All).idempotent(false).delivery_timeout(TRY_LIMIT).build().await?;
    let mut queued = Vec::new();
    for (&partition, value) in &expected {
        queued.push(producer.enqueue(Record::new(topic, value.clone()).partition(partition)).await?);
    }
    let mut written: Vec<RecordMetadata> = Vec::new();
    for acknowledgement in queued {
        written.push(acknowledgement.await?);
    }
    producer.close().await?;

    let consumer = kafka.consumer_without_group().auto_offset_reset(AutoOffsetReset::Earliest).build().await?;
    consumer.assign(topic, expected.keys().copied().collect()).await?;
    for record in &written {
        consumer.seek(topic, record.partition, record.offset).await?;
    }
    let mut read = BTreeMap::new();
    while read.len() < expected.len() {
        for record in consumer.poll(RETRY_EVERY).await? {
            read.entry(record.partition).or_insert(record.value.unwrap_or_default());
        }
    }
    consumer.close().await?;
    if read != expected {
        return Err(KrafkaError::illegal_state("a message came back with another value than was written"));
    }
    Ok(())
}

/// Clients are told of gateways only: an address of Kafka's own would work here and nowhere else.
async fn addresses_are_the_gateways(cluster: &Cluster, admin: &AdminClient) -> krafka::Result<()> {
    let told = admin.describe_cluster(DescribeClusterOptions::default()).await?;
    let told: BTreeSet<String> = told.brokers.iter().map(|b| format!("{}:{}", b.host, b.port)).collect();
    let gateways: BTreeSet<String> = cluster.sasl_ssl.iter().map(ToString::to_string).collect();
    if !told.is_subset(&gateways) {
        return Err(KrafkaError::illegal_state(format!("clients are told of {told:?}, the gateways are {gateways:?}")));
    }
    Ok(())
}
