//! `kafka-user-change`: a Kafka user is made, disabled, enabled, given another password or deleted; nothing restarts.
//!
//! The request has written the user's row. Kafka learns the credentials first; only then do the user's earlier logins end,
//! in a generation that every broker is told of: whoever logs in under it was checked against the new state. What was asked
//! for stands, so a step that fails for good waits for a person instead of letting somebody in again.

use super::{
    Environment,
    provisioning::{kafka_error, provisioned, push_specs},
};
use crate::{
    jobs::engine::{Limits, OnFailure, Step, StepContext, StepError, Workflow},
    kafka::Credentials,
    store::{SystemTx, kafka_users},
};
use async_trait::async_trait;
use broker_api::secret::Secret;
use control_plane_api::{id::InstanceId, problem::ProblemCode};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// As long as a broker is away.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug)]
pub struct KafkaUserChange;

/// What becomes of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Create,
    Disable,
    Enable,
    Reset,
    Delete,
}

impl Action {
    pub fn needs_password(self) -> bool {
        matches!(self, Self::Create | Self::Reset)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub instance_id: InstanceId,
    pub user: String,
    pub action: Action,
    /// The service made the password: it is shown once, in the result.
    pub password_generated: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// Of the actions that need one.
    pub password: Option<Secret>,
}

type Context<'a> = StepContext<'a, KafkaUserChange>;

impl Workflow for KafkaUserChange {
    type Environment = Environment;
    type Params = Params;
    type Secrets = Secrets;

    const KIND: &'static str = "kafka-user-change";
    const VERSION: i32 = 1;
    const TITLE: &'static str = "Change Kafka user";
    const ON_FAILURE: OnFailure = OnFailure::Hold;
    const CANCELLABLE: bool = false;
    const EXCLUSIVE: bool = false;

    fn steps() -> Vec<Box<dyn Step<Self>>> {
        vec![Box::new(WriteCredentials), Box::new(TellBrokers)]
    }
}

/// Kafka knows the password, or the user no more.
struct WriteCredentials;

#[async_trait]
impl Step<KafkaUserChange> for WriteCredentials {
    fn name(&self) -> &'static str {
        "write-credentials"
    }

    fn title(&self) -> &'static str {
        "Write the credentials"
    }

    fn limits(&self) -> Limits {
        Limits { deadline: PATIENCE, ..Limits::default() }
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        let Params { instance_id, user, action, .. } = context.params;
        if matches!(action, Action::Disable | Action::Enable) {
            return Ok(());
        }
        let cluster = provisioned(context, *instance_id).await?.cluster();
        let kafka = &context.environment.platform.kafka;
        let written = match &context.secrets.password {
            Some(password) => {
                let credentials = Credentials { user: user.clone(), password: password.clone() };
                kafka.put_user(&cluster, &credentials).await
            }
            None => kafka.delete_user(&cluster, user).await,
        };
        written.map_err(|error| kafka_error(ProblemCode::BrokerNotReady, &error))
    }

    async fn commit(&self, tx: &mut SystemTx, context: &Context<'_>) -> Result<(), StepError> {
        let Params { instance_id, user, action, .. } = context.params;
        if matches!(action, Action::Reset | Action::Delete) {
            kafka_users::end_logins(tx, *instance_id, user, context.clock().now()).await?;
        }
        Ok(())
    }

    async fn undo(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

/// Every broker refuses who is to be refused, and has closed what is to be closed.
struct TellBrokers;

/// What the job's result says.
#[derive(Serialize)]
struct Outcome<'a> {
    user: &'a str,
}

/// What the job's result says once.
#[derive(Serialize)]
struct Once<'a> {
    password: &'a str,
}

#[async_trait]
impl Step<KafkaUserChange> for TellBrokers {
    fn name(&self) -> &'static str {
        "tell-brokers"
    }

    fn title(&self) -> &'static str {
        "Tell every broker"
    }

    fn limits(&self) -> Limits {
        Limits { deadline: PATIENCE, ..Limits::default() }
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        // A new user changes nothing that brokers are told.
        if context.params.action == Action::Create {
            return Ok(());
        }
        let provisioned = provisioned(context, context.params.instance_id).await?;
        push_specs(context.environment, &provisioned).await
    }

    async fn commit(&self, tx: &mut SystemTx, context: &Context<'_>) -> Result<(), StepError> {
        let password = context.secrets.password.as_ref().filter(|_| context.params.password_generated);
        let once = password.map(|password| Once { password: password.expose() });
        context.set_result(tx, &Outcome { user: &context.params.user }, once.as_ref()).await
    }

    async fn undo(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }
}
