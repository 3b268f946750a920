//! What gateways write to the log of connections. JSON, so that an operator can read it with any consumer.

use crate::gateway::admission::record::Id;
use serde::{Deserialize, Serialize};

/// How the permits are shared from here on. It is in force if it follows the record that is in force, else it is void: of
/// two that were written at once the first one counts, and one that arrives late or twice never does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::gateway) struct Record {
    /// The gateway that wrote it.
    pub(in crate::gateway) by: Id,
    /// Offset of the record that was in force; none at the log's beginning.
    pub(in crate::gateway) follows: Option<i64>,
    pub(in crate::gateway) limit: Limit,
    pub(in crate::gateway) held: Vec<Held>,
}

/// How many the instance may have. That of the higher generation is known to fewer and counts for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::gateway) struct Limit {
    pub(in crate::gateway) generation: u64,
    pub(in crate::gateway) most: u32,
}

/// Permits of one gateway: it never has more connections open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::gateway) struct Held {
    pub(in crate::gateway) gateway: Id,
    /// Whose broker it stands before.
    pub(in crate::gateway) node: i32,
    pub(in crate::gateway) permits: u32,
}
