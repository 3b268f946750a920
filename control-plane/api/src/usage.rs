//! How much an instance uses of what it was sold.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Of all topics but those of Kafka and the platform.
    pub partitions: PartitionUsage,
    /// Of every protocol, with members or with offsets only. `null` while it can't be told: a broker is on its way back, and the
    /// groups that it looked after are being taken over.
    pub groups: Option<GroupUsage>,
    /// Of clients to all brokers that answer.
    pub connections: ConnectionUsage,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionUsage {
    /// Open now.
    pub used: u64,
    pub limit: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionUsage {
    /// As the brokers know it now, with what is being made.
    pub used: u64,
    pub limit: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupUsage {
    /// As the brokers know it now, with what is being made.
    pub used: u64,
    pub limit: u64,
}
