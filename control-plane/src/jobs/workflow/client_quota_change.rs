//! `client-quota-change`: quotas of the tenant's clients are set and deleted; nothing restarts. Kafka is told of those of users
//! and client ids, the gateways of those of addresses and topics.
//!
//! The request has decided which, from what Kafka had then: the trail names each figure, and a repeat does no more. What was
//! asked for stands, so a step that fails for good waits for a person.

use super::{
    Environment,
    provisioning::{kafka_error, provisioned, push_specs},
};
use crate::domain::client_quota::is_of_gateways;
use crate::jobs::engine::{Limits, OnFailure, Step, StepContext, StepError, Workflow};
use crate::store::SystemTx;
use async_trait::async_trait;
use control_plane_api::{client_quota::QuotaRule, id::InstanceId, problem::ProblemCode};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// As long as Kafka is away.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug)]
pub struct ClientQuotaChange;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub instance_id: InstanceId,
    /// None of their figures is in `remove`.
    pub set: Vec<QuotaRule>,
    /// With the figures that go.
    pub remove: Vec<QuotaRule>,
}

impl Workflow for ClientQuotaChange {
    type Environment = Environment;
    type Params = Params;
    type Secrets = ();

    const KIND: &'static str = "client-quota-change";
    const VERSION: i32 = 1;
    const TITLE: &'static str = "Change quotas of clients";
    const ON_FAILURE: OnFailure = OnFailure::Hold;
    const CANCELLABLE: bool = false;
    const EXCLUSIVE: bool = false;

    fn steps() -> Vec<Box<dyn Step<Self>>> {
        vec![Box::new(WriteQuotas), Box::new(TellBrokers)]
    }
}

/// Every broker that answers keeps to the quotas of users and client ids.
struct WriteQuotas;

/// Every gateway keeps to those of addresses and topics, which the request has written with a higher generation.
struct TellBrokers;

/// What the job's result says.
#[derive(Serialize)]
struct Outcome {
    set: usize,
    removed: usize,
}

#[async_trait]
impl Step<ClientQuotaChange> for WriteQuotas {
    fn name(&self) -> &'static str {
        "write-quotas"
    }

    fn title(&self) -> &'static str {
        "Write the quotas"
    }

    fn limits(&self) -> Limits {
        Limits { deadline: PATIENCE, ..Limits::default() }
    }

    async fn run(&self, context: &StepContext<'_, ClientQuotaChange>) -> Result<(), StepError> {
        let Params { instance_id, set, remove } = context.params;
        let of_kafka = |rules: &[QuotaRule]| -> Vec<QuotaRule> {
            rules.iter().filter(|rule| !is_of_gateways(&rule.entity)).cloned().collect()
        };
        let (set, remove) = (of_kafka(set), of_kafka(remove));
        if set.is_empty() && remove.is_empty() {
            return Ok(());
        }
        let cluster = provisioned(context, *instance_id).await?.cluster();
        let kafka = &context.environment.platform.kafka;
        let failed = |error| kafka_error(ProblemCode::BrokerNotReady, &error);
        // Instances that are older than this have not been given it.
        kafka.shield_platform(&cluster).await.map_err(failed)?;
        kafka.put_client_quotas(&cluster, &set, &remove).await.map_err(failed)
    }

    async fn undo(&self, _context: &StepContext<'_, ClientQuotaChange>) -> Result<(), StepError> {
        Ok(())
    }
}

#[async_trait]
impl Step<ClientQuotaChange> for TellBrokers {
    fn name(&self) -> &'static str {
        "tell-brokers"
    }

    fn title(&self) -> &'static str {
        "Tell brokers"
    }

    fn limits(&self) -> Limits {
        Limits { deadline: PATIENCE, ..Limits::default() }
    }

    async fn run(&self, context: &StepContext<'_, ClientQuotaChange>) -> Result<(), StepError> {
        let Params { instance_id, set, remove } = context.params;
        if !set.iter().chain(remove).any(|rule| is_of_gateways(&rule.entity)) {
            return Ok(());
        }
        let provisioned = provisioned(context, *instance_id).await?;
        push_specs(context.environment, &provisioned).await
    }

    async fn commit(&self, tx: &mut SystemTx, context: &StepContext<'_, ClientQuotaChange>) -> Result<(), StepError> {
        let Params { set, remove, .. } = context.params;
        context.set_result(tx, &Outcome { set: set.len(), removed: remove.len() }, None::<&()>).await
    }

    async fn undo(&self, _context: &StepContext<'_, ClientQuotaChange>) -> Result<(), StepError> {
        Ok(())
    }
}
