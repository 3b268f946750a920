//! How many clients may be connected to an instance.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The limits in force, and how many connections there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionLimits {
    /// Open connections of clients to all brokers that answered.
    pub used: u64,
    /// Connections to all brokers together; the next one is refused.
    pub total: u32,
    /// The most that `total` may be set to: that of the spec, if the operator gave no other.
    pub allowed: u32,
    /// Connections of one client IP address to one broker.
    pub per_ip: u32,
    /// Brokers that answered, by id.
    pub brokers: Vec<BrokerConnections>,
    /// Brokers that did not answer: their connections are not in `used`.
    pub silent_brokers: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BrokerConnections {
    pub broker_id: i32,
    /// Open connections of clients.
    pub used: u32,
}

/// JSON merge patch (RFC 7396) of the limits; null takes a field back to its default.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateConnectionLimits {
    /// 1 to `allowed`, which is the default.
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub total: Option<Option<u32>>,
    /// 1 to `allowed`; 200 by default.
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub per_ip: Option<Option<u32>>,
}

/// How many connections an instance's tenant may allow.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutConnectionAllowance {
    /// To all brokers together, 1 to 100 000; null: as many as the spec says.
    #[schema(minimum = 1, maximum = 100000)]
    pub connections: Option<u32>,
}
