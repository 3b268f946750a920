//! The catalogue: what can be bought, where, at which price (product.md §1).

use crate::money::Amount;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Region {
    /// `local-1`.
    pub name: String,
    pub title: String,
    pub zones: Vec<Zone>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Zone {
    /// `local-1a`.
    pub name: String,
    pub region: String,
    /// Specs for which this zone has no room for one more broker now.
    pub sold_out_specs: Vec<String>,
}

/// A bandwidth spec. An instance keeps the figures it was sold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Spec {
    /// `kafka.100`; `100` is accepted for it wherever a spec is named.
    pub name: String,
    /// Baseline bandwidth, MB/s, one direction.
    pub bandwidth_mb_per_s: u32,
    pub brokers: u32,
    pub broker_vcpus: u32,
    pub broker_memory_gib: u32,
    pub disk_types: Vec<String>,
    /// Messages of 1 KB a second.
    pub tps_high_throughput: u32,
    /// Messages of 1 KB a second with synchronous replication, by disk type.
    pub tps_synchronous_replication: Vec<DiskTps>,
    pub partitions: u32,
    pub client_connections: u32,
    pub consumer_groups: u32,
    pub advised_traffic_mb_per_s: u32,
    pub storage_gb_min: u32,
    pub storage_gb_max: u32,
    pub price_per_month: Amount,
    pub price_per_hour: Amount,
    pub available: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiskTps {
    pub disk_type: String,
    pub tps: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiskType {
    /// `high` or `ultra`.
    pub name: String,
    pub title: String,
    pub latency_ms: String,
    /// Reads and writes together, at most.
    pub throughput_mb_per_s: u32,
    pub price_per_gb_month: Amount,
    pub price_per_gb_hour: Amount,
    pub available: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KafkaVersion {
    /// `4.3.1`.
    pub version: String,
    /// The version taken when an order names none.
    pub default: bool,
    /// Oldest client that it serves, `0.10` or `2.1` (KIP-896).
    pub oldest_client: String,
    pub available: bool,
}

/// Operator: add or price a spec. Instances already sold keep their figures.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSpec {
    pub bandwidth_mb_per_s: u32,
    pub brokers: u32,
    pub broker_vcpus: u32,
    pub broker_memory_gib: u32,
    pub disk_types: Vec<String>,
    pub tps_high_throughput: u32,
    pub tps_synchronous_replication: Vec<DiskTps>,
    pub partitions: u32,
    pub client_connections: u32,
    pub consumer_groups: u32,
    pub advised_traffic_mb_per_s: u32,
    pub storage_gb_min: u32,
    pub storage_gb_max: u32,
    pub price_per_month: Amount,
    pub price_per_hour: Amount,
    /// False retires it: it can no longer be bought.
    pub available: bool,
}

/// Operator: offer or retire a Kafka version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutKafkaVersion {
    pub default: bool,
    pub oldest_client: String,
    pub available: bool,
}

/// Room of a zone, for the operator.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ZoneRoom {
    pub zone: String,
    pub vcpus_total: u32,
    pub vcpus_used: u32,
    pub memory_gib_total: u32,
    pub memory_gib_used: u32,
    pub storage_gb_total: u64,
    pub storage_gb_used: u64,
    pub updated_at: DateTime<Utc>,
}

/// Operator: room of a zone for brokers. What is taken of it stays taken.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutZoneRoom {
    pub vcpus: u32,
    pub memory_gib: u32,
    pub storage_gb: u64,
}
