//! The node as a whole: one state out of what supervisor, broker and gateway say. Pure.
//!
//! The drawing of the states stands at [`NodeState`].

use broker_api::spec::NodeSpec;
use broker_api::status::{BrokerState, BrokerStatus, CapacityStatus, GatewayStatus, NodeState, NodeStatus};

/// Exits in a row without having served, after which a node says that it failed. It goes on trying.
const FAILED_FROM: u32 = 3;

/// What was seen of a node at one moment.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The spec that the gateway serves.
    pub spec: &'a NodeSpec,
    pub gateway: GatewayStatus,
    /// How full the disk was at the last look.
    pub capacity: Option<CapacityStatus>,
    /// What the supervisor said last.
    pub broker: BrokerStatus,
    /// Why it did not answer now, if so.
    pub supervisor_away: Option<String>,
    /// Why the broker does not answer ApiVersions on PLN, if so.
    pub broker_silent: Option<String>,
}

pub fn status(observed: Observed<'_>) -> NodeStatus {
    let (state, reason) = state(&observed);
    let Observed { spec, gateway, broker, supervisor_away, capacity, .. } = observed;
    NodeStatus {
        instance: spec.identity.instance.clone(),
        node_id: spec.identity.node_id,
        generation: spec.generation,
        state,
        reason,
        broker,
        gateway,
        supervisor_away: supervisor_away.is_some(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        capacity,
    }
}

fn state(observed: &Observed<'_>) -> (NodeState, String) {
    let broker = &observed.broker;
    // What it does counts more than what was said of it: the JVM goes on without its supervisor.
    if observed.supervisor_away.is_none() {
        match broker.state {
            BrokerState::Stopping => return (NodeState::Stopping, "the broker is stopping".to_owned()),
            BrokerState::Stopped => return (NodeState::Stopped, "the broker was stopped".to_owned()),
            _ => {}
        }
    }
    if let Some(silent) = &observed.broker_silent {
        if broker.failures >= FAILED_FROM {
            return (
                NodeState::Failed,
                format!("the broker failed {} times in a row: {}", broker.failures, broker.last_exit),
            );
        }
        let why = observed.supervisor_away.as_ref().unwrap_or(silent);
        return (NodeState::Starting, format!("the broker does not serve yet: {why}"));
    }
    let closed: Vec<_> = observed
        .spec
        .gateway
        .listeners
        .iter()
        .map(|listener| listener.path.as_str())
        .filter(|path| !observed.gateway.listening.iter().any(|open| open == path))
        .collect();
    if closed.is_empty() {
        (NodeState::Ready, String::new())
    } else {
        (NodeState::Starting, format!("the gateway does not listen for {}", closed.join(", ")))
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
