//! What is asked of Kafka: what the other brokers hold, what this one leads, and to drop records.

use super::disk::Led;
use crate::inter_broker::{Address, ask};
use broker_api::spec::NodeSpec;
use futures::future::join_all;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{
    DeleteRecordsRequest, DescribeConfigsRequest, DescribeLogDirsRequest, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Versions that Kafka 3.9 and 4.3 both speak.
const METADATA: i16 = 12;
const DESCRIBE_LOG_DIRS: i16 = 4;
const DESCRIBE_CONFIGS: i16 = 4;
const DELETE_RECORDS: i16 = 2;

const LIMIT: Duration = Duration::from_secs(5);
/// For the replicas to drop the records too.
const DELETE_LIMIT: Duration = Duration::from_secs(10);

const TOPIC: i8 = 2;
const CLEANUP_POLICY: &str = "cleanup.policy";
/// Names of topics of Kafka's own and of the platform start so.
const INTERNAL_PREFIX: &str = "__";

const REQUEST_TIMED_OUT: i16 = 7;

/// Bytes that the logs of every other broker that answers take, by node id.
pub(super) async fn others(spec: &NodeSpec) -> Result<Vec<(i32, u64)>, String> {
    let metadata = metadata(spec, Some(Vec::new())).await?;
    let others = metadata.brokers.iter().filter(|broker| broker.node_id.0 != spec.identity.node_id);
    let asked = others.map(async |broker| {
        let address = Address::named(&broker.host, broker.port).ok()?;
        let request = DescribeLogDirsRequest::default().with_topics(None);
        let answer = ask(spec, &address, &request, DESCRIBE_LOG_DIRS, LIMIT).await.ok()?;
        let partitions =
            answer.results.iter().flat_map(|directory| &directory.topics).flat_map(|topic| &topic.partitions);
        let bytes = partitions.map(|partition| u64::try_from(partition.partition_size).unwrap_or(0)).sum();
        Some((broker.node_id.0, bytes))
    });
    Ok(join_all(asked).await.into_iter().flatten().collect())
}

/// Partitions of tenants' topics that this node leads, and whether records may be dropped from their beginning.
pub(super) async fn led_topics(spec: &NodeSpec) -> Result<Vec<Led>, String> {
    let metadata = metadata(spec, None).await?;
    let mut led: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for topic in metadata.topics.into_iter().filter(|topic| topic.error_code == 0 && !topic.is_internal) {
        let Some(name) = topic.name.map(|name| name.to_string()).filter(|name| !name.starts_with(INTERNAL_PREFIX))
        else {
            continue;
        };
        let leads = topic.partitions.iter().filter(|partition| partition.leader_id.0 == spec.identity.node_id);
        let partitions: Vec<i32> = leads.map(|partition| partition.partition_index).collect();
        if !partitions.is_empty() {
            led.insert(name, partitions);
        }
    }
    let policies = cleanup_policies(spec, led.keys()).await?;
    let of_topic = |(topic, partitions): (String, Vec<i32>)| {
        // A topic that went away meanwhile has no policy.
        let deletable =
            policies.get(&topic).is_some_and(|policy| policy.split(',').any(|word| word.trim() == "delete"));
        partitions.into_iter().map(move |partition| Led { topic: topic.clone(), partition, deletable })
    };
    Ok(led.into_iter().flat_map(of_topic).collect())
}

async fn cleanup_policies(
    spec: &NodeSpec,
    topics: impl Iterator<Item = &String>,
) -> Result<HashMap<String, String>, String> {
    let resources = topics.map(|topic| {
        DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(StrBytes::from_string(topic.clone()))
            .with_configuration_keys(Some(vec![StrBytes::from_static_str(CLEANUP_POLICY)]))
    });
    let request = DescribeConfigsRequest::default().with_resources(resources.collect());
    if request.resources.is_empty() {
        return Ok(HashMap::new());
    }
    let answer = ask(spec, &Address::internal(spec), &request, DESCRIBE_CONFIGS, LIMIT).await?;
    let policy = |result: kafka_protocol::messages::describe_configs_response::DescribeConfigsResult| {
        let policy = result.configs.into_iter().find(|config| &*config.name == CLEANUP_POLICY)?.value?;
        Some((result.resource_name.to_string(), policy.to_string()))
    };
    Ok(answer.results.into_iter().filter_map(policy).collect())
}

/// Drops the records of these partitions before these offsets, on all replicas.
pub(super) async fn delete_records(spec: &NodeSpec, until: &[(String, i32, i64)]) -> Result<(), String> {
    let mut topics: BTreeMap<&str, Vec<DeleteRecordsPartition>> = BTreeMap::new();
    for (topic, partition, offset) in until {
        let partition = DeleteRecordsPartition::default().with_partition_index(*partition).with_offset(*offset);
        topics.entry(topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        let name = TopicName(StrBytes::from_string(topic.to_owned()));
        DeleteRecordsTopic::default().with_name(name).with_partitions(partitions)
    });
    let request = DeleteRecordsRequest::default()
        .with_topics(topics.collect())
        .with_timeout_ms(i32::try_from(DELETE_LIMIT.as_millis()).unwrap_or(i32::MAX));
    let answer = ask(spec, &Address::internal(spec), &request, DELETE_RECORDS, DELETE_LIMIT + LIMIT).await?;
    for topic in answer.topics {
        // A follower that is late drops them when it comes back: here they are gone.
        let mut refused =
            topic.partitions.iter().filter(|partition| ![0, REQUEST_TIMED_OUT].contains(&partition.error_code));
        if let Some(refused) = refused.next() {
            let (topic, partition, error) = (topic.name.as_str(), refused.partition_index, refused.error_code);
            return Err(format!("partition {partition} of {topic}: Kafka answered error {error}"));
        }
    }
    Ok(())
}

/// Of all topics, or of none: then it is about the brokers.
async fn metadata(
    spec: &NodeSpec,
    topics: Option<Vec<kafka_protocol::messages::metadata_request::MetadataRequestTopic>>,
) -> Result<MetadataResponse, String> {
    let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false);
    ask(spec, &Address::internal(spec), &request, METADATA, LIMIT).await
}
