//! Capacity of an instance: how full its disks are, and what happens when they are.

use crate::instance::CapacityPolicy;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The policy, and how full each broker's share of the disk is that was bought.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Capacity {
    pub policy: CapacityPolicy,
    /// From how much of the disk that was bought the policy holds.
    pub threshold_percent: u8,
    /// Of the fullest broker; null while none answers.
    pub used_percent: Option<f64>,
    /// The worst of all brokers; null while none answers.
    pub state: Option<CapacityState>,
    /// Seconds until the first broker is at the threshold, if it grows on as in the last ten minutes.
    pub full_in_seconds: Option<u64>,
    /// How near it came to being full, the newest first; the last 20 are kept.
    pub notices: Vec<CapacityNotice>,
    /// Brokers that answered, by id.
    pub brokers: Vec<BrokerCapacity>,
    /// Brokers that did not answer.
    pub silent_brokers: Vec<i32>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BrokerCapacity {
    pub broker_id: i32,
    /// Its share of the disk that was bought.
    pub disk_bytes: u64,
    pub used_bytes: u64,
    pub used_percent: f64,
    pub state: CapacityState,
    /// Since when it is in this state.
    pub since: DateTime<Utc>,
    /// Why, in a sentence; empty while there is room.
    pub reason: String,
    /// Of the last ten minutes; negative while it shrinks.
    pub growth_bytes_per_second: i64,
    /// Until the threshold, if it grows on like this.
    pub full_in_seconds: Option<u64>,
    /// Dropped by `auto-delete` since the broker's gateway began.
    pub deleted_bytes: u64,
}

/// Told when the level changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CapacityNotice {
    pub level: CapacityLevel,
    /// The broker that is nearest to being full.
    pub broker_id: i32,
    /// Of the disk that was bought.
    pub used_percent: f64,
    /// Until the threshold, if it grew on as in the ten minutes before.
    pub full_in_seconds: Option<u64>,
    pub at: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityLevel {
    /// There is room again.
    #[default]
    Room,
    /// Nine tenths of the threshold are used; or half of it, and all of it within six hours if it grows on like this.
    Filling,
    /// The policy holds.
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityState {
    /// There is room.
    Normal,
    /// The oldest data is being dropped; producing goes on.
    Deleting,
    /// Produce is refused; consume goes on.
    ProduceLimited,
}

/// JSON merge patch (RFC 7396) of the capacity; null takes a field back to its default.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateCapacity {
    #[serde(default, deserialize_with = "crate::patch::null_resets", skip_serializing_if = "Option::is_none")]
    pub policy: Option<CapacityPolicy>,
    /// 1 to 98; 95 by default.
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 98)]
    pub threshold_percent: Option<Option<u8>>,
}
