//! The control API of nodes, as the control plane uses it.
//!
//! Owns [`NodeControl`] and its implementation over HTTPS. May use the network and `pki`; knows no database, driver or Kafka.

mod https;

pub use https::HttpsNodes;

use async_trait::async_trait;
use broker_api::{
    connections::{AskUnkept, CloseConnections, ClosedConnections, ConnectionList, ListConnections, Unkept},
    groups::GroupUse,
    partitions::PartitionUse,
    spec::{NodeSpec, TlsIdentity},
    status::NodeStatus,
    topics::{ChangeTopic, TopicOutcome},
};
use std::{fmt::Debug, net::SocketAddr, sync::Arc};

/// A node's control API, and who we are to it.
#[derive(Debug, Clone)]
pub struct NodeAddress {
    /// From the node's spec; the node's certificate must be for this IP address.
    pub control: SocketAddr,
    /// Certificate `CN=sluice-control-plane` of the instance's internal CA, its key, and that CA, by which the node is
    /// verified. The same for every node of an instance.
    pub identity: Arc<TlsIdentity>,
}

/// Why a node did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Not reached, or not in time: it may be starting, or gone.
    #[error("node at {address} does not answer: {reason}")]
    Unreachable { address: SocketAddr, reason: String },
    /// It has a newer spec than the one pushed.
    #[error("node at {address} is at generation {in_force}, the spec pushed is older")]
    Stale { address: SocketAddr, in_force: u64 },
    /// It runs a release that does not know all of the spec.
    #[error("node at {address} runs another release: {reason}")]
    Outdated { address: SocketAddr, reason: String },
    /// It will not do it, however often it is asked.
    #[error("node at {address} refused: {reason}")]
    Refused { address: SocketAddr, reason: String },
}

/// Talks to nodes over mutual TLS.
#[async_trait]
pub trait NodeControl: Debug + Send + Sync {
    async fn status(&self, node: &NodeAddress) -> Result<NodeStatus, NodeError>;

    /// Pushes desired state; a repeat of what is in force succeeds.
    async fn push_spec(&self, node: &NodeAddress, spec: &NodeSpec) -> Result<NodeStatus, NodeError>;

    /// What the node counts, in OpenMetrics text.
    async fn metrics(&self, node: &NodeAddress) -> Result<String, NodeError>;

    /// Partitions of the instance.
    async fn partitions(&self, node: &NodeAddress) -> Result<PartitionUse, NodeError>;

    /// Consumer groups of the instance as this node counts them.
    async fn groups(&self, node: &NodeAddress) -> Result<GroupUse, NodeError>;

    /// Has the node's gateway make, grow or delete a topic, within the instance's limit. After `Unreachable` it may have been done.
    async fn change_topic(&self, node: &NodeAddress, change: &ChangeTopic) -> Result<TopicOutcome, NodeError>;

    /// Client connections that the node serves now, by rising id.
    async fn list_connections(&self, node: &NodeAddress, asked: &ListConnections) -> Result<ConnectionList, NodeError>;

    /// Ends client connections; those that are gone are passed over.
    async fn close_connections(
        &self,
        node: &NodeAddress,
        which: &CloseConnections,
    ) -> Result<ClosedConnections, NodeError>;

    /// Connections that a change of the trusted client certificates would end. Changes nothing.
    async fn unkept_connections(&self, node: &NodeAddress, asked: &AskUnkept) -> Result<Unkept, NodeError>;

    /// The certificate (DER) that a TLS listener shows to a client which trusts `ca_pem` only and reaches it by `name`.
    /// Refused: the client would not go on. Unreachable: there was no handshake.
    async fn shown_certificate(&self, listener: SocketAddr, name: &str, ca_pem: &str) -> Result<Vec<u8>, NodeError>;
}
