//! The partitions that an instance has: topics are in every broker's metadata.

use super::ledger::{Topic, Topics};
use super::log::Inventory;
use super::log_topic::millis;
use super::record::{Id, Want};
use super::topology::Topology;
use crate::gateway::filters::{acls, streams};
use crate::inter_broker::{Connection, Peer};
use futures::future::BoxFuture;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::{CreatePartitionsRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

const LIMIT: Duration = Duration::from_secs(5);

// Versions that Kafka 3.9 and 4.x both speak.
const METADATA: i16 = 12;
const CREATE_PARTITIONS: i16 = 3;
/// StreamsGroupDescribe and its version, of 4.x alone: before, nobody asks.
const DESCRIBE_STREAMS: (i16, i16) = (89, 0);

const UNKNOWN_TOPIC: i16 = 3;
/// Of a topic that has as many, or more.
const INVALID_PARTITIONS: i16 = 37;

/// See the module.
pub(in crate::gateway) struct Partitions {
    peer: Arc<dyn Fn() -> Arc<Peer> + Send + Sync>,
    own: Mutex<Option<Connection>>,
    described: Mutex<Option<Connection>>,
}

impl Partitions {
    pub(in crate::gateway) fn new(peer: Arc<dyn Fn() -> Arc<Peer> + Send + Sync>) -> Self {
        Self { peer, own: Mutex::default(), described: Mutex::default() }
    }

    async fn connect_own(&self) -> io::Result<Connection> {
        let peer = (self.peer)();
        peer.connect(&peer.own).await
    }
}

impl Inventory for Partitions {
    fn topics(&self) -> BoxFuture<'_, io::Result<Topics>> {
        Box::pin(async move {
            let mut kept = self.own.lock().await;
            let mut own = match kept.take() {
                Some(own) => own,
                None => self.connect_own().await?,
            };
            let topics = read_topics(&mut own).await?;
            *kept = Some(own);
            Ok(topics)
        })
    }

    fn probe<'a>(&'a self, wants: &'a [Want]) -> BoxFuture<'a, io::Result<Vec<Option<bool>>>> {
        // A connection of its own, and a new one: it must not be older than what it looks for.
        Box::pin(async move { probe(&mut self.connect_own().await?, wants).await })
    }

    /// Who makes a topic that exists, or adds partitions, is told by Kafka: nobody needs to know it here.
    fn is_here<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<bool>> {
        Box::pin(async { Ok(false) })
    }

    fn topology<'a>(&'a self, group: &'a str) -> BoxFuture<'a, io::Result<Result<Topology, i16>>> {
        Box::pin(async move {
            let mut kept = self.described.lock().await;
            let mut own = match kept.take() {
                Some(own) => own,
                None => self.connect_own().await?,
            };
            let told = own.call_raw(DESCRIBE_STREAMS.0, DESCRIBE_STREAMS.1, &streams::describe(group), LIMIT).await?;
            *kept = Some(own);
            streams::described(&told).map_err(io::Error::other)
        })
    }
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
