//! How much an instance uses of what it was sold.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Of all topics but those of Kafka and the platform.
    pub partitions: PartitionUsage,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionUsage {
    /// As the brokers know it now, with what is being made.
    pub used: u64,
    pub limit: u64,
}
