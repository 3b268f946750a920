//! What a node says of itself in `/metrics`, beside what its gateway counts.

use broker_api::status::{CapacityState, NodeState, NodeStatus};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug)]
pub struct NodeMetrics {
    generation: Gauge,
    ready: Gauge,
    broker_restarts: Gauge,
    broker_failures: Gauge,
    disk_used: Gauge,
    disk_sold: Gauge,
    produce_refused: Gauge,
    deleted: Gauge,
}

impl NodeMetrics {
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("sluice_node");
        let metrics = Self {
            generation: Gauge::default(),
            ready: Gauge::default(),
            broker_restarts: Gauge::default(),
            broker_failures: Gauge::default(),
            disk_used: Gauge::default(),
            disk_sold: Gauge::default(),
            produce_refused: Gauge::default(),
            deleted: Gauge::default(),
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
        registry.register_with_unit("disk_used", "What the logs take", Unit::Bytes, metrics.disk_used.clone());
        registry.register_with_unit("disk_sold", "Disk that was sold", Unit::Bytes, metrics.disk_sold.clone());
        registry.register(
            "produce_refused",
            "1 while records are refused because the disk that was sold is full",
            metrics.produce_refused.clone(),
        );
        registry.register_with_unit(
            "capacity_deleted",
            "Oldest data that was dropped because the disk that was sold was full, since the gateway began",
            Unit::Bytes,
            metrics.deleted.clone(),
        );
        metrics
    }

    /// Takes over what is true now; called for each scrape.
    pub fn observe(&self, status: &NodeStatus) {
        self.generation.set(status.generation as i64);
        self.ready.set((status.state == NodeState::Ready).into());
        self.broker_restarts.set(status.broker.restarts.into());
        self.broker_failures.set(status.broker.failures.into());
        if let Some(capacity) = &status.capacity {
            self.disk_used.set(capacity.used_bytes.cast_signed());
            self.disk_sold.set(capacity.disk_bytes.cast_signed());
            self.produce_refused.set((capacity.state == CapacityState::ProduceLimited).into());
            self.deleted.set(capacity.deleted_bytes.cast_signed());
        }
    }
}
