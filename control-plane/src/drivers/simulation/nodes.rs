//! [`NodeControl`] of a simulated world.

use super::{
    Simulation,
    faults::{Operation, Severity},
    world::{Failure, Node, State, World},
};
use crate::{
    nodes::{NodeAddress, NodeControl, NodeError},
    pki::{self, Facts, PkiError},
};
use async_trait::async_trait;
use broker_api::{
    connections::{AskUnkept, CloseConnections, ClosedConnections, ConnectionList, ListConnections, Unkept},
    groups::GroupUse,
    partitions::PartitionUse,
    spec::NodeSpec,
    status::{
        BandwidthStatus, BrokerState, BrokerStatus, CapacityState, CapacityStatus, DirectionStatus, GatewayStatus,
        NodeState, NodeStatus, ProcessIdentity,
    },
    topics::{ChangeTopic, NewTopic, Shortage, TopicChange, TopicOutcome},
};
use chrono::{DateTime, Utc};
use std::net::SocketAddr;

// Kafka's error codes.
const UNKNOWN_TOPIC: i16 = 3;
const TOPIC_EXISTS: i16 = 36;
const INVALID_PARTITIONS: i16 = 37;

/// Exits in a row that a broken node reports.
const FAILURES: u32 = 5;

#[async_trait]
impl NodeControl for Simulation {
    async fn status(&self, node: &NodeAddress) -> Result<NodeStatus, NodeError> {
        let answer = self.world.operate(Operation::NodeStatus, |state, world| {
            Ok(find(state, node).map(|held| report(state, world, held)))
        });
        answer.await.map_err(|failure| as_node_error(node.control, failure))?
    }

    async fn push_spec(&self, node: &NodeAddress, spec: &NodeSpec) -> Result<NodeStatus, NodeError> {
        let push = |state: &mut State, world: &World| {
            Ok(find(state, node).map(|held| held.spec.generation).and_then(|in_force| {
                if spec.generation < in_force {
                    return Err(NodeError::Stale { address: node.control, in_force });
                }
                let owner = state.by_address.get(&node.control.ip()).copied();
                if let Some(held) = owner.and_then(|owner| state.nodes.get_mut(&owner)) {
                    held.spec = spec.clone();
                }
                find(state, node).map(|held| report(state, world, held))
            }))
        };
        let answer = self.world.operate(Operation::PushSpec, push);
        answer.await.map_err(|failure| as_node_error(node.control, failure))?
    }

    /// Nobody does anything that could be counted.
    async fn metrics(&self, node: &NodeAddress) -> Result<String, NodeError> {
        let NodeStatus { state, generation, .. } = self.status(node).await?;
        let ready = u8::from(state == NodeState::Ready);
        Ok(format!(
            "# TYPE sluice_node_ready gauge\nsluice_node_ready {ready}\n# TYPE sluice_node_spec_generation gauge\n\
             sluice_node_spec_generation {generation}\n# TYPE sluice_node_connections_refused counter\n\
             sluice_node_connections_refused_total{{path=\"private-plaintext\",reason=\"too-many-connections\"}} 0\n# EOF\n"
        ))
    }

    async fn partitions(&self, node: &NodeAddress) -> Result<PartitionUse, NodeError> {
        let answer = self.world.operate(Operation::NodeStatus, |state, _| Ok(partitions(state, node)));
        answer.await.map_err(|failure| as_node_error(node.control, failure))?
    }

    async fn change_topic(&self, node: &NodeAddress, asked: &ChangeTopic) -> Result<TopicOutcome, NodeError> {
        let answer = self.world.operate(Operation::ChangeTopic, |state, _| Ok(change_topic(state, node, asked)));
        answer.await.map_err(|failure| as_node_error(node.control, failure))?
    }

    /// Nobody makes groups in a simulated instance.
    async fn groups(&self, node: &NodeAddress) -> Result<GroupUse, NodeError> {
        let answer = self.world.operate(Operation::NodeStatus, |state, _| {
            let limit = |held: &Node| held.spec.gateway.limits.max_groups.into();
            Ok(find(state, node).map(|held| GroupUse { used: 0, limit: limit(held) }))
        });
        answer.await.map_err(|failure| as_node_error(node.control, failure))?
    }

    /// Nobody connects to a simulated node.
    async fn list_connections(&self, node: &NodeAddress, _: &ListConnections) -> Result<ConnectionList, NodeError> {
        self.status(node).await.map(|_| ConnectionList::default())
    }

    async fn close_connections(
        &self,
        node: &NodeAddress,
        _: &CloseConnections,
    ) -> Result<ClosedConnections, NodeError> {
        self.status(node).await.map(|_| ClosedConnections::default())
    }

    async fn unkept_connections(&self, node: &NodeAddress, _: &AskUnkept) -> Result<Unkept, NodeError> {
        self.status(node).await.map(|_| Unkept::default())
    }

    async fn shown_certificate(&self, listener: SocketAddr, name: &str, ca_pem: &str) -> Result<Vec<u8>, NodeError> {
        let answer = self
            .world
            .operate(Operation::Handshake, |state, world| Ok(show(state, listener, name, ca_pem, world.clock.now())));
        answer.await.map_err(|failure| as_node_error(listener, failure))?
    }
}

/// As all nodes of an instance count them.
fn partitions(state: &State, node: &NodeAddress) -> Result<PartitionUse, NodeError> {
    let limit = find(state, node)?.spec.gateway.limits.max_partitions.into();
    let kafka = state.by_address.get(&node.control.ip()).and_then(|owner| state.kafka.get(&owner.instance));
    let used = kafka.into_iter().flat_map(|kafka| kafka.topics.values()).map(|topic| u64::from(topic.partitions)).sum();
    Ok(PartitionUse { used, limit })
}

/// What gateways and Kafka would make of it.
fn change_topic(state: &mut State, node: &NodeAddress, asked: &ChangeTopic) -> Result<TopicOutcome, NodeError> {
    let PartitionUse { used, limit } = partitions(state, node)?;
    let Some(owner) = state.by_address.get(&node.control.ip()).copied() else { return Ok(TopicOutcome::Done) };
    let topics = &mut state.kafka.entry(owner.instance).or_default().topics;
    let refused = |error, message: &str| Ok(TopicOutcome::Refused { error, message: message.to_owned() });
    let present = topics.get(&asked.topic).cloned();
    let there = present.as_ref().map_or(0, |topic| topic.partitions);
    let next = match (&asked.change, present) {
        (TopicChange::Create(_), Some(_)) => return refused(TOPIC_EXISTS, "Topic already exists."),
        (TopicChange::Create(topic), None) => Some(topic.clone()),
        (_, None) => return refused(UNKNOWN_TOPIC, "This server does not host this topic-partition."),
        (TopicChange::Grow { partitions }, Some(topic)) => {
            if *partitions <= topic.partitions {
                return refused(INVALID_PARTITIONS, "The topic has as many.");
            }
            Some(NewTopic { partitions: *partitions, ..topic })
        }
        (TopicChange::Delete, Some(_)) => None,
    };
    let wanted = next.as_ref().map_or(0, |topic| u64::from(topic.partitions.saturating_sub(there)));
    if used + wanted > limit {
        return Ok(TopicOutcome::Full(Shortage { limit, used, wanted }));
    }
    if !asked.validate_only {
        match next {
            Some(topic) => drop(topics.insert(asked.topic.clone(), topic)),
            None => drop(topics.remove(&asked.topic)),
        }
    }
    Ok(TopicOutcome::Done)
}

/// What a handshake would come to.
fn show(
    state: &State,
    address: SocketAddr,
    name: &str,
    ca_pem: &str,
    now: DateTime<Utc>,
) -> Result<Vec<u8>, NodeError> {
    let refused = |error: PkiError| NodeError::Refused { address, reason: error.to_string() };
    let owner = state.by_address.get(&address.ip()).or_else(|| state.public.get(&address.ip()));
    let held = owner.and_then(|owner| state.nodes.get(owner)).filter(|held| held.alive);
    let listens = |held: &&Node| held.spec.gateway.listeners.iter().any(|one| one.bind == address && one.path.is_tls());
    let Some(held) = held.filter(listens) else {
        return Err(NodeError::Unreachable { address, reason: "connection refused".to_owned() });
    };
    let shown = &held.spec.gateway.server_tls.certificate_pem;
    pki::verify_shown(shown, ca_pem, name, now).map_err(refused)?;
    let leaf = pki::certificates(shown).map_err(refused)?.into_iter().next();
    Ok(leaf.map(|leaf| leaf.to_vec()).unwrap_or_default())
}

fn as_node_error(address: SocketAddr, failure: Failure) -> NodeError {
    match failure.severity {
        Severity::Transient => NodeError::Unreachable { address, reason: failure.reason },
        Severity::Permanent => NodeError::Refused { address, reason: failure.reason },
    }
}

fn find<'a>(state: &'a State, address: &NodeAddress) -> Result<&'a Node, NodeError> {
    let control = address.control;
    let unreachable = |reason: &str| NodeError::Unreachable { address: control, reason: reason.to_owned() };
    let owner = state.by_address.get(&control.ip()).ok_or_else(|| unreachable("no node has this address"))?;
    let held = state.nodes.get(owner).filter(|held| held.alive).ok_or_else(|| unreachable("connection refused"))?;
    if held.spec.gateway.control != control {
        return Err(unreachable("connection refused"));
    }
    // What mutual TLS would say.
    if held.spec.gateway.control_tls.ca_pem != address.identity.ca_pem {
        return Err(unreachable("the node's certificate is not of the instance's authority"));
    }
    Ok(held)
}

fn report(state: &State, world: &World, held: &Node) -> NodeStatus {
    let spec = &held.spec;
    let broken = state.broken.get(&spec.identity.node_id);
    let ready = broken.is_none() && world.clock.now() >= held.ready_at;
    let (node_state, broker_state, reason) = match broken {
        Some(reason) => (NodeState::Failed, BrokerState::BackingOff, reason.clone()),
        None if ready => (NodeState::Ready, BrokerState::Running, String::new()),
        None => (NodeState::Starting, BrokerState::Starting, "the broker is starting".to_owned()),
    };
    NodeStatus {
        instance: spec.identity.instance.clone(),
        node_id: spec.identity.node_id,
        generation: spec.generation,
        state: node_state,
        reason,
        broker: BrokerStatus {
            state: broker_state,
            pid: None,
            restarts: held.starts.saturating_sub(1),
            failures: if broken.is_some() { FAILURES } else { 0 },
            last_exit: broken.cloned().unwrap_or_default(),
            kafka_version: spec.kafka.version.clone(),
            identity: ProcessIdentity {
                instance: spec.identity.instance.clone(),
                node_id: spec.identity.node_id,
                nonce: "simulated".to_owned(),
                pid: 0,
                boot_id: "simulated".to_owned(),
                start_ticks: 0,
                gateway_pid: None,
                build: held.build.clone(),
            },
        },
        gateway: GatewayStatus {
            build: held.build.clone(),
            listening: spec
                .gateway
                .listeners
                .iter()
                .filter(|_| ready)
                .map(|listener| listener.path.as_str().to_owned())
                .collect(),
            bandwidth: Some(BandwidthStatus {
                ingress: idle(spec.gateway.limits.ingress_bytes_per_second),
                egress: idle(spec.gateway.limits.egress_bytes_per_second),
            }),
            certificate_serial: Facts::of_pem(&spec.gateway.server_tls.certificate_pem)
                .map_or_else(|_| String::new(), |facts| facts.serial),
            ..GatewayStatus::default()
        },
        supervisor_away: held.unwatched,
        version: "simulated".to_owned(),
        capacity: Some(CapacityStatus {
            used_bytes: 0,
            disk_bytes: spec.kafka.disk_bytes,
            state: CapacityState::Normal,
            since_ms: held.ready_at.timestamp_millis(),
            reason: String::new(),
            growth_bytes_per_second: 0,
            full_in_seconds: None,
            deleted_bytes: 0,
        }),
    }
}

/// Nobody sends a simulated node anything.
fn idle(limit_bytes_per_second: Option<u64>) -> DirectionStatus {
    DirectionStatus { limit_bytes_per_second, ..DirectionStatus::default() }
}
