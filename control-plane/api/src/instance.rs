//! Instances: the Kafka clusters that tenants buy.

use crate::{
    catalogue::Spec,
    id::{InstanceId, JobId, OrderId, ProjectId, QuoteId},
    money::Money,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// States of product.md §3. Which action is allowed in which state is one table:
/// control-plane `domain::states`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    Creating,
    Running,
    Faulty,
    Starting,
    Restarting,
    Freezing,
    Frozen,
    CreateFailed,
    Changing,
    ChangeFailed,
    Deleting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BillingMode {
    /// By the hour.
    #[default]
    Hourly,
    /// For months, paid at once.
    Prepaid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityPolicy {
    /// At 95 % of the disk the oldest tenth is dropped and producing goes on.
    #[default]
    AutoDelete,
    /// At 95 % of the disk produce is refused and consume goes on.
    ProduceLimited,
}

/// An order for an instance. Only `name`, `spec`, `storage_gb` and `disk_type` have no default.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInstance {
    /// 4 to 64 letters, digits, `-` and `_`, beginning with a letter; unique in the project.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{3,63}$")]
    pub name: String,
    /// Name of a spec, `kafka.100` or `100`.
    pub spec: String,
    /// Bought for all replicas together, within the spec's range.
    pub storage_gb: u32,
    /// One of the spec's disk types.
    pub disk_type: String,
    /// One zone, or three and more. Two cannot keep a quorum when one is lost. Default: all of the region.
    #[serde(default)]
    pub zones: Option<Vec<String>>,
    #[serde(default)]
    pub kafka_version: Option<String>,
    #[serde(default)]
    pub billing: BillingOrder,
    #[serde(default)]
    pub access: AccessOrder,
    /// What happens when the disk is full; can be changed later.
    #[serde(default)]
    pub capacity_policy: Option<CapacityPolicy>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// At most 1 024 characters.
    #[serde(default)]
    pub description: String,
    /// The quote that was accepted; the order fails if the price has moved since.
    #[serde(default)]
    pub quote_id: Option<QuoteId>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BillingOrder {
    #[serde(default)]
    pub mode: BillingMode,
    /// Prepaid only: 1 to 9, 12, 24 or 36.
    #[serde(default)]
    pub months: Option<u32>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessOrder {
    /// The first Kafka user. Without it one is made, and its password is shown once, in the job's result.
    #[serde(default)]
    pub sasl_ssl: Option<KafkaUserOrder>,
    /// 9094 and 9095 from the start: each broker gets a public address. Default: neither.
    #[serde(default)]
    pub public_plaintext: bool,
    #[serde(default)]
    pub public_sasl_ssl: bool,
}

#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaUserOrder {
    /// 4 to 64 letters, digits, `-` and `_`, beginning with a letter; not beginning with `sluice`.
    pub user: String,
    /// 8 to 32 characters, three of: upper case, lower case, digit, special; not beginning with `-` (product.md §5).
    #[schema(format = Password)]
    pub password: String,
}

impl std::fmt::Debug for KafkaUserOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaUserOrder").field("user", &self.user).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    pub id: InstanceId,
    pub project_id: ProjectId,
    pub name: String,
    pub description: String,
    pub labels: BTreeMap<String, String>,
    pub state: InstanceState,
    /// Why, when the state is not a good one.
    pub state_reason: Option<String>,
    /// Actions that the state allows now.
    pub allowed_actions: Vec<InstanceAction>,
    pub kafka_version: String,
    pub region: String,
    pub zones: Vec<String>,
    /// The figures it was sold with.
    pub spec: Spec,
    pub storage_gb: u32,
    pub usable_storage_gb: u32,
    pub disk_type: String,
    pub capacity_policy: CapacityPolicy,
    pub auto_create_topics: bool,
    pub deletion_protection: bool,
    pub billing: Billing,
    /// Where clients begin, by path; empty until it runs.
    pub bootstrap: Bootstrap,
    pub brokers: Vec<Broker>,
    /// The job that changes it now.
    pub active_job_id: Option<JobId>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Also the `ETag` header.
    pub etag: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Billing {
    pub mode: BillingMode,
    pub months: Option<u32>,
    pub price: Money,
    pub per: String,
    pub order_id: OrderId,
}

/// One line of a price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OrderLine {
    /// `instance` or `storage`.
    pub item: String,
    pub title: String,
    /// 1, or GB.
    pub quantity: u32,
    pub unit_price: Money,
    /// Percent taken off for a prepaid year or more.
    pub discount_percent: u32,
    pub amount: Money,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Bootstrap {
    /// `host:port,…` of port 9092: plaintext.
    pub private_plaintext: String,
    /// `host:port,…` of port 9093: SASL over TLS.
    pub private_sasl_ssl: String,
    /// `host:port,…` of port 9094: public, plaintext.
    #[serde(default)]
    pub public_plaintext: String,
    /// `host:port,…` of port 9095: public, SASL over TLS.
    #[serde(default)]
    pub public_sasl_ssl: String,
    /// `host:port,…` of the endpoints that lead to port 9011: SASL over TLS.
    #[serde(default)]
    pub cross_network: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Broker {
    pub id: i32,
    pub zone: String,
    pub host: String,
    /// On the public network, while public access is on.
    #[serde(default)]
    pub public_host: Option<String>,
    /// `starting`, `ready`, `failed`, `stopping`, `stopped` or `unknown`.
    pub state: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceAction {
    Update,
    Restart,
    Resize,
    Upgrade,
    Freeze,
    Unfreeze,
    Delete,
    /// Connect, read and manage what is in Kafka.
    Use,
}

/// JSON merge patch (RFC 7396) of an instance.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateInstance {
    #[serde(default, deserialize_with = "crate::patch::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// Null takes it away.
    #[serde(default, deserialize_with = "crate::patch::null_resets", skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A null value removes the label; null in place of all labels removes all.
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub labels: Option<Option<BTreeMap<String, Option<String>>>>,
    /// Null switches it off.
    #[serde(default, deserialize_with = "crate::patch::null_resets", skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
}

/// Filters of the instance list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct InstanceFilter {
    /// States, separated by commas.
    pub state: Option<String>,
    pub name: Option<String>,
    pub id: Option<String>,
    /// A bootstrap address or a part of it.
    pub address: Option<String>,
    pub spec: Option<String>,
    pub zone: Option<String>,
    /// `key:value`.
    pub label: Option<String>,
    /// Contained in name, id or description.
    pub q: Option<String>,
    /// `-created_at` (default), `created_at`, `name` or `-name`.
    pub sort: Option<String>,
    pub created_after: Option<DateTime<Utc>>,
    pub created_before: Option<DateTime<Utc>>,
}

/// A creation that failed: it holds nothing but this record.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FailedCreation {
    pub id: InstanceId,
    pub name: String,
    pub spec: String,
    pub zones: Vec<String>,
    /// Null when the record of its job was removed.
    pub job_id: Option<JobId>,
    /// What went wrong, in a sentence.
    pub cause: String,
    pub created_at: DateTime<Utc>,
    pub failed_at: DateTime<Utc>,
}

/// How many records were removed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Removed {
    pub removed: u64,
}

/// What a change would do, without doing it (`dry_run=true`).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    pub checks: Vec<Check>,
    pub changes: Vec<Change>,
    /// Steps of the job, in order.
    pub steps: Vec<PlannedStep>,
    pub price: Option<PriceChange>,
    /// Seconds that it is expected to take.
    pub eta_seconds: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Check {
    pub code: String,
    /// `ok`, `warning` or `error`.
    pub severity: String,
    pub detail: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// JSON pointer (RFC 6901) into the resource.
    pub path: String,
    pub from: serde_json::Value,
    pub to: serde_json::Value,
    /// `live`, `rolling`, `restart` or `replace`.
    pub effect: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PlannedStep {
    pub name: String,
    pub title: String,
    /// Brokers that the job will show one by one in this step. Empty for other steps.
    #[serde(default)]
    pub brokers: Vec<i32>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PriceChange {
    pub now: Money,
    pub then: Money,
    pub lines: Vec<OrderLine>,
    pub per: String,
}
