//! The consumer groups that an instance has, asked of every broker: each knows those that it coordinates.
//!
//! Owns whether an answer is complete: all partitions of `__consumer_offsets` have leaders, for a while already, and every
//! one of these has answered that it has loaded what it leads. Groups of every protocol are in one list.

use super::ledger::{Topic, Topics};
use super::log::Inventory;
use super::record::{Id, Want};
use super::topology::Topology;
use crate::gateway::filters::{acls, code};
use crate::inter_broker::{Address, Connection, Peer};
use futures::future::{BoxFuture, try_join_all};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{ListGroupsRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

const OFFSETS: &str = "__consumer_offsets";
/// A broker knows of its leadership before it begins to load: for so long nobody is asked what it coordinates.
const SETTLED: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(5);

// Versions that Kafka 3.9 and 4.x both speak.
const METADATA: i16 = 12;
const LIST_GROUPS: i16 = 4;

const UNKNOWN_TOPIC: i16 = 3;
const DEAD: &str = "Dead";

/// See the module.
pub(in crate::gateway) struct Groups {
    peer: Arc<dyn Fn() -> Arc<Peer> + Send + Sync>,
    listing: Mutex<Listing>,
}

/// Connections that are kept, and who coordinated what at the last look.
#[derive(Default)]
struct Listing {
    kept: HashMap<i32, (Address, Connection)>,
    coordinators: Option<Coordinators>,
}

struct Coordinators {
    /// Leader and epoch of each partition of `__consumer_offsets`; none before there is the topic.
    leaders: Vec<(i32, i32)>,
    since: Instant,
}

impl Groups {
    pub(in crate::gateway) fn new(peer: Arc<dyn Fn() -> Arc<Peer> + Send + Sync>) -> Self {
        Self { peer, listing: Mutex::default() }
    }

    async fn list(&self) -> io::Result<HashSet<String>> {
        let peer = (self.peer)();
        let mut listing = self.listing.lock().await;
        loop {
            let (leaders, brokers) = listing.coordinators(&peer).await?;
            if leaders.is_empty() {
                listing.note(leaders);
                return Ok(HashSet::new());
            }
            let settled = listing.note(leaders.clone());
            if Instant::now() < settled {
                sleep_until(settled).await;
                continue;
            }
            let groups = listing.ask(&peer, &leaders, brokers).await?;
            // What has moved meanwhile may have been asked on neither side.
            if listing.coordinators(&peer).await?.0 == leaders {
                return Ok(groups);
            }
        }
    }
}

impl Listing {
    /// Remembers who coordinates. Gives when that has settled.
    fn note(&mut self, leaders: Vec<(i32, i32)>) -> Instant {
        let now = Instant::now();
        let since = match &self.coordinators {
            Some(known) if known.leaders == leaders => known.since,
            // A topic that was just made has nothing to load.
            Some(known) if known.leaders.is_empty() => now - SETTLED,
            _ => now,
        };
        self.coordinators = Some(Coordinators { leaders, since });
        since + SETTLED
    }

    async fn coordinators(&mut self, peer: &Peer) -> io::Result<(Vec<(i32, i32)>, Vec<MetadataResponseBroker>)> {
        let asked = MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_static_str(OFFSETS))));
        let request = MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(false);
        let (at, mut own) = self.connection(peer, peer.node, &peer.own).await?;
        let answer = own.call(METADATA, &request, LIMIT).await?;
        self.kept.insert(peer.node, (at, own));
        let topic = answer.topics.first().ok_or_else(|| incomplete("no answer about __consumer_offsets"))?;
        if topic.error_code == UNKNOWN_TOPIC {
            return Ok((Vec::new(), answer.brokers));
        }
        let mut leaders = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            if partition.error_code != 0 || !answer.brokers.iter().any(|broker| broker.node_id == partition.leader_id) {
                return Err(incomplete("a partition of __consumer_offsets has no leader"));
            }
            leaders.push((partition.partition_index, (partition.leader_id.0, partition.leader_epoch)));
        }
        if topic.error_code != 0 || leaders.is_empty() {
            return Err(incomplete("__consumer_offsets is not there yet"));
        }
        leaders.sort_unstable();
        Ok((leaders.into_iter().map(|(_, leader)| leader).collect(), answer.brokers))
    }

    /// Groups of all brokers that lead.
    async fn ask(
        &mut self,
        peer: &Peer,
        leaders: &[(i32, i32)],
        brokers: Vec<MetadataResponseBroker>,
    ) -> io::Result<HashSet<String>> {
        let mut connections = Vec::new();
        for broker in brokers.iter().filter(|broker| leaders.iter().any(|leader| leader.0 == broker.node_id.0)) {
            let node = broker.node_id.0;
            let at = if node == peer.node { peer.own.clone() } else { Address::named(&broker.host, broker.port)? };
            connections.push((node, self.connection(peer, node, &at).await?));
        }
        let asked = connections.into_iter().map(async |(node, (at, mut connection))| {
            let groups = groups_of(&mut connection).await?;
            io::Result::Ok((node, (at, connection), groups))
        });
        let mut all = HashSet::new();
        for (node, connection, groups) in try_join_all(asked).await? {
            self.kept.insert(node, connection);
            all.extend(groups);
        }
        Ok(all)
    }

    /// One that was kept, or a new one. It comes back only after it served.
    async fn connection(&mut self, peer: &Peer, node: i32, at: &Address) -> io::Result<(Address, Connection)> {
        match self.kept.remove(&node) {
            Some(kept) if kept.0 == *at => Ok(kept),
            _ => Ok((at.clone(), peer.connect(at).await?)),
        }
    }
}

async fn groups_of(broker: &mut Connection) -> io::Result<Vec<String>> {
    let answer = broker.call(LIST_GROUPS, &ListGroupsRequest::default(), LIMIT).await?;
    if answer.error_code != 0 {
        return Err(incomplete(&format!("a coordinator answers error {}", answer.error_code)));
    }
    let counted =
        answer.groups.into_iter().filter(|group| acls::is_counted(&group.group_id) && &*group.group_state != DEAD);
    Ok(counted.map(|group| group.group_id.to_string()).collect())
}

fn incomplete(why: &str) -> io::Error {
    io::Error::other(format!("groups can't be counted now: {why}"))
}

impl Inventory for Groups {
    fn topics(&self) -> BoxFuture<'_, io::Result<Topics>> {
        Box::pin(async move {
            let groups = self.list().await?;
            // Nobody asks a group for its id: no list is ever behind a deletion that was answered.
            Ok(Topics(groups.into_iter().map(|group| (group, Topic { id: Id(0), partitions: 1 })).collect()))
        })
    }

    fn probe<'a>(&'a self, wants: &'a [Want]) -> BoxFuture<'a, io::Result<Vec<Option<bool>>>> {
        Box::pin(async move {
            let groups = self.list().await?;
            Ok(wants.iter().map(|want| Some(groups.contains(&want.topic))).collect())
        })
    }

    fn is_here<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<bool>> {
        Box::pin(async move {
            let peer = (self.peer)();
            let groups = groups_of(&mut peer.connect(&peer.own).await?).await?;
            Ok(groups.iter().any(|group| group == name))
        })
    }

    /// What a group has made is counted elsewhere: nobody needs to know it here.
    fn topology<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Result<Topology, i16>>> {
        Box::pin(async { Ok(Err(code::GROUP_ID_NOT_FOUND)) })
    }
}
