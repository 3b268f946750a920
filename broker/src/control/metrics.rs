//! What a node says of itself in `/metrics`, beside what its gateway counts.

use broker_api::status::{NodeState, NodeStatus};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

#[derive(Debug)]
pub struct NodeMetrics {
    generation: Gauge,
    ready: Gauge,
    broker_restarts: Gauge,
    broker_failures: Gauge,
}

impl NodeMetrics {
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("sluice_node");
        let metrics = Self {
            generation: Gauge::default(),
            ready: Gauge::default(),
            broker_restarts: Gauge::default(),
            broker_failures: Gauge::default(),
        };
        registry.register("build", "Version of the node program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register("spec_generation", "Generation of the spec in force", metrics.generation.clone());
        registry.register("ready", "1 when clients can be served", metrics.ready.clone());
        registry.register(
            "broker_restarts",
            "Starts of the broker after the first, since the supervisor began",
            metrics.broker_restarts.clone(),
        );
        registry.register(
            "broker_failures",
            "Ends of the broker in a row without having served",
            metrics.broker_failures.clone(),
        );
        metrics
    }

    /// Takes over what is true now; called for each scrape.
    pub fn observe(&self, status: &NodeStatus) {
        self.generation.set(status.generation as i64);
        self.ready.set((status.state == NodeState::Ready).into());
        self.broker_restarts.set(status.broker.restarts.into());
        self.broker_failures.set(status.broker.failures.into());
    }
}
