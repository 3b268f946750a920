//! Drivers: where nodes run. Mechanics, never policy.
//!
//! Owns the trait that every kind of capacity implements, and one conformance suite for all. A driver may use
//! `domain`, files, processes and the network of its kind; it never sees the database or a tenant's plan.

pub mod local;
pub mod simulation;

use crate::{domain::client_paths::Network, kafka::KafkaControl, nodes::NodeControl};
use async_trait::async_trait;
use broker_api::spec::NodeSpec;
use control_plane_api::id::InstanceId;
use std::{
    collections::BTreeSet,
    fmt::{self, Debug},
    net::IpAddr,
    sync::Arc,
};

/// A node's place in the world: instance and Kafka node id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeRef {
    pub instance: InstanceId,
    pub node_id: i32,
}

impl fmt::Display for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.node_id, self.instance)
    }
}

/// What a driver holds for a node, as seen now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldNode {
    pub node: NodeRef,
    /// A process, pod or simulated node is alive.
    pub alive: bool,
}

/// Why a driver could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// May succeed when tried again: a timeout, a busy resource.
    #[error("{reason}")]
    Transient {
        reason: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Will not succeed by itself: no room, a refused spec, a missing program.
    #[error("{reason}")]
    Permanent {
        reason: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

/// Runs nodes.
///
/// Callers are job steps that may be repeated, at any time, by another replica, after a crash half-way: every method
/// is idempotent, and what it promises holds when it returns `Ok`. An implementor must survive the control plane's
/// death: nodes go on, and a new driver finds them again. Nothing is kept in the driver's memory only.
#[async_trait]
pub trait ClusterDriver: Debug + Send + Sync {
    /// An address on the network for each node that asks and has none there yet, usable as listener and as advertised
    /// host. `taken` are given to others. Returns them in the order of `nodes`; nothing listens there yet.
    async fn choose_addresses(
        &self,
        network: Network,
        nodes: &[NodeRef],
        taken: &BTreeSet<IpAddr>,
    ) -> Result<Vec<IpAddr>, DriverError>;

    /// The node has no public address any more; nothing listens there when this is called. Absent is fine.
    async fn release_public_address(&self, node: NodeRef) -> Result<(), DriverError>;

    /// The node exists and runs (or is starting) with this spec or a newer one. A node that runs is left alone.
    async fn ensure_node(&self, spec: &NodeSpec) -> Result<(), DriverError>;

    /// The build of the node program that nodes are to run ([`broker_api::build`]), as they report it.
    fn build(&self) -> &str;

    /// Supervisor and gateway of the node run this build; Kafka goes on undisturbed, and clients of the old gateway are
    /// asked to come again. What runs it already is left alone.
    async fn renew_node(&self, spec: &NodeSpec) -> Result<(), DriverError>;

    /// Nothing of the node is left: process, directory or volume, addresses. Absent is fine.
    async fn remove_node(&self, node: NodeRef) -> Result<(), DriverError>;

    /// Everything that this driver holds, whoever owns it: what garbage collection and conformance compare.
    async fn list_nodes(&self) -> Result<Vec<HeldNode>, DriverError>;
}

/// One kind of capacity: its driver and the ways to talk to what runs there.
#[derive(Debug, Clone)]
pub struct Platform {
    pub driver: Arc<dyn ClusterDriver>,
    pub nodes: Arc<dyn NodeControl>,
    pub kafka: Arc<dyn KafkaControl>,
}
