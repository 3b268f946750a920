//! `instance-delete`: nothing of the instance is left but its orders, its jobs and the audit trail.
//!
//! There is no way back once a broker is gone, so a step that fails for good waits for a person.

use super::{
    Environment,
    provisioning::{load, remove_nodes},
};
use crate::{
    jobs::engine::{Limits, OnFailure, Step, StepContext, StepError, Workflow},
    store::{SystemTx, provisioning as rows},
};
use async_trait::async_trait;
use control_plane_api::{id::InstanceId, instance::InstanceState};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug)]
pub struct InstanceDelete;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub instance_id: InstanceId,
}

type Context<'a> = StepContext<'a, InstanceDelete>;

/// Nodes may be slow to stop, and machines away for hours.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

impl Workflow for InstanceDelete {
    type Environment = Environment;
    type Params = Params;
    type Secrets = ();

    const KIND: &'static str = "instance-delete";
    const VERSION: i32 = 1;
    const TITLE: &'static str = "Delete instance";
    const ON_FAILURE: OnFailure = OnFailure::Hold;
    const CANCELLABLE: bool = false;

    fn steps() -> Vec<Box<dyn Step<Self>>> {
        vec![Box::new(Close), Box::new(RemoveBrokers), Box::new(Release)]
    }
}

/// The instance shows as being deleted.
struct Close;

#[async_trait]
impl Step<InstanceDelete> for Close {
    fn name(&self) -> &'static str {
        "close"
    }

    fn title(&self) -> &'static str {
        "Close"
    }

    async fn run(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }

    async fn commit(&self, tx: &mut SystemTx, context: &Context<'_>) -> Result<(), StepError> {
        let id = context.params.instance_id;
        Ok(rows::set_state(tx, id, InstanceState::Deleting, None, context.clock().now()).await?)
    }

    async fn undo(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

/// No node of the instance is left.
struct RemoveBrokers;

#[async_trait]
impl Step<InstanceDelete> for RemoveBrokers {
    fn name(&self) -> &'static str {
        "remove-brokers"
    }

    fn title(&self) -> &'static str {
        "Remove brokers"
    }

    fn limits(&self) -> Limits {
        Limits { attempt: Duration::from_secs(120), deadline: PATIENCE, expected: Duration::from_secs(3) }
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        let id = context.params.instance_id;
        let (_, brokers) = load(context, id).await?;
        remove_nodes(context.environment, id, &brokers).await
    }

    async fn undo(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

/// Addresses, certificates, room and the instance itself go together with the job's success.
struct Release;

#[async_trait]
impl Step<InstanceDelete> for Release {
    fn name(&self) -> &'static str {
        "release"
    }

    fn title(&self) -> &'static str {
        "Release what it held"
    }

    async fn run(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }

    async fn commit(&self, tx: &mut SystemTx, context: &Context<'_>) -> Result<(), StepError> {
        let id = context.params.instance_id;
        rows::release_addresses(tx, id).await?;
        rows::release_secrets(tx, id).await?;
        rows::release_room(tx, id).await?;
        Ok(rows::delete_instance(tx, id).await?)
    }

    async fn undo(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }
}
