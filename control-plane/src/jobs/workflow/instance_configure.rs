//! `instance-configure`: the nodes of a running instance serve by what was changed for them. No broker restarts. What a change
//! has to make first, before a way in can open, is `access-open`'s.
//!
//! The request has written the change and raised the generation. There is no way back: what is wanted stays written, and
//! a node that was away is told by the loop that watches it.

use super::{
    Environment,
    provisioning::{bind_acls, provisioned, push_specs, release_unused_addresses},
};
use crate::jobs::engine::{Limits, OnFailure, Step, StepContext, StepError, Workflow};
use async_trait::async_trait;
use control_plane_api::id::InstanceId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// As long as a broker is away.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug)]
pub struct InstanceConfigure;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub instance_id: InstanceId,
    /// Who decides what clients may do was changed. Other changes reach brokers whether Kafka takes bindings or not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub authorization: bool,
}

impl Workflow for InstanceConfigure {
    type Environment = Environment;
    type Params = Params;
    type Secrets = ();

    const KIND: &'static str = "instance-configure";
    const VERSION: i32 = 1;
    const TITLE: &'static str = "Configure instance";
    const ON_FAILURE: OnFailure = OnFailure::Hold;
    const CANCELLABLE: bool = false;
    const EXCLUSIVE: bool = false;

    fn steps() -> Vec<Box<dyn Step<Self>>> {
        vec![Box::new(BindAcls), Box::new(TellBrokers), Box::new(ReleaseAddresses)]
    }
}

/// The platform's bindings are those of the access.
struct BindAcls;

#[async_trait]
impl Step<InstanceConfigure> for BindAcls {
    fn name(&self) -> &'static str {
        "bind-acls"
    }

    fn title(&self) -> &'static str {
        "Write who may do what"
    }

    fn limits(&self) -> Limits {
        Limits { deadline: PATIENCE, ..Limits::default() }
    }

    async fn run(&self, context: &StepContext<'_, InstanceConfigure>) -> Result<(), StepError> {
        if !context.params.authorization {
            return Ok(());
        }
        let provisioned = provisioned(context, context.params.instance_id).await?;
        bind_acls(context.environment, &provisioned, &provisioned.access).await
    }

    async fn undo(&self, _context: &StepContext<'_, InstanceConfigure>) -> Result<(), StepError> {
        Ok(())
    }
}

/// Every node serves by the newest spec.
struct TellBrokers;

#[async_trait]
impl Step<InstanceConfigure> for TellBrokers {
    fn name(&self) -> &'static str {
        "tell-brokers"
    }

    fn title(&self) -> &'static str {
        "Tell brokers"
    }

    fn limits(&self) -> Limits {
        Limits { deadline: PATIENCE, ..Limits::default() }
    }

    async fn run(&self, context: &StepContext<'_, InstanceConfigure>) -> Result<(), StepError> {
        let provisioned = provisioned(context, context.params.instance_id).await?;
        push_specs(context.environment, &provisioned).await
    }

    async fn undo(&self, _context: &StepContext<'_, InstanceConfigure>) -> Result<(), StepError> {
        Ok(())
    }
}

/// Public addresses that no path uses any more are another's to have.
struct ReleaseAddresses;

#[async_trait]
impl Step<InstanceConfigure> for ReleaseAddresses {
    fn name(&self) -> &'static str {
        "release-addresses"
    }

    fn title(&self) -> &'static str {
        "Give back unused addresses"
    }

    async fn run(&self, context: &StepContext<'_, InstanceConfigure>) -> Result<(), StepError> {
        release_unused_addresses(context, context.params.instance_id).await
    }

    async fn undo(&self, _context: &StepContext<'_, InstanceConfigure>) -> Result<(), StepError> {
        Ok(())
    }
}
