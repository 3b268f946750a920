//! Step `reserve-addresses`.

use super::{Context, InstanceCreate};
use crate::{
    domain::client_paths::Network,
    jobs::{
        engine::{Step, StepError},
        workflow::provisioning::{load, remove_nodes, reserve_addresses},
    },
    store::provisioning as rows,
};
use async_trait::async_trait;

/// Every broker has an address of its own, and a public one if it was bought with public access.
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
        reserve_addresses(context, id, Network::Private).await?;
        if load(context, id).await?.0.access.is_public() {
            reserve_addresses(context, id, Network::Public).await?;
            let mut tx = context.transaction().await?;
            rows::use_public_addresses(&mut tx, id, context.clock().now()).await?;
            tx.commit().await?;
        }
        Ok(())
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
