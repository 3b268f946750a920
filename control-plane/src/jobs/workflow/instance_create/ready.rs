//! Step `wait-ready`.

use super::{Context, InstanceCreate};
use crate::{
    jobs::{
        engine::{Limits, Step, StepError},
        workflow::provisioning::{ensure_nodes, provisioned},
    },
    provisioned::Provisioned,
    store::provisioning as rows,
};
use async_trait::async_trait;
use broker_api::status::{NodeState, NodeStatus};
use control_plane_api::problem::ProblemCode;
use std::time::Duration;

/// Three brokers on two idle cores take 7 to 14 s (machine.md §0); a busy machine several times that.
const DEADLINE: Duration = Duration::from_secs(240);
/// Between looks at the nodes.
const EVERY: Duration = Duration::from_millis(150);
/// Between attempts to make a node that does not answer.
const ENSURE_EVERY: u32 = 40;
/// Exits of the JVM in a row without having served, after which another try is not worth waiting for.
const FAILURES: u32 = 3;

/// Every node reports that it is ready.
pub(super) struct WaitReady;

#[async_trait]
impl Step<InstanceCreate> for WaitReady {
    fn name(&self) -> &'static str {
        "wait-ready"
    }

    fn title(&self) -> &'static str {
        "Wait for brokers"
    }

    fn limits(&self) -> Limits {
        Limits { attempt: DEADLINE + Duration::from_secs(30), deadline: DEADLINE, expected: Duration::from_secs(8) }
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        let provisioned = provisioned(context, context.params.instance_id).await?;
        let began = context.clock().now();
        for round in 0_u32.. {
            let seen = look(context, &provisioned).await;
            let waiting: Vec<String> = seen.iter().filter_map(|broker| broker.waits_for()).collect();
            if let Some(failed) = seen.iter().find_map(Seen::hopeless) {
                return Err(StepError::permanent(ProblemCode::BrokerNotReady, failed.clone(), failed));
            }
            if waiting.is_empty() {
                return Ok(());
            }
            let detail = waiting.join("; ");
            if context.clock().now() - began > chrono::Duration::from_std(DEADLINE).unwrap_or_default() {
                let detail = format!("not ready after {} s: {detail}", DEADLINE.as_secs());
                return Err(StepError::permanent(ProblemCode::BrokerNotReady, detail.clone(), detail));
            }
            let ready = seen.len() - waiting.len();
            // A handful of brokers: the division is exact enough and cannot overflow.
            context.progress(detail, u32::try_from(ready * 100 / seen.len().max(1)).unwrap_or(0)).await?;
            if round % ENSURE_EVERY == ENSURE_EVERY - 1 {
                // The machine may have gone away with the nodes that the step before started.
                ensure_nodes(context.environment, &provisioned).await?;
            }
            tokio::time::sleep(EVERY).await;
        }
        Ok(())
    }

    async fn undo(&self, context: &Context<'_>) -> Result<(), StepError> {
        let (id, now) = (context.params.instance_id, context.clock().now());
        let mut tx = context.transaction().await?;
        for broker in rows::load(&mut tx, id).await?.map(|(_, brokers)| brokers).unwrap_or_default() {
            rows::set_broker_state(&mut tx, id, broker.node_id, "unknown", "", None, now).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// What a broker said, or why it said nothing.
struct Seen {
    node_id: i32,
    answer: Result<NodeStatus, String>,
}

impl Seen {
    /// A sentence, or `None` when it is ready.
    fn waits_for(&self) -> Option<String> {
        match &self.answer {
            Ok(status) if status.state == NodeState::Ready => None,
            Ok(status) if status.reason.is_empty() => Some(format!("broker {} is starting", self.node_id)),
            Ok(status) => Some(format!("broker {}: {}", self.node_id, status.reason)),
            Err(_) => Some(format!("broker {} does not answer yet", self.node_id)),
        }
    }

    fn hopeless(&self) -> Option<String> {
        let status = self.answer.as_ref().ok()?;
        let lost = status.state == NodeState::Failed && status.broker.failures >= FAILURES;
        lost.then(|| format!("broker {} failed: {}", self.node_id, status.reason))
    }
}

async fn look(context: &Context<'_>, provisioned: &Provisioned) -> Vec<Seen> {
    let nodes = &context.environment.platform.nodes;
    let looks = provisioned.specs.iter().map(|spec| async {
        let address = provisioned.node(spec);
        let answer = nodes.status(&address).await.map_err(|error| {
            tracing::debug!(job.id = %context.job.id, node = spec.identity.node_id, %error, "node does not answer");
            error.to_string()
        });
        Seen { node_id: spec.identity.node_id, answer }
    });
    futures::future::join_all(looks).await
}
