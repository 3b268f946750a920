//! Step `reserve-addresses`.

use super::{Context, InstanceCreate};
use crate::{
    drivers::NodeRef,
    jobs::{
        engine::{Step, StepError},
        workflow::provisioning::{load, remove_nodes},
    },
    store::provisioning as rows,
};
use async_trait::async_trait;
use control_plane_api::problem::ProblemCode;

/// Other jobs choose at the same time; whoever writes first keeps the address.
const ROUNDS: u32 = 10;

/// Every broker has an address of its own.
pub(super) struct ReserveAddresses;

#[async_trait]
impl Step<InstanceCreate> for ReserveAddresses {
    fn name(&self) -> &'static str {
        "reserve-addresses"
    }

    fn title(&self) -> &'static str {
        "Reserve addresses"
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        let id = context.params.instance_id;
        for _ in 0..ROUNDS {
            let (instance, brokers) = load(context, id).await?;
            let without: Vec<i32> =
                brokers.iter().filter(|broker| broker.address.is_none()).map(|broker| broker.node_id).collect();
            if without.is_empty() {
                return Ok(());
            }
            let mut tx = context.transaction().await?;
            let taken = rows::taken_addresses(&mut tx).await?;
            tx.commit().await?;
            let nodes: Vec<NodeRef> = without.iter().map(|&node_id| NodeRef { instance: id, node_id }).collect();
            let chosen = context.environment.platform.driver.choose_addresses(&nodes, &taken).await?;
            if chosen.len() != nodes.len() {
                let inside = format!("the driver chose {} addresses for {} nodes", chosen.len(), nodes.len());
                return Err(StepError::permanent(ProblemCode::Internal, "addresses could not be chosen", inside));
            }
            let mut tx = context.transaction().await?;
            for (node_id, address) in without.into_iter().zip(chosen) {
                // One that is lost to another instance is chosen anew in the next round.
                rows::take_address(&mut tx, &instance, node_id, address, context.clock().now()).await?;
            }
            tx.commit().await?;
        }
        let inside = format!("lost the race for an address {ROUNDS} times");
        Err(StepError::transient(ProblemCode::Internal, "addresses are in great demand", inside))
    }

    async fn undo(&self, context: &Context<'_>) -> Result<(), StepError> {
        let id = context.params.instance_id;
        // A driver may keep claims of its own; they go with the node, even with one that was never started.
        let (_, brokers) = load(context, id).await?;
        remove_nodes(context.environment, id, &brokers).await?;
        let mut tx = context.transaction().await?;
        rows::release_addresses(&mut tx, id).await?;
        Ok(tx.commit().await?)
    }
}
