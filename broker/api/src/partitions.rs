//! How many partitions an instance has, and may have.

use serde::{Deserialize, Serialize};

/// Of all topics but those of Kafka and the platform.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionUse {
    /// Those that are being made right now among them.
    pub used: u64,
    /// 0 is no limit.
    pub limit: u64,
}
