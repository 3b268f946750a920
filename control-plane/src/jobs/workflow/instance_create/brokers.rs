//! Step `start-brokers`.

use super::{Context, InstanceCreate};
use crate::jobs::{
    engine::{Limits, Step, StepError},
    workflow::provisioning::{ensure_nodes, load, provisioned, remove_nodes},
};
use async_trait::async_trait;
use std::time::Duration;

/// A node exists for every broker, with its spec.
pub(super) struct StartBrokers;

#[async_trait]
impl Step<InstanceCreate> for StartBrokers {
    fn name(&self) -> &'static str {
        "start-brokers"
    }

    fn title(&self) -> &'static str {
        "Start brokers"
    }

    fn limits(&self) -> Limits {
        Limits { attempt: Duration::from_secs(120), expected: Duration::from_secs(2), ..Limits::default() }
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        let provisioned = provisioned(context, context.params.instance_id).await?;
        ensure_nodes(context.environment, &provisioned).await
    }

    async fn undo(&self, context: &Context<'_>) -> Result<(), StepError> {
        let id = context.params.instance_id;
        let (_, brokers) = load(context, id).await?;
        remove_nodes(context.environment, id, &brokers).await
    }
}
