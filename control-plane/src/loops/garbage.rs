//! Removes nodes that no broker of the catalogue owns.
//!
//! Such a node is what a runner left that lost its job in the middle of a start, or a removal that a crash cut short. The
//! driver is asked first and the catalogue after it: brokers are recorded before their nodes are made, and ids never come
//! back, so what is in the first answer and not in the second has no owner and will have none.

use super::Keeper;
use crate::{drivers::NodeRef, jobs::engine::chain, store::loops};
use chrono::{DateTime, Duration, Utc};
use std::collections::BTreeMap;

/// How long a node must be without an owner before it is removed.
const GRACE: Duration = Duration::seconds(60);

#[derive(Debug, Default)]
pub struct Garbage {
    /// Since when a node was seen without an owner.
    ownerless: BTreeMap<NodeRef, DateTime<Utc>>,
}

impl Garbage {
    pub async fn pass(&mut self, keeper: &Keeper) -> Result<(), super::LoopError> {
        let driver = &keeper.platform.driver;
        let held = driver.list_nodes().await?;
        let entitled = loops::entitled(&mut *keeper.db.system_connection().await?).await?;
        let now = keeper.clock.now();
        let before = std::mem::take(&mut self.ownerless);
        for node in held.into_iter().map(|held| held.node) {
            if entitled.contains(&(node.instance, node.node_id)) {
                continue;
            }
            let since = before.get(&node).copied().unwrap_or(now);
            if now - since < GRACE {
                self.ownerless.insert(node, since);
                continue;
            }
            match driver.remove_node(node).await {
                Ok(()) => {
                    tracing::warn!(instance = %node.instance, node = node.node_id, "removed a node that nobody owned")
                }
                Err(error) => {
                    self.ownerless.insert(node, since);
                    let cause = chain(&error);
                    tracing::error!(instance = %node.instance, node = node.node_id, cause, "cannot remove a node that nobody owns");
                }
            }
        }
        Ok(())
    }
}
