//! Bandwidth of an instance: what was bought, each broker's share of it, and what is used now.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Records count: Produce requests on their way in, Fetch responses on their way out. Replication between brokers does not.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Bandwidth {
    /// Baseline of the spec in one direction, all brokers together.
    pub bought_bytes_per_second: u64,
    /// What one broker has of it in each direction.
    pub share_bytes_per_second: u64,
    /// Brokers that answered, by id.
    pub brokers: Vec<BrokerBandwidth>,
    /// Brokers that did not answer.
    pub silent_brokers: Vec<i32>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BrokerBandwidth {
    pub broker_id: i32,
    /// From clients.
    pub ingress: DirectionBandwidth,
    /// To clients.
    pub egress: DirectionBandwidth,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DirectionBandwidth {
    /// What the broker holds its clients to now; null: to nothing.
    pub limit_bytes_per_second: Option<u64>,
    /// Mean of about the last 10 seconds.
    pub bytes_per_second: u64,
    /// Time that connections waited for bandwidth, all together, since the broker's gateway began.
    pub paused_ms: u64,
}
