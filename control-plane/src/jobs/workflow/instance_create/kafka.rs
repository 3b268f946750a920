//! Steps `configure-kafka`, `verify` and `publish`.

use super::{Context, InstanceCreate};
use crate::{
    domain::client_paths,
    jobs::{
        engine::{Limits, Step, StepError},
        workflow::provisioning::{ensure_nodes, kafka_error, provisioned},
    },
    kafka::Credentials,
    provisioned::{Provisioned, places},
    store::{SystemTx, provisioning as rows},
};
use async_trait::async_trait;
use control_plane_api::{
    instance::{Bootstrap, InstanceState},
    problem::ProblemCode,
};
use serde::Serialize;
use std::time::Duration;

/// Enough for brokers that went with their machine to come back.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between looks at the cluster.
const EVERY: Duration = Duration::from_millis(100);
/// Looks between attempts to make a broker that has not joined.
const ENSURE_EVERY: u32 = 50;

/// The cluster is whole, its bindings are written, and the first user can sign in.
///
/// All of it lives in the brokers, and goes with them.
pub(super) struct ConfigureKafka;

#[async_trait]
impl Step<InstanceCreate> for ConfigureKafka {
    fn name(&self) -> &'static str {
        "configure-kafka"
    }

    fn title(&self) -> &'static str {
        "Set up users and rights"
    }

    fn limits(&self) -> Limits {
        Limits { deadline: PATIENCE, ..Limits::default() }
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        let provisioned = provisioned(context, context.params.instance_id).await?;
        let outcome = configure(context, &provisioned).await;
        revived(context, &provisioned, outcome).await
    }

    async fn undo(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

async fn configure(context: &Context<'_>, provisioned: &Provisioned) -> Result<(), StepError> {
    let (kafka, cluster) = (&context.environment.platform.kafka, provisioned.cluster());
    let failed = |error| kafka_error(ProblemCode::BrokerNotReady, &error);
    for round in 1_u32.. {
        if kafka.ready(&cluster, provisioned.specs.len()).await.map_err(failed)? {
            break;
        }
        context.progress("waiting until every broker has joined the cluster", 10).await?;
        if round % ENSURE_EVERY == 0 {
            ensure_nodes(context.environment, provisioned).await?;
        }
        tokio::time::sleep(EVERY).await;
    }
    kafka.bind_platform_acls(&cluster, &provisioned.access).await.map_err(failed)?;
    kafka.shield_platform(&cluster).await.map_err(failed)?;
    kafka.put_user(&cluster, &credentials(context)).await.map_err(failed)
}

/// Brokers that could not be reached may have gone with their machine: the next try finds them made again.
async fn revived(
    context: &Context<'_>,
    provisioned: &Provisioned,
    outcome: Result<(), StepError>,
) -> Result<(), StepError> {
    if let Err(StepError::Transient(_)) = &outcome {
        ensure_nodes(context.environment, provisioned).await?;
    }
    outcome
}

/// A message goes through every broker the way clients go.
pub(super) struct Verify;

#[async_trait]
impl Step<InstanceCreate> for Verify {
    fn name(&self) -> &'static str {
        "verify"
    }

    fn title(&self) -> &'static str {
        "Send a test message"
    }

    fn limits(&self) -> Limits {
        Limits { deadline: PATIENCE, ..Limits::default() }
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        let provisioned = provisioned(context, context.params.instance_id).await?;
        let kafka = &context.environment.platform.kafka;
        let sent = kafka.canary(&provisioned.cluster(), &credentials(context)).await;
        let outcome = sent.map_err(|error| kafka_error(ProblemCode::CanaryFailed, &error));
        revived(context, &provisioned, outcome).await
    }

    async fn undo(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

/// The instance is running. Written together with the job's success.
pub(super) struct Publish;

/// What the job's result says.
#[derive(Serialize)]
struct Outcome<'a> {
    bootstrap: Bootstrap,
    user: &'a str,
}

/// What the job's result says once.
#[derive(Serialize)]
struct Once<'a> {
    password: &'a str,
}

#[async_trait]
impl Step<InstanceCreate> for Publish {
    fn name(&self) -> &'static str {
        "publish"
    }

    fn title(&self) -> &'static str {
        "Hand over"
    }

    async fn run(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }

    async fn commit(&self, tx: &mut SystemTx, context: &Context<'_>) -> Result<(), StepError> {
        let (id, now) = (context.params.instance_id, context.clock().now());
        let Some((instance, brokers)) = rows::load(tx, id).await? else {
            return Err(StepError::permanent(ProblemCode::NotFound, "the instance is gone", id.to_string()));
        };
        for broker in &brokers {
            rows::set_broker_state(tx, id, broker.node_id, "ready", "", Some(instance.generation), now).await?;
        }
        rows::set_state(tx, id, InstanceState::Running, None, now).await?;
        let outcome = Outcome {
            bootstrap: client_paths::bootstraps(&instance.access, &places(&brokers)?),
            user: &context.params.user,
        };
        let password = context.secrets.password.expose();
        let once = context.params.password_generated.then_some(Once { password });
        context.set_result(tx, &outcome, once.as_ref()).await
    }

    async fn undo(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

fn credentials(context: &Context<'_>) -> Credentials {
    Credentials { user: context.params.user.clone(), password: context.secrets.password.clone() }
}
