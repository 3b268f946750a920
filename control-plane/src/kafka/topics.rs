//! Topics as Kafka shows them. They are changed through the gateways, which count partitions ([`crate::nodes`]), never here.

use super::{
    Cluster,
    wire::{self, WireError},
};
use broker_api::acl::{INTERNAL_TOPICS, is_tenant_topic};
use control_plane_api::topic::{Topic, TopicPartition, TopicSummary};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        DescribeConfigsRequest, MetadataRequest, TopicName,
        describe_configs_request::DescribeConfigsResource,
        metadata_request::MetadataRequestTopic,
        metadata_response::{MetadataResponsePartition, MetadataResponseTopic},
    },
};
use std::collections::BTreeMap;

// Versions that 3.9 and all of 4.x serve.
const METADATA: i16 = 12;
const DESCRIBE_CONFIGS: i16 = 4;

/// `ConfigResource.Type`.
const TOPIC: i8 = 2;
/// `ConfigSource`: set for the topic itself.
const OF_THE_TOPIC: i8 = 1;

/// All but the platform's, as the first broker knows them that answers.
pub(super) async fn list(cluster: &Cluster) -> Result<Vec<TopicSummary>, WireError> {
    let found = metadata(cluster, None).await?;
    Ok(found.iter().filter_map(read).map(|(summary, _)| summary).collect())
}

/// One of them, with what it is set to.
pub(super) async fn show(cluster: &Cluster, name: &str) -> Result<Option<Topic>, WireError> {
    let found = metadata(cluster, Some(name)).await?;
    let Some((summary, partitions)) = found.iter().find_map(read).filter(|(summary, _)| summary.name == name) else {
        return Ok(None);
    };
    Ok(settings(cluster, name).await?.map(|config| Topic { summary, partitions, config }))
}

async fn metadata(cluster: &Cluster, name: Option<&str>) -> Result<Vec<MetadataResponseTopic>, WireError> {
    let wanted = |name| vec![MetadataRequestTopic::default().with_name(Some(TopicName(wire::text(name))))];
    let request = MetadataRequest::default().with_topics(name.map(wanted)).with_allow_auto_topic_creation(false);
    Ok(wire::call(cluster, &request, METADATA).await?.topics)
}

/// `None` for what is not there, and for the platform's.
fn read(topic: &MetadataResponseTopic) -> Option<(TopicSummary, Vec<TopicPartition>)> {
    let name = topic.name.as_ref()?.to_string();
    let is_tenants = is_tenant_topic(&name);
    if topic.partitions.is_empty() || !(is_tenants || INTERNAL_TOPICS.contains(&name.as_str())) {
        return None;
    }
    let mut partitions: Vec<TopicPartition> = topic.partitions.iter().map(partition).collect();
    partitions.sort_by_key(|partition| partition.partition);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let those = |which: fn(&TopicPartition) -> bool| count(partitions.iter().filter(|one| which(one)).count());
    let summary = TopicSummary {
        name,
        partition_count: count(partitions.len()),
        replicas: count(partitions.iter().map(|one| one.replicas.len()).max().unwrap_or_default()),
        internal: !is_tenants,
        under_replicated: those(|one| one.in_sync_replicas.len() < one.replicas.len()),
        leaderless: those(|one| one.leader.is_none()),
    };
    Some((summary, partitions))
}

fn partition(found: &MetadataResponsePartition) -> TopicPartition {
    TopicPartition {
        partition: found.partition_index,
        leader: Some(found.leader_id.0).filter(|leader| *leader >= 0),
        replicas: found.replica_nodes.iter().map(|broker| broker.0).collect(),
        in_sync_replicas: found.isr_nodes.iter().map(|broker| broker.0).collect(),
    }
}

/// Settings of the topic's own; `None` when it has gone meanwhile.
async fn settings(cluster: &Cluster, name: &str) -> Result<Option<BTreeMap<String, String>>, WireError> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(wire::text(name))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let Some(result) = wire::call(cluster, &request, DESCRIBE_CONFIGS).await?.results.into_iter().next() else {
        return Ok(None);
    };
    if ResponseError::try_from_code(result.error_code) == Some(ResponseError::UnknownTopicOrPartition) {
        return Ok(None);
    }
    wire::refused(result.error_code, result.error_message)?;
    let own = result.configs.into_iter().filter(|setting| setting.config_source == OF_THE_TOPIC);
    Ok(Some(own.filter_map(|setting| Some((setting.name.to_string(), setting.value?.to_string()))).collect()))
}
