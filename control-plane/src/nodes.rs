//! The control API of nodes, as the control plane uses it.

use async_trait::async_trait;
use broker_api::{spec::NodeSpec, status::NodeStatus};
use std::{fmt::Debug, net::SocketAddr};

/// Why a node did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Not reached, or not in time: it may be starting, or gone.
    #[error("node at {address} cannot be reached: {reason}")]
    Unreachable { address: SocketAddr, reason: String },
    /// It has a newer spec than the one pushed.
    #[error("node at {address} is at generation {in_force}, the spec pushed is older")]
    Stale { address: SocketAddr, in_force: u64 },
    #[error("node at {address} refused: {reason}")]
    Refused { address: SocketAddr, reason: String },
}

/// Talks to nodes over mutual TLS.
#[async_trait]
pub trait NodeControl: Debug + Send + Sync {
    /// `address`: control API of the node, from its spec.
    async fn status(&self, address: SocketAddr) -> Result<NodeStatus, NodeError>;

    /// Pushes desired state; a repeat of what is in force succeeds.
    async fn push_spec(&self, address: SocketAddr, spec: &NodeSpec) -> Result<NodeStatus, NodeError>;
}
