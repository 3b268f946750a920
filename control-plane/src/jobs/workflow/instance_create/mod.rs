//! `instance-create`: from an order to an instance that clients can use.
//!
//! The order has written the instance (`creating`), its brokers and its reservations, and has put this job into the same
//! transaction. At the end the instance is `running`, or it is `create-failed` and holds nothing.

mod addresses;
mod brokers;
mod certificates;
mod kafka;
mod ready;

use super::Environment;
use crate::{
    jobs::engine::{Cause, OnFailure, Step, StepContext, StepError, Workflow},
    store::{SystemTx, kafka_users, provisioning as rows},
};
use async_trait::async_trait;
use broker_api::secret::Secret;
use control_plane_api::{id::InstanceId, instance::InstanceState};
use serde::{Deserialize, Serialize};

#[derive(Debug)]
pub struct InstanceCreate;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub instance_id: InstanceId,
    /// The first Kafka user.
    pub user: String,
    /// The service made the password: it is shown once, in the result.
    pub password_generated: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// Of the first Kafka user.
    pub password: Secret,
}

type Context<'a> = StepContext<'a, InstanceCreate>;

#[async_trait]
impl Workflow for InstanceCreate {
    type Environment = Environment;
    type Params = Params;
    type Secrets = Secrets;

    const KIND: &'static str = "instance-create";
    const VERSION: i32 = 1;
    const TITLE: &'static str = "Create instance";
    const ON_FAILURE: OnFailure = OnFailure::Undo;
    const CANCELLABLE: bool = true;

    fn steps() -> Vec<Box<dyn Step<Self>>> {
        vec![
            Box::new(addresses::ReserveAddresses),
            Box::new(certificates::IssueCertificates),
            Box::new(brokers::StartBrokers),
            Box::new(ready::WaitReady),
            Box::new(kafka::ConfigureKafka),
            Box::new(kafka::Verify),
            Box::new(kafka::Publish),
        ]
    }

    /// The instance moves to the failed creations, and gives back its room and its name.
    async fn undone(tx: &mut SystemTx, context: &Context<'_>, cause: &Cause) -> Result<(), StepError> {
        let id = context.params.instance_id;
        rows::release_room(tx, id).await?;
        kafka_users::release(tx, id).await?;
        rows::set_state(tx, id, InstanceState::CreateFailed, Some(&cause.detail), context.clock().now()).await?;
        Ok(())
    }
}
