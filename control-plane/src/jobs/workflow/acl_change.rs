//! `acl-change`: ACL bindings of the tenant are made and deleted; nothing restarts.
//!
//! The request has decided which, from what Kafka had then: the trail names each of them, and a repeat does no more. What
//! was asked for stands, so a step that fails for good waits for a person.

use super::{
    Environment,
    provisioning::{kafka_error, provisioned},
};
use crate::jobs::engine::{Limits, OnFailure, Step, StepContext, StepError, Workflow};
use crate::store::SystemTx;
use async_trait::async_trait;
use control_plane_api::{acl::AclBinding, id::InstanceId, problem::ProblemCode};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// As long as Kafka is away.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug)]
pub struct AclChange;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub instance_id: InstanceId,
    /// None of them is in `delete`.
    pub create: Vec<AclBinding>,
    pub delete: Vec<AclBinding>,
}

impl Workflow for AclChange {
    type Environment = Environment;
    type Params = Params;
    type Secrets = ();

    const KIND: &'static str = "acl-change";
    const VERSION: i32 = 1;
    const TITLE: &'static str = "Change access rules";
    const ON_FAILURE: OnFailure = OnFailure::Hold;
    const CANCELLABLE: bool = false;
    const EXCLUSIVE: bool = false;

    fn steps() -> Vec<Box<dyn Step<Self>>> {
        vec![Box::new(WriteBindings)]
    }
}

/// Every broker that answers knows the bindings.
struct WriteBindings;

/// What the job's result says.
#[derive(Serialize)]
struct Outcome {
    created: usize,
    deleted: usize,
}

#[async_trait]
impl Step<AclChange> for WriteBindings {
    fn name(&self) -> &'static str {
        "write-bindings"
    }

    fn title(&self) -> &'static str {
        "Write the access rules"
    }

    fn limits(&self) -> Limits {
        Limits { deadline: PATIENCE, ..Limits::default() }
    }

    async fn run(&self, context: &StepContext<'_, AclChange>) -> Result<(), StepError> {
        let Params { instance_id, create, delete } = context.params;
        let cluster = provisioned(context, *instance_id).await?.cluster();
        let written = context.environment.platform.kafka.put_acls(&cluster, create, delete).await;
        written.map_err(|error| kafka_error(ProblemCode::BrokerNotReady, &error))
    }

    async fn commit(&self, tx: &mut SystemTx, context: &StepContext<'_, AclChange>) -> Result<(), StepError> {
        let Params { create, delete, .. } = context.params;
        context.set_result(tx, &Outcome { created: create.len(), deleted: delete.len() }, None::<&()>).await
    }

    async fn undo(&self, _context: &StepContext<'_, AclChange>) -> Result<(), StepError> {
        Ok(())
    }
}
