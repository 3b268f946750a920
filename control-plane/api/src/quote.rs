//! Prices before they are charged.

use crate::{
    id::QuoteId,
    instance::{BillingMode, OrderLine},
    money::Money,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Ask for the price of an instance.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateQuote {
    /// Name of a spec, `kafka.100` or `100`.
    pub spec: String,
    pub storage_gb: u32,
    pub disk_type: String,
    /// One zone, or three and more. Without it, all zones of the region.
    #[serde(default)]
    pub zones: Option<Vec<String>>,
    #[serde(default)]
    pub billing: BillingMode,
    /// Prepaid: 1 to 9, 12, 24 or 36 months.
    #[serde(default)]
    pub months: Option<u32>,
}

/// A price, good until `valid_until`; an order that names it fails if the price has moved since.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Quote {
    pub id: QuoteId,
    pub spec: String,
    pub storage_gb: u32,
    /// Of `storage_gb`, what is left for messages of all replicas (product.md §1).
    pub usable_storage_gb: u32,
    pub disk_type: String,
    pub zones: Vec<String>,
    pub billing: BillingMode,
    pub months: Option<u32>,
    /// What the price is made of.
    pub lines: Vec<OrderLine>,
    /// For the whole prepaid time, or an hour.
    pub total: Money,
    /// `hour`, or `N months`.
    pub per: String,
    /// False when a zone has no room for it now.
    pub in_stock: bool,
    /// Zones without room.
    pub sold_out_zones: Vec<String>,
    pub valid_until: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
}
